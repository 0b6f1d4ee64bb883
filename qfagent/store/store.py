"""The store is one agent's durable state: one folder, one lock, one transaction at a time, one commit for all who wait.

* `prepare` runs operations in one transaction, `conclude` makes it durable. An operation that refuses has changed
  nothing; anything else that fails, fails the whole transaction, and what it had in memory is forgotten.
* After a failed sync nothing is believed any more: the store stands still, and a fence is put up.
* The folder belongs to one machine; on another the store opens fenced.
* A block whose pad file is missing or damaged at the start is a tombstone from then on; the others go on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import outcome

from qfagent.dske.spans import Span
from qfagent.errors import (
    AgentError,
    DiskFull,
    NothingChanged,
    OneTimeViolation,
    OutOfFiles,
    StoreError,
    StoreFenced,
    WrongState,
)
from qfagent.store.database import Database, disk_faults
from qfagent.store.disk import Disk
from qfagent.store.fence import Fence, Reason
from qfagent.store.ledger import CLIENT_STEP, Ledger
from qfagent.store.pads import Erasure, Pads
from qfagent.world import World

_LIVE_BLOCKS: Final = "SELECT id FROM blocks WHERE state NOT IN ('retired', 'gone')"

Operation = Callable[[], Any]


class Part(Protocol):
    """What holds things in memory during a transaction."""

    def flush(self) -> None:
        """Writes what has changed; the transaction ends with it."""
        ...

    def forget(self) -> None:
        """Drops what memory holds, after a transaction that failed."""
        ...


class Store:
    """The open state folder."""

    def __init__(self, disk: Disk, folder: str, *, machine: str, world: World, step: int = CLIENT_STEP) -> None:
        """Opens, or makes, the folder. `machine` names the machine; WrongState if another process has the folder."""
        with disk_faults("opening the state folder"):
            disk.make_dir(folder, 0o700)
            self._lock = _lock(disk, f"{folder}/lock")
        self.fence = Fence(disk, f"{folder}/fence.json")
        self.database = Database(disk, f"{folder}/store.db")
        self.pads = Pads(disk, f"{folder}/pads")
        self.ledger = Ledger(self.database, self.pads, self.fence, step=step)
        self._parts: list[Part] = [self.ledger]
        self._failure: str | None = None  # why it stands still; an exception would keep alive whatever it passed
        self.is_changed = False  # whether the open transaction has changed anything
        self.on_commit: Callable[[float], None] = lambda _: None  # told how many seconds a commit took
        self.on_stop: Callable[[Reason], None] = lambda _: None  # told why the store stands still; in any thread
        self._world = world
        with disk_faults("opening the state folder"):
            self._check_machine(machine)
            self.ended = self.run(self._end_without_pads)  # blocks; there is nobody yet to tell
            self._clean_up()

    def commit(self, operations: Sequence[Operation]) -> list[outcome.Outcome[Any]]:
        """Runs the operations in one durable transaction; an outcome for each. Raises as `prepare` and `conclude`."""
        outcomes = self.prepare(operations)
        self.on_commit(self.conclude())
        return outcomes

    def prepare(self, operations: Sequence[Operation]) -> list[outcome.Outcome[Any]]:
        """Runs the operations in a transaction that is still open; nothing of them may leave before `conclude`.

        DiskFull, OutOfFiles, StoreFenced: nothing was changed. StoreError: the disk failed, and the store stands still.
        """
        if self._failure is not None:
            raise StoreError(self._failure)
        with self._transaction("working in the database"):
            self.database.begin()
            before = self.database.changes
            outcomes = [self._attempt(operation) for operation in operations]
            for part in self._parts:
                part.flush()
            self.is_changed = self.database.changes != before
        return outcomes

    def conclude(self) -> float:
        """Makes the open transaction durable, in any thread; how many seconds that took. Raises as `prepare`."""
        started = time.perf_counter()
        with self._transaction("committing"):
            self.database.commit()
        self.pads.settle(committed=True)
        if self.database.has_long_log:
            self._checkpoint()
        return time.perf_counter() - started

    def _checkpoint(self) -> None:
        """Shortens the log behind a commit, which stands whatever comes of this."""
        try:
            with disk_faults("moving commits from the log of the database to its file"):
                self.database.checkpoint()
        except (DiskFull, OutOfFiles):  # the log goes on growing, and the next commit tries again
            pass
        except StoreError as error:
            self.stop(error)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        """A step of a transaction: if it fails, nothing of the transaction has happened."""
        done = False
        try:
            with disk_faults(doing):
                yield
            done = True
        except (DiskFull, OutOfFiles, StoreFenced):
            raise
        except (StoreError, OneTimeViolation) as error:
            self.stop(error)
            raise StoreError(str(error)) from error
        finally:
            if not done:
                self._abandon()

    def add(self, part: Part) -> None:
        """Lets another part take its share in every transaction, until `parts` takes it out again."""
        self._parts.append(part)

    @contextmanager
    def parts(self) -> Iterator[None]:
        """Parts that are added while the block lasts leave with it; nobody hands in operations on them any more."""
        stay = list(self._parts)
        try:
            yield
        finally:
            self._parts = stay

    def run(self, operation: Callable[[], Any]) -> Any:
        """Runs one operation in a transaction of its own."""
        return self.commit([operation])[0].unwrap()

    def erase(self) -> None:
        """Overwrites what committed transactions have doomed. StoreError."""
        if self._failure is None and self.pads.has_doomed:
            self.perform(self.pads.take_doomed())

    def perform(self, erasure: Erasure) -> None:
        """Performs an erasure, in any thread; if that fails, the store stands still. StoreError; OutOfFiles: later."""
        try:
            erasure.perform()
        except OutOfFiles:
            self.pads.give_back(erasure)
            raise
        except StoreError as error:
            self.stop(error)
            raise

    @property
    def failed(self) -> bool:
        """Whether the store stands still."""
        return self._failure is not None

    def close(self) -> None:
        """Erases what is doomed, and closes; after a failure it only lets go, behind a fence."""
        if self._failure is None:
            self.erase()
            self.run(self.ledger.settle)
            self.pads.close()
            self.database.close()
        else:
            self.database.abandon()
            with suppress(StoreError):  # `stop` may have failed to write it; nobody is left to be told
                self.fence.make_durable()
        self._lock.close()

    def _attempt(self, operation: Operation) -> outcome.Outcome[Any]:
        before = self._moves
        try:
            return outcome.Value(operation())
        except StoreError as error:
            if not isinstance(error, StoreFenced) or self._moves != before:
                raise  # what an operation did before it met the fence goes with the whole transaction
            return outcome.Error(error)
        except AgentError as error:
            assert self._moves == before, "an operation that refuses has changed nothing"
            return outcome.Error(error)

    @property
    def _moves(self) -> tuple[int, int]:
        return self.database.changes, self.ledger.moves

    def _abandon(self) -> None:
        self.pads.settle(committed=False)
        for part in self._parts:
            part.forget()
        if self._failure is None:
            self.database.rollback()

    def stop(self, error: Exception) -> None:
        """Nothing is believed any more: the store stands still, and a fence is put up."""
        code = "reused-span" if isinstance(error, OneTimeViolation) else "failed-sync"
        remedy = "look at the disk and the log, start the agent again, then lift the fence"
        self._failure = str(error)
        reason = Reason(code, int(self._world.wall()), str(error), remedy)
        self.on_stop(reason)
        with suppress(StoreError):  # it stands in memory; what it can't be written for is the error that counts
            self.fence.put_up(reason)

    def _check_machine(self, machine: str) -> None:
        known = self.database.get("machine")
        if known is None:
            self.database.set("machine", machine)
        elif known != machine:
            remedy = "retire its blocks and carry new PSRD, or lift the fence if the other machine is gone for good"
            self.fence.put_up(
                Reason("moved-machine", int(self._world.wall()), "the state folder was made on another machine", remedy)
            )

    def lift_fence(self, machine: str) -> None:
        """The operator's word: spending may go on, on this machine. NothingChanged if no fence stands."""
        if self.fence.reason is None:
            raise NothingChanged("no fence stands")
        self.database.set("machine", machine)
        self.fence.take_down()

    def _end_without_pads(self) -> tuple[str, ...]:
        """Makes tombstones of live blocks that have lost their pads, and drops what is good for nothing without."""
        ended = tuple(self.ledger.without_pads())
        for block in ended:
            self.ledger.retire(block, state="gone", reason="pad-missing")
            self.database.execute("DELETE FROM wraps WHERE block = ?", block)
            self.database.execute("DELETE FROM shares WHERE block = ?", block)
        return ended

    def _clean_up(self) -> None:
        known = {block for (block,) in self.database.rows(_LIVE_BLOCKS)}
        self.pads.destroy_strangers(known)
        kept: dict[str, list[Span]] = {}
        for block, start, length in self.database.rows("SELECT block, start, length FROM wraps"):
            kept.setdefault(block, []).append(Span(start, length))
        self.run(lambda: self.ledger.erase_touched(kept))
        self.erase()
        self.run(self.ledger.settle)


def _lock(disk: Disk, path: str) -> Any:
    try:
        return disk.lock(path)
    except BlockingIOError as error:
        raise WrongState("another process has the state folder", remedy="stop the other agent") from error
