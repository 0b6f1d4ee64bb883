"""The runway is how long the PSRD of a hub lasts at the rate of the last day."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from qfagent.store.holdings import Level

EVERY: Final = 60.0  # seconds between samples
WINDOW: Final = 86_400.0  # seconds that are looked back
_SAMPLES: Final = int(WINDOW / EVERY)


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
    """Samples of what is left; times are those of trio's clock."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, Left]]] = deque(maxlen=_SAMPLES)
        self.spent: dict[str, tuple[int, int]] = {}  # hub -> bytes since start, user and server

    def sample(self, left: dict[str, Left], *, now: float) -> None:
        """Takes a sample; what has arrived since the last one is not taken for negative use."""
        if self._samples:
            for hub, before in self._samples[-1][1].items():
                user, server = self.spent.get(hub, (0, 0))
                after = left.get(hub, Left())
                self.spent[hub] = (
                    user + max(0, before.user - after.user),
                    server + max(0, before.server - after.server),
                )
        self._samples.append((now, left))

    def rates(self, hub: str) -> tuple[float, float]:
        """Bytes a second, user and server, over the samples that there are."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        seconds = self._samples[-1][0] - self._samples[0][0]
        user = server = 0
        for (_, before), (_, after) in zip(self._samples, list(self._samples)[1:], strict=False):
            b, a = before.get(hub, Left()), after.get(hub, Left())
            user += max(0, b.user - a.user)
            server += max(0, b.server - a.server)
        return user / max(1e-9, seconds), server / max(1e-9, seconds)

    def lasts(self, hub: str, left: Left) -> float | None:
        """Seconds until the first of the two pads is used up; None if nothing is used."""
        rates = self.rates(hub)
        times = [
            bytes_left / rate for bytes_left, rate in zip((left.user, left.server), rates, strict=True) if rate > 0
        ]
        return min(times, default=None)
