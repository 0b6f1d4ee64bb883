"""The inbox is where PSRD files are dropped by scp, rsync, cp or mv; it is scanned, and a watch only wakes the scanner.

* A closed file is not a finished file: completeness is proved from the content.
* A fault of the disk holds a file back, and those behind it only if it would hit them too; a fault of the file moves
  it to `rejected/`, with the reason beside it. Of one that contradicts a known block only the reason is kept: the rest
  may be bytes that are in use.
* What was ingested is overwritten where that is permitted, and removed; after a crash, too.
* operations.md, The drop folder.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec
import trio

from qfagent.backoff import Backoff
from qfagent.client.desk import Desk
from qfagent.client.dropped import DropFolder, Dropped, shown
from qfagent.client.ingestion import Ingestion
from qfagent.dske import psrd
from qfagent.errors import (
    AgentError,
    DiskFull,
    NotPermitted,
    PsrdContradiction,
    PsrdIncomplete,
    PsrdPreviouslyInserted,
    PsrdRejected,
    StoreError,
    StoreFenced,
)
from qfagent.store.disk import Facts
from qfagent.store.leftovers import Place

STALLED_AFTER: Final = 30.0  # seconds without growth, until an incomplete file is a health issue
REJECTED_AFTER: Final = 86_400.0  # seconds without growth, until it is rejected
JITTER: Final = 0.2  # of the interval between scans
FEW: Final = 5  # files that an issue names


class _Cut(msgspec.Struct, frozen=True):
    """An incomplete file: as what it was last seen, and since when it is so (clock of trio)."""

    facts: Facts
    since: float


class Inbox:
    """Takes in what is dropped, for as long as it runs."""

    def __init__(self, folder: DropFolder, ingestion: Ingestion, desk: Desk) -> None:
        self._folder, self._ingestion, self._desk = folder, ingestion, desk
        self._woken = trio.Event()
        self._cut: dict[str, _Cut] = {}
        self._unreadable: dict[str, NotPermitted] = {}
        self._backoff = Backoff(desk.world)
        self._held_back: dict[str, StoreError] = {}  # by path; in the round that is under way, or was the last
        self.held: StoreError | None = None

    def wake(self) -> None:
        """Something may have been dropped."""
        self._woken.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Scans at start, when woken, and every now and then."""
        await self._desk.world.in_thread(self._folder.prepare)
        task_status.started()
        wait, woken = 0.0, False
        while True:
            self._woken = trio.Event()
            due = await self._round(woken=woken)
            wait = wait if due is None else due
            with trio.move_on_after(wait) as waiting:
                await self._woken.wait()
            woken = not waiting.cancelled_caught

    def issues(self) -> dict[str, str]:
        """What an operator should see to, by code."""
        issues = {}
        if self._unreadable:
            issues["inbox-unreadable"] = _few([error.detail for error in self._unreadable.values()], between="; ")
        stalled = [shown(name) for name, cut in self._cut.items() if trio.current_time() - cut.since >= STALLED_AFTER]
        if stalled:
            issues["inbox-incomplete"] = f"incomplete, and not growing: {_few(stalled)}"
        if self.held is not None:
            held_back = [shown(path.rpartition("/")[2]) for path in self._held_back]
            issues["inbox-held"] = f"{_few(held_back) or 'everything'} is held back: {self.held}"
        return issues

    def counts(self) -> dict[str, int]:
        """How many dropped files wait, by why."""
        return {"held": len(self._held_back), "incomplete": len(self._cut), "unreadable": len(self._unreadable)}

    async def _round(self, *, woken: bool = False) -> float | None:
        """One scan; seconds until the next, or None: as long as after the last.

        Files that keep coming to a disk that keeps failing make nobody wait longer.
        """
        self._held_back = {}
        try:
            await self._erase_leftovers()
            await self._scan()
        except StoreError as error:
            self.held = error
        else:
            self.held = next(iter(self._held_back.values()), None)
        if self.held is not None:
            return None if woken and self._backoff.failing else self._backoff.failed()
        self._backoff.worked()
        return self._desk.settings().scan_interval * (1 + JITTER * (self._desk.world.fraction() - 0.5))

    @contextmanager
    def _holding_back(self, path: str) -> Iterator[None]:
        """What hits this file alone does not keep the others from coming in."""
        try:
            yield
        except StoreError as error:
            if isinstance(error, DiskFull | StoreFenced) or self._desk.store.failed:
                raise
            self._held_back[path] = error

    async def _scan(self) -> None:
        names = await self._desk.world.in_thread(self._folder.names)
        self._cut = {name: cut for name, cut in self._cut.items() if name in names}
        self._unreadable = {name: error for name, error in self._unreadable.items() if name in names}
        for name in names:
            path = f"{self._folder.path}/{name}"
            if path not in self._held_back:  # what is left of it is no file to judge
                with self._holding_back(path):
                    await self._consider(name)

    async def _consider(self, name: str) -> None:
        try:
            await self._take_in(name)
        except FileNotFoundError:
            return
        except NotPermitted as error:
            self._leave(name, error)
        except PsrdIncomplete as error:
            await self._wait_for_more(name, error)
        except PsrdRejected as error:
            await self._reject(name, error)

    async def _take_in(self, name: str) -> None:
        path = f"{self._folder.path}/{name}"
        with self._folder.open(path) as dropped:
            self._unreadable.pop(name, None)
            if name in self._cut and self._cut[name].facts == dropped.facts:
                raise PsrdIncomplete("it has not grown")
            self._cut.pop(name, None)
            data = await self._desk.world.in_thread(dropped.read)
            try:
                await self._ingestion.ingest(data, dropped_at=dropped.place)
            except PsrdIncomplete:
                self._cut[name] = _Cut(dropped.facts, trio.current_time())
                raise
            except PsrdPreviouslyInserted as error:
                self._desk.note("psrd.duplicate", file=shown(name), reason=str(error))
                await self._record(dropped, data)
            except PsrdContradiction as error:
                self._desk.note("psrd.contradiction", file=shown(name), code=error.slug, reason=str(error))
                await self._record(dropped, data)
                await self._desk.world.in_thread(partial(self._folder.explain, name, error, now=self._desk.world.now()))
            await self._erase(dropped)

    async def _record(self, dropped: Dropped, data: bytes) -> None:
        """A crash while the file is erased leaves no part of it."""
        block = psrd.decode(data).id
        await self._desk.committer.run(partial(self._ingestion.leftovers.add, dropped.place, block))

    async def _erase(self, dropped: Dropped) -> None:
        overwritten = await self._desk.world.in_thread(partial(self._folder.erase, dropped))
        if not overwritten:
            reason = "the agent may not write to it"
            self._desk.note("psrd.not-overwritten", file=shown(dropped.path), reason=reason)
        await self._desk.committer.run(partial(self._ingestion.leftovers.remove, dropped.path))

    async def _erase_leftovers(self) -> None:
        """What a crash left between ingesting a file and erasing it; a new file of that name is left alone."""
        for place, block in (await self._desk.committer.run(self._ingestion.leftovers.all)).items():
            with self._holding_back(place.path):
                await self._erase_leftover(place, block)

    async def _erase_leftover(self, place: Place, block: str) -> None:
        try:
            with self._folder.open(place.path) as dropped:
                data = await self._desk.world.in_thread(dropped.read)
                half_erased = dropped.place == place and b"\0" in data  # in another file, it may be room reserved
                if half_erased or _is_of(block, data):
                    if dropped.place != place:
                        await self._take_place(dropped, block)
                    await self._erase(dropped)
        except FileNotFoundError:
            await self._desk.world.in_thread(self._folder.sync)  # what was removed may be there after power loss
        except (NotPermitted, PsrdRejected):
            pass
        await self._desk.committer.run(partial(self._ingestion.leftovers.remove, place.path))

    async def _take_place(self, dropped: Dropped, block: str) -> None:
        """Another copy stands where the leftover was: from now on it is the one that is to be erased."""
        await self._desk.world.in_thread(self._folder.sync)  # the leftover's name does not come back
        await self._desk.committer.run(partial(self._ingestion.leftovers.add, dropped.place, block))

    async def _wait_for_more(self, name: str, error: AgentError) -> None:
        cut = self._cut.get(name)
        if cut is not None and trio.current_time() - cut.since >= REJECTED_AFTER:
            await self._reject(name, error)

    def _leave(self, name: str, error: NotPermitted) -> None:
        if name not in self._unreadable:
            self._desk.note("psrd.unreadable", file=shown(name), reason=error.detail)
        self._unreadable[name] = error

    async def _reject(self, name: str, error: AgentError) -> None:
        try:
            again = name in self._unreadable
            work = partial(self._folder.reject, name, error, now=self._desk.world.now(), again=again)
            if not await self._desk.world.in_thread(work):
                return
        except NotPermitted as refusal:
            self._leave(name, refusal)
            return
        self._desk.note("psrd.rejected", file=shown(name), code=error.slug, reason=str(error))


def _few(texts: list[str], *, between: str = ", ") -> str:
    """The first few, and how many more there are."""
    more = f" and {len(texts) - FEW} more" if len(texts) > FEW else ""
    return between.join(sorted(texts)[:FEW]) + more


def _is_of(block: str, data: bytes) -> bool:
    """Whether the bytes are the block's file, or a part of it that shows whose it is."""
    try:
        return psrd.decode(data).id == block
    except PsrdRejected:
        return base64.b64encode(bytes.fromhex(block)[:15]) in data
