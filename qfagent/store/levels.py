"""Past levels of a client's PSRD: what was left at each hub and when, for plots and forecasts.

* Bounded: one level in ten minutes for a day, one an hour for five weeks, nothing older.
* A level is a number of bytes; it says nothing of where in a pad they lie.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from qfagent.store.database import Database

FINE: Final = 600  # seconds between levels
FINE_FOR: Final = 86_400
COARSE: Final = 3600
KEPT_FOR: Final = 35 * 86_400


class Level(msgspec.Struct, frozen=True):
    """What was left at a hub, in bytes; `at` in Unix seconds."""

    hub: str
    at: int
    user_left: int
    server_left: int


class Levels:
    """The levels that are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, levels: Iterable[Level]) -> None:
        """Keeps levels, the first of each hub and ten minutes, and drops what is too old."""
        for level in levels:
            at, left = level.at - level.at % FINE, (level.user_left, level.server_left)
            self._database.execute("INSERT OR IGNORE INTO levels VALUES (?, ?, ?, ?)", level.hub, at, *left)
            self._drop(now=level.at)

    def since(self, at: int) -> list[Level]:
        """The levels from then on, oldest first."""
        sql = "SELECT hub, at, user_left, server_left FROM levels WHERE at >= ? ORDER BY at, hub"
        return [Level(*row) for row in self._database.rows(sql, at)]

    def _drop(self, *, now: int) -> None:
        self._database.execute("DELETE FROM levels WHERE at < ?", now - KEPT_FOR)
        self._database.execute("DELETE FROM levels WHERE at < ? AND at % ? != 0", now - FINE_FOR, COARSE)
