"""Backing off: the more often something failed, the longer the wait, and no two agents wait the same.

* Full jitter: uniform between nothing and a bound that doubles from 1 s to 5 min (protocol.md section 4, Retries).
"""

from typing import Final

from qfagent.world import World

FIRST: Final = 1.0  # seconds
LONGEST: Final = 300.0


class Backoff:
    """The waits after one thing's failures."""

    def __init__(self, world: World, *, longest: float = LONGEST) -> None:
        self._world, self._longest, self._failures = world, longest, 0

    def failed(self) -> float:
        """One failure more; seconds to wait before the next attempt."""
        bound: float = min(self._longest, FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return bound * self._world.fraction()

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def worked(self) -> None:
        """It worked; the next failure is the first again."""
        self._failures = 0
