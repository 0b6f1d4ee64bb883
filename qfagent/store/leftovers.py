"""A leftover is a dropped file whose block was ingested, and which may still lie where it was dropped.

* Paths are kept as the bytes that they are: somebody else chose the names, and not all of them are text.
* A file is known by its inode, too: another may have the path by now.
"""

import os

import msgspec

from qfagent.store.database import Database


class Place(msgspec.Struct, frozen=True):
    """Where a dropped file lies, and which file it is."""

    path: str
    inode: int


class Leftovers:
    """The files that are to be erased."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, place: Place, block: str) -> None:
        """Records where the file of a block lies, in the transaction that ingests it."""
        values = os.fsencode(place.path), str(place.inode), block
        self._database.execute("INSERT OR REPLACE INTO leftovers VALUES (?, ?, ?)", *values)

    def all(self) -> dict[Place, str]:
        """Place to block."""
        rows = self._database.rows("SELECT path, inode, block FROM leftovers")
        return {Place(os.fsdecode(path), int(inode)): block for path, inode, block in rows}

    def remove(self, path: str) -> None:
        """The file is gone."""
        self._database.execute("DELETE FROM leftovers WHERE path = ?", os.fsencode(path))
