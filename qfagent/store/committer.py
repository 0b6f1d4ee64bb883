"""The committer owns the store's thread: whoever waits while a commit is under way shares the next one.

* An operation that was handed over runs to its end, whatever happens to its caller.
* Spent bytes are overwritten when the thread has a moment, and at least every `ERASE_WITHIN` seconds under load.
* `Inline` does the same without a thread, for simulations: each operation is durable before its caller goes on.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio

from qfagent.errors import StoreError
from qfagent.store.store import Store

T = TypeVar("T")
ERASE_WITHIN: Final = 0.25  # seconds
_QUIET: Final = 0.02  # seconds without work, after which it is time to erase


class Committer(Protocol):
    """What runs operations on the store."""

    async def run(self, operation: Callable[[], T]) -> T:
        """The operation's value, once it is durable; raises what it raised, or StoreError."""
        ...


class _Job:
    __slots__ = ("operation", "result", "task")

    def __init__(self, operation: Callable[[], Any], task: trio.lowlevel.Task) -> None:
        self.operation, self.task = operation, task
        self.result: outcome.Outcome[Any]


class _Waiting:
    """The jobs that were handed over and not yet taken."""

    def __init__(self) -> None:
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self.closed = False

    def put(self, job: _Job) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def take(self, timeout: float | None) -> list[_Job]:
        """All that wait; none after `timeout` seconds, or at the end."""
        with self._changed:
            if not self._jobs and not self.closed:
                self._changed.wait(timeout)
            jobs, self._jobs = self._jobs, []
            return jobs

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify()


class Threaded:
    """The store on a thread of its own, from `serve` until that is cancelled."""

    def __init__(self, store: Store) -> None:
        self._store, self._waiting = store, _Waiting()

    async def run(self, operation: Callable[[], T]) -> T:
        """See `Committer`."""
        if self._waiting.closed:
            raise StoreError("the store is closed")
        self._waiting.put(_Job(operation, trio.lowlevel.current_task()))
        result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return result

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the thread; when cancelled, finishes what was handed over."""
        ended = trio.Event()
        token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._work, args=(token, ended), name="store").start()
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._waiting.close()
            with trio.CancelScope(shield=True):
                await ended.wait()

    def _work(self, token: trio.lowlevel.TrioToken, ended: trio.Event) -> None:
        erased_at = time.monotonic()
        while (jobs := self._waiting.take(_QUIET if self._store.pads.has_doomed else None)) or not self._waiting.closed:
            if jobs:
                _commit(self._store, jobs)
                token.run_sync_soon(_deliver, jobs)
            if not jobs or time.monotonic() - erased_at > ERASE_WITHIN:
                outcome.capture(self._store.erase)  # a failure has stopped the store, and shows at the next commit
                erased_at = time.monotonic()
        token.run_sync_soon(ended.set)


def _commit(store: Store, jobs: list[_Job]) -> None:
    group = outcome.capture(store.commit, [job.operation for job in jobs])
    if isinstance(group, outcome.Value):
        results = group.value
    else:  # one by one, so that a failure hits who caused it
        results = [outcome.capture(store.run, job.operation) for job in jobs]
    for job, result in zip(jobs, results, strict=True):
        job.result = result


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        trio.lowlevel.reschedule(job.task, job.result)


class Inline:
    """The store on the caller's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, operation: Callable[[], T]) -> T:
        """See `Committer`."""
        result: T = self._store.run(operation)
        self._store.erase()
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
        return result
