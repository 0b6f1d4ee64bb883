"""A leftover is a dropped file whose block was ingested, and which may still lie where it was dropped.

* Paths are kept as the bytes that they are: somebody else chose the names, and not all of them are text.
"""

import os

from qfagent.store.database import Database


class Leftovers:
    """The files that are to be erased."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, path: str, block: str) -> None:
        """Records where the file of a block lies, in the transaction that ingests it."""
        self._database.execute("INSERT OR REPLACE INTO leftovers VALUES (?, ?)", os.fsencode(path), block)

    def all(self) -> dict[str, str]:
        """Path to block."""
        return {os.fsdecode(path): block for path, block in self._database.rows("SELECT path, block FROM leftovers")}

    def remove(self, path: str) -> None:
        """The file is gone."""
        self._database.execute("DELETE FROM leftovers WHERE path = ?", os.fsencode(path))
