"""The world is what the agent touches but does not decide: wall time and chance.

* Both are parameters everywhere, so a whole network can run in one deterministic simulation.
* Intervals and deadlines never come from here: they are `trio.current_time()`, which a test's clock drives.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class InThread(Protocol):
    """What does blocking work without holding up the others."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """The work's result."""
        ...


async def _in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work)


async def at_once(work: Callable[[], T]) -> T:
    """Does the work on the caller's thread, for simulations."""
    await trio.lowlevel.checkpoint()
    return work()


@dataclass(frozen=True, slots=True)
class World:
    """Wall time in Unix seconds, uniformly random bytes, and a way to do work that blocks."""

    wall: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom
    in_thread: InThread = _in_thread

    def now(self) -> int:
        """Wall time in whole seconds."""
        return int(self.wall())

    def fraction(self) -> float:
        """A uniform number in [0, 1), for jitter."""
        return int.from_bytes(self.random(7), "big") / (1 << 56)
