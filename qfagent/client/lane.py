"""A lane carries items of one kind to one hub: at once while few are on the way, in batches when many wait.

* At most `width` batches are on the way. Nothing waits for company: an item goes as soon as a place is free.
* A batch shares its fate: an error of `send` reaches every item of it.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import outcome
import trio

from qfagent.errors import AgentError

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiting(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = trio.Event()
        self.result: outcome.Outcome[Result]


class Lane(Generic[Item, Result]):
    """`send` takes up to `most` items and returns as many results; it may raise an AgentError."""

    def __init__(
        self,
        nursery: trio.Nursery,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        width: int,
        most: int,
    ) -> None:
        self._nursery, self._send, self._width, self._most = nursery, send, width, most
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._under_way = 0

    async def carry(self, item: Item) -> Result:
        """The item's result. An item that is on its way goes on when its caller is cancelled."""
        waiting: _Waiting[Item, Result] = _Waiting(item)
        self._queue.append(waiting)
        if self._under_way < self._width:
            self._under_way += 1
            self._nursery.start_soon(self._work)
        await waiting.done.wait()
        return waiting.result.unwrap()

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._carry([self._queue.popleft() for _ in range(min(self._most, len(self._queue)))])
        finally:
            self._under_way -= 1

    async def _carry(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        try:
            results = await self._send([waiting.item for waiting in batch])
            outcomes: list[outcome.Outcome[Result]] = [outcome.Value(result) for result in results]
        except AgentError as error:
            outcomes = [outcome.Error(error) for _ in batch]
        for waiting, result in zip(batch, outcomes, strict=True):
            waiting.result = result
            waiting.done.set()
