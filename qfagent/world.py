"""The world is what the agent touches but does not decide: wall time and chance.

* Both are parameters everywhere, so a whole network can run in one deterministic simulation.
* Intervals and deadlines never come from here: they are `trio.current_time()`, which a test's clock drives.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """Wall time in Unix seconds, and uniformly random bytes."""

    wall: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom

    def now(self) -> int:
        """Wall time in whole seconds."""
        return int(self.wall())

    def fraction(self) -> float:
        """A uniform number in [0, 1), for jitter."""
        return int.from_bytes(self.random(7), "big") / (1 << 56)
