"""The runway is how long the PSRD of a hub lasts at the rate of the last day."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from qfagent.store.holdings import Level

EVERY: Final = 60.0  # seconds between samples
WINDOW: Final = 86_400.0  # seconds that are looked back


class Left(msgspec.Struct, frozen=True):
    """What is left at one hub, in bytes, and of how many."""

    user: int = 0
    server: int = 0
    user_of: int = 0
    server_of: int = 0

    def plus(self, level: Level) -> "Left":
        """With one block more."""
        return Left(
            self.user + level.user_left,
            self.server + level.server_left,
            self.user_of + level.user_bytes,
            self.server_of + level.server_bytes,
        )

    @property
    def fractions(self) -> tuple[float, float]:
        """The parts of the user and server pads that are left."""
        return self.user / max(1, self.user_of), self.server / max(1, self.server_of)


def by_hub(levels: Iterable[Level]) -> dict[str, Left]:
    """What is left at each hub, of the blocks that can be used or soon can."""
    left: dict[str, Left] = {}
    for level in levels:
        if level.state != "stopped":
            left[level.hub] = left.get(level.hub, Left()).plus(level)
    return left


class Runway:
    """Counts what is used; times are those of trio's clock."""

    def __init__(self) -> None:
        self._before: dict[str, Left] = {}
        self._used: deque[tuple[float, dict[str, tuple[int, int]]]] = deque()  # hub -> bytes, user and server

    def sample(self, left: dict[str, Left], *, now: float) -> None:
        """Takes a sample; what has arrived since the last one is not taken for negative use."""
        used = dict(self._used[-1][1]) if self._used else {}
        for hub, after in left.items():
            before, (user, server) = self._before.get(hub, after), used.get(hub, (0, 0))
            used[hub] = (user + max(0, before.user - after.user), server + max(0, before.server - after.server))
        self._before |= left
        self._used.append((now, used))
        while self._used[0][0] < now - WINDOW:
            self._used.popleft()

    def rates(self, hub: str) -> tuple[float, float]:
        """Bytes a second, user and server, over the samples that there are."""
        if len(self._used) < 2:
            return 0.0, 0.0
        (began, first), (ended, last) = self._used[0], self._used[-1]
        (user_then, server_then), (user_now, server_now) = first.get(hub, (0, 0)), last.get(hub, (0, 0))
        seconds = max(1e-9, ended - began)
        return (user_now - user_then) / seconds, (server_now - server_then) / seconds

    def lasts(self, hub: str, left: Left) -> float | None:
        """Seconds until the first of the two pads is used up; None if nothing is used."""
        return _first(self.each_lasts(hub, left))

    def each_lasts(self, hub: str, left: Left) -> tuple[float | None, float | None]:
        """Seconds until each pad, user and server, is used up; None if it is not used."""
        user, server = self.rates(hub)
        return _seconds(left.user, user), _seconds(left.server, server)

    def low_in(self, hub: str, left: Left, *, low: float) -> float | None:
        """Seconds until less than a fraction of one of the pads is left; None if nothing is used."""
        if min(left.fractions) < low:
            return 0.0
        user, server = self.rates(hub)
        spare_user, spare_server = left.user - low * left.user_of, left.server - low * left.server_of
        return _first((_seconds(spare_user, user), _seconds(spare_server, server)))


def _seconds(bytes_left: float, rate: float) -> float | None:
    return bytes_left / rate if rate > 0 else None


def _first(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
