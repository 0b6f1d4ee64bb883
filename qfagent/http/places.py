"""Places are for connections: so many in all, so many of them for one peer, and a short queue.

* Who waits is bounded too: a full queue, or a wait too long, is an answer and not a longer queue.
* After `close` nobody waits: everybody is told at once.
* A peer queues only with itself, so one that takes all it can get keeps nobody else from waiting.
"""

from collections import Counter
from collections.abc import Hashable

import trio

from qfagent.errors import AgentError
from qfagent.http.limits import Limits


class Crowded(AgentError):
    """There are too many connections; try again in a moment."""

    slug = "too-many-connections"
    status = 503


class Places:
    """The places of one server; every `take` that returns is followed by one `leave` with the same peer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: Counter[Hashable] = Counter()
        self._waiting: Counter[Hashable] = Counter()
        self._total = 0
        self._closed = False
        self._changed = trio.lowlevel.ParkingLot()

    async def take(self, peer: Hashable) -> None:
        """Takes a place, at once or within `queue_seconds`; Crowded if there is none, or no room to wait."""
        if not self._is_free(peer):
            await self._wait(peer)
        if self._closed:
            raise Crowded("the agent is stopping")
        self._taken[peer] += 1
        self._total += 1

    def is_overrun(self, peer: Hashable) -> bool:
        """Whether all of the peer's places are taken, and all of its queue."""
        return not self._is_free(peer) and self._waiting[peer] >= self._limits.queue

    def leave(self, peer: Hashable) -> None:
        """Gives the place back."""
        _less(self._taken, peer)
        self._total -= 1
        self._changed.unpark_all()

    def close(self) -> None:
        """Gives out no more places; who waits for one is sent away."""
        self._closed = True
        self._changed.unpark_all()

    async def _wait(self, peer: Hashable) -> None:
        if self.is_overrun(peer):
            raise Crowded
        self._waiting[peer] += 1
        try:
            with trio.move_on_after(self._limits.queue_seconds):
                while not self._is_free(peer):
                    await self._changed.park()
                return
        finally:
            _less(self._waiting, peer)
        raise Crowded

    def _is_free(self, peer: Hashable) -> bool:
        each = self._limits.each
        below_each = not 0 < each <= self._taken[peer]
        return self._closed or (below_each and self._total < self._limits.connections)


def _less(counts: Counter[Hashable], peer: Hashable) -> None:
    """One less; a count of zero is forgotten, or peers that are long gone would fill the memory."""
    counts[peer] -= 1
    if not counts[peer]:
        del counts[peer]
