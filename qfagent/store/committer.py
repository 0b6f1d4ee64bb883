"""The committer runs operations on the store, one round after the other, for all who wait.

* A round runs its operations on trio's thread and waits for the disk in another; whoever comes meanwhile shares the
  next round. Python code in two threads would cost more than it gains (ADR 4).
* An operation that was handed over runs to its end, whatever happens to its caller.
* Spent bytes are overwritten a moment later, beside the rounds.
* `Inline` does the same without a thread, for simulations: each operation is durable before its caller goes on.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio

from qfagent.errors import OutOfFiles, StoreError
from qfagent.store.store import Store

T = TypeVar("T")
ERASE_AFTER: Final = 0.1  # seconds


class Committer(Protocol):
    """What runs operations on the store."""

    async def run(self, operation: Callable[[], T]) -> T:
        """The operation's value, once it is durable; raises what it raised, or StoreError."""
        ...


class _Job:
    __slots__ = ("operation", "task")

    def __init__(self, operation: Callable[[], Any], task: trio.lowlevel.Task) -> None:
        self.operation, self.task = operation, task


def _answer(jobs: list[_Job], results: list[outcome.Outcome[Any]]) -> None:
    for job, result in zip(jobs, results, strict=True):
        trio.lowlevel.reschedule(job.task, result)


class _Thread:
    """Does one thing after the other, away from trio; shielded from cancellation."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], trio.lowlevel.Task] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._run, name="store", daemon=True).start()

    async def run(self, work: Callable[[], T]) -> T:
        self._work.put((work, trio.lowlevel.current_task()))
        result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return result

    def end(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, task = item
            self._token.run_sync_soon(trio.lowlevel.reschedule, task, outcome.capture(work))


class Threaded:
    """The store with a thread that waits for the disk, from `serve` until that is cancelled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: list[_Job] = []
        self._stirred = trio.Event()
        self._closed = self._erasing = False
        self._waits_since: float | None = None

    @property
    def waits(self) -> float:
        """Seconds that the commit which is under way has taken so far; 0 if there is none."""
        return 0.0 if self._waits_since is None else time.monotonic() - self._waits_since

    async def run(self, operation: Callable[[], T]) -> T:
        """See `Committer`."""
        if self._closed:
            raise StoreError("the store is closed")
        self._jobs.append(_Job(operation, trio.lowlevel.current_task()))
        self._stirred.set()
        result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return result

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the rounds; when cancelled, finishes what was handed over."""
        thread = _Thread()
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    await self._stirred.wait()
                    await self._rounds(thread)
                    self._erase_soon(nursery)
        finally:
            self._closed = True
            await self._rounds(thread)
            thread.end()

    async def _rounds(self, thread: _Thread) -> None:
        with trio.CancelScope(shield=True):
            while self._jobs:
                jobs, self._jobs = self._jobs, []
                await self._round(thread, jobs)
            self._stirred = trio.Event()

    async def _round(self, thread: _Thread, jobs: list[_Job]) -> None:
        group = await outcome.acapture(self._transact, thread, jobs)
        if isinstance(group, outcome.Value):
            results, seconds = group.value
            _answer(jobs, results)
            self._store.on_commit(seconds)
        elif len(jobs) == 1:
            _answer(jobs, [group])
        else:  # one by one, so that a failure hits who caused it
            for job in jobs:
                await self._round(thread, [job])

    async def _transact(self, thread: _Thread, jobs: list[_Job]) -> tuple[list[outcome.Outcome[Any]], float]:
        results = self._store.prepare([job.operation for job in jobs])
        conclude = self._store.conclude
        if not self._store.is_changed:
            return results, conclude()
        self._waits_since = time.monotonic()
        try:
            return results, await thread.run(conclude)
        finally:
            self._waits_since = None

    def _erase_soon(self, nursery: trio.Nursery) -> None:
        if self._store.pads.has_doomed and not self._erasing and not self._store.failed:
            self._erasing = True
            nursery.start_soon(self._erase)

    async def _erase(self) -> None:
        await trio.sleep(ERASE_AFTER)
        self._erasing = False
        if self._store.pads.has_doomed and not self._store.failed:
            with trio.CancelScope(shield=True):  # what is taken must be performed
                erasure = self._store.pads.take_doomed()
                with suppress(StoreError):  # the store stands still by itself
                    await trio.to_thread.run_sync(self._store.perform, erasure)


class Inline:
    """The store on the caller's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, operation: Callable[[], T]) -> T:
        """See `Committer`."""
        result: T = self._store.run(operation)
        with suppress(OutOfFiles):
            self._store.erase()
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
        return result
