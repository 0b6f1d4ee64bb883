"""The gauge reads how much PSRD is left, every minute; what it has read survives a restart.

* The runway begins with the levels of the last day, so a forecast needs no day to warm up.
* The levels that are kept are few (`store.levels`), and each is of one moment.
"""

from functools import partial
from itertools import groupby

import msgspec
import trio

from qfagent.client.desk import Desk
from qfagent.client.runway import WINDOW, Left, Runway, by_hub
from qfagent.store.levels import KEPT_FOR, Level, Levels


class Point(msgspec.Struct, frozen=True):
    """What was left, in bytes; `at` in Unix seconds."""

    at: int
    user_left: int
    server_left: int


class HubHistory(msgspec.Struct, frozen=True):
    """What was left at one hub over the last weeks, oldest first; the last point is of now."""

    hub: str
    points: tuple[Point, ...]


class Gauge:
    """What is left of one client's PSRD, now and before."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._levels = desk, Levels(desk.store.database)
        self.runway = Runway()

    async def recall(self) -> None:
        """Begins with what was read in the day before this start."""
        wall, now = self._desk.world.wall(), trio.current_time()
        past = await self._desk.committer.run(partial(self._levels.since, int(wall - WINDOW)))
        for at, levels in groupby((level for level in past if level.at <= wall), key=lambda level: level.at):
            self.runway.sample(
                {level.hub: Left(level.user_left, level.server_left) for level in levels}, now=now - wall + at
            )

    async def read(self) -> None:
        """Reads what is left now."""
        desk, at = self._desk, self._desk.world.now()
        left = by_hub(await desk.committer.run(desk.holdings.levels))
        self.runway.sample(left, now=trio.current_time())
        levels = [Level(hub, at, of.user, of.server) for hub, of in left.items()]
        await desk.committer.run(partial(self._levels.keep, levels))

    async def history(self) -> list[HubHistory]:
        """The levels that are kept, and those of now, by hub."""
        desk, at = self._desk, self._desk.world.now()
        left = by_hub(await desk.committer.run(desk.holdings.levels))
        past = await desk.committer.run(partial(self._levels.since, at - KEPT_FOR))
        now = [Level(hub, at, of.user, of.server) for hub, of in left.items()]
        points: dict[str, list[Point]] = {}
        for level in (*past, *now):
            points.setdefault(level.hub, []).append(Point(level.at, level.user_left, level.server_left))
        return [HubHistory(hub, tuple(of)) for hub, of in sorted(points.items())]
