"""The committer: many callers, few commits, and each gets what is his, whatever happens to the others."""

import errno
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from qfagent.dske.pad import Direction
from qfagent.errors import DiskFull, NotFound, StoreError
from qfagent.store.committer import Inline, Threaded
from qfagent.store.disk import RealDisk
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk, MemoryFile
from qfagent.world import World
from tests.store.stores import block_of


class Office:
    """A store with its committer at work."""

    def __init__(self, disk, folder):
        self.disk, self.store = disk, Store(disk, folder, machine="m", world=World(), step=1)
        self.committer, self.commits = Threaded(self.store), []
        self.store.on_commit = self.commits.append
        self.scope = trio.CancelScope()

    @asynccontextmanager
    async def open(self):
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            yield self
            self.scope.cancel()

    async def _serve(self, *, task_status):
        with self.scope:
            await self.committer.serve(task_status=task_status)

    async def set(self, name, value=1):
        return await self.committer.run(lambda: self.store.database.set(name, value))

    async def get(self, name):
        return await self.committer.run(lambda: self.store.database.get(name))


@pytest.fixture
async def office():
    with MemoryDisk() as disk:
        async with Office(disk, "/state").open() as made:
            yield made


@pytest.fixture
async def real(tmp_path):
    async with Office(RealDisk(), str(tmp_path)).open() as made:
        yield made


async def test_an_operations_value_comes_back_when_it_is_durable(office):
    assert 7 == await office.committer.run(lambda: office.store.database.set("a", 1) or 7)
    office.disk.power_off()

    office.disk.crash(lose="all")
    assert 1 == Store(office.disk, "/state", machine="m", world=World()).database.get("a")
    office.store._failure = "this life is over"


async def test_whoever_comes_while_a_commit_is_under_way_shares_the_next_one(office):
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(office.set, f"n{number}", number)

    assert len(office.commits) <= 3
    assert list(range(200)) == [await office.get(f"n{number}") for number in range(200)]


async def test_a_thousand_callers_on_a_real_disk_need_few_commits(real):
    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(real.set, f"n{number}", number)

    assert len(real.commits) < 50
    assert 999 == await real.get("n999")


async def test_operations_run_in_the_order_in_which_they_were_handed_over(office):
    order = []
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(office.committer.run, lambda number=number: order.append(number))
            await trio.lowlevel.checkpoint()

    assert sorted(order) == order


@pytest.mark.parametrize("error", [NotFound("no"), RuntimeError("bug"), AssertionError("bug")])
async def test_a_failing_operation_hurts_only_its_caller(office, error):
    failures = []

    def fail():
        if not isinstance(error, NotFound):
            office.store.database.set("trace", 1)
        raise error

    async def call():
        try:
            await office.committer.run(fail)
        except type(error) as caught:
            failures.append(caught)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(office.set, f"n{number}", number)
            if number % 5 == 0:
                nursery.start_soon(call)

    assert 4 == len(failures)
    assert list(range(20)) == [await office.get(f"n{number}") for number in range(20)]
    assert await office.get("trace") is None


async def test_a_full_disk_is_told_to_every_caller_and_passes(office):
    office.disk.fail("write_at", errno.ENOSPC, times=10**9)
    told = []

    async def call(number):
        try:
            await office.set(f"n{number}")
        except DiskFull:
            told.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(call, number)
    office.disk.heal()
    await office.set("a")

    assert list(range(10)) == sorted(told)
    assert [1, *[None] * 10] == [await office.get(name) for name in ("a", *(f"n{number}" for number in range(10)))]


async def test_what_only_reads_is_answered_on_a_full_disk(office):
    await office.set("a")
    office.disk.fail("write_at", errno.ENOSPC, times=10**9)

    assert 1 == await office.get("a")


async def test_no_operation_runs_twice_though_the_watcher_of_commits_fails():
    """Before, it failed the transaction that was durable, and every operation of the round was run again."""
    with MemoryDisk() as disk:
        office, block, spans = Office(disk, "/state"), block_of(), []
        office.store.pads.write(block)
        office.store.run(lambda: office.store.ledger.ingest(block, own=Direction.USER))
        office.store.on_commit = lambda _: 1 // 0

        async def spend():
            spans.append((await office.committer.run(lambda: office.store.ledger.take(block.id, 32))).span.offset)

        with pytest.raises(ExceptionGroup) as caught:
            async with office.open(), trio.open_nursery() as callers:
                for _ in range(2):
                    callers.start_soon(spend)
        office.store.on_commit = office.commits.append
        office.store.close()

        assert caught.group_contains(ZeroDivisionError)
        assert [32, 64] == sorted(spans)
        assert bytes(64) == disk.files()[f"/state/pads/{block.id}"][32:96]


async def test_a_failed_sync_is_told_to_every_caller_from_then_on(office):
    office.disk.fail("sync", errno.EIO)
    told = []

    async def call():
        try:
            await office.set("a")
        except StoreError as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(call)
    await call()

    assert 6 == len(told)
    assert office.store.failed


async def test_an_operation_of_a_cancelled_caller_is_carried_out_all_the_same(office):
    with trio.CancelScope() as scope:
        scope.cancel()
        await office.set("a")

    assert 1 == await office.get("a")


async def test_a_caller_is_not_torn_away_from_its_operation(office):
    """What was spent is known to who has spent it: the answer comes first, the cancellation after."""
    came_back = []

    async def call():
        came_back.append(await office.committer.run(lambda: office.store.database.set("a", 1) or "spent"))
        await trio.sleep_forever()

    with trio.move_on_after(0.05):
        await call()

    assert ["spent"] == came_back


async def test_a_stop_finishes_what_was_handed_over_and_takes_no_more():
    with MemoryDisk() as disk:
        office, done = Office(disk, "/state"), []

        async def call(number):
            await office.set(f"n{number}", number)
            done.append(number)

        async with trio.open_nursery() as callers, office.open():
            for number in range(30):
                callers.start_soon(call, number)
            await trio.lowlevel.checkpoint()

        assert list(range(30)) == sorted(done)
        with pytest.raises(StoreError, match="closed"):
            await office.set("late")
        office.store.close()


@pytest.mark.parametrize("_", range(10))  # the order of tasks is a matter of chance
async def test_who_comes_at_the_very_moment_of_a_stop_is_served_or_told_and_never_forgotten(_):
    with MemoryDisk() as disk:
        office, ends, now = Office(disk, "/state"), [], trio.Event()

        async def call(number):
            await now.wait()
            try:
                await office.set(f"n{number}", number)
                ends.append("served")
            except StoreError:
                ends.append("told")

        with trio.fail_after(5):
            async with trio.open_nursery() as callers, office.open():
                for number in range(10):
                    callers.start_soon(call, number)
                await trio.testing.wait_all_tasks_blocked()
                now.set()
        there = [office.store.database.get(f"n{number}") for number in range(10)]
        office.store.close()

        assert 10 == len(ends)
        assert ends.count("served") == len([value for value in there if value is not None])


async def test_after_a_stop_nothing_that_was_spent_is_left_to_erase(tmp_path):
    office, block = Office(RealDisk(), str(tmp_path)), block_of()
    office.store.pads.write(block)
    async with office.open():
        await office.committer.run(lambda: office.store.ledger.ingest(block, own=Direction.USER))
        await office.committer.run(lambda: office.store.ledger.take(block.id, 100))
    office.store.close()

    assert bytes(100) == Path(tmp_path, "pads", block.id).read_bytes()[32:132]


async def test_spent_bytes_are_erased_within_a_second_and_nobody_waits_for_that(real, tmp_path):
    block = block_of()
    real.store.pads.write(block)
    await real.committer.run(lambda: real.store.ledger.ingest(block, own=Direction.USER))
    path = trio.Path(tmp_path, "pads", block.id)
    began = time.monotonic()
    await real.committer.run(lambda: real.store.ledger.take(block.id, 100))
    while (await path.read_bytes())[32:132] != bytes(100):
        assert time.monotonic() - began < 1
        await trio.sleep(0.01)

    assert block.user.reveal()[132:] == (await path.read_bytes())[132:2048]


async def test_spending_goes_on_while_spent_bytes_are_erased(real):
    block = block_of(user=100_000)
    real.store.pads.write(block)
    await real.committer.run(lambda: real.store.ledger.ingest(block, own=Direction.USER))
    spans = []

    async def spend():
        for _ in range(60):
            pad = await real.committer.run(lambda: real.store.ledger.take(block.id, 32))
            spans.append((pad.span.offset, pad.draw(32)))
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(spend)

    assert 240 == len({offset for offset, _ in spans})
    assert all(block.user.reveal()[offset : offset + 32] == data for offset, data in spans)


async def test_a_failed_erasure_stops_the_store_and_nothing_else(office):
    block = block_of()
    office.store.pads.write(block)
    await office.committer.run(lambda: office.store.ledger.ingest(block, own=Direction.USER))
    await office.committer.run(lambda: office.store.ledger.take(block.id, 32))
    office.disk.fail("open", errno.EIO, times=10**9)
    with trio.fail_after(5):
        while not office.store.failed:
            await trio.sleep(0.01)
    office.disk.heal()

    with pytest.raises(StoreError):
        await office.get("a")


async def test_an_erasure_that_the_disk_swallows_stops_the_store(office, monkeypatch):
    """Before, nobody heard of it, and the block counted as erased."""
    block = block_of()
    office.store.pads.write(block)
    await office.committer.run(lambda: office.store.ledger.ingest(block, own=Direction.USER))
    await office.committer.run(lambda: office.store.ledger.take(block.id, 32))
    monkeypatch.setattr(MemoryFile, "write_at", lambda *_: None)
    await trio.sleep(0.5)
    monkeypatch.undo()

    assert office.store.failed
    with pytest.raises(StoreError, match="did not take"):
        await office.get("a")


async def test_a_bug_in_an_erasure_is_not_overlooked():
    with MemoryDisk() as disk:
        office = Office(disk, "/state")
        office.store.perform = lambda _: 1 // 0
        with pytest.raises(ExceptionGroup) as caught:
            async with office.open():
                office.store.pads.doom("f" * 32, 0, 1)
                await office.set("a")
                await trio.sleep(0.5)

        assert caught.group_contains(ZeroDivisionError)


async def test_what_could_not_be_erased_for_want_of_descriptors_is_erased_behind_the_next_operation(office):
    block = block_of()
    office.store.pads.write(block)
    await office.committer.run(lambda: office.store.ledger.ingest(block, own=Direction.USER))
    await office.committer.run(lambda: office.store.ledger.take(block.id, 32))
    office.disk.fail("open", errno.EMFILE)
    await trio.sleep(0.2)
    before = office.disk.files()[f"/state/pads/{block.id}"][32:64]
    await office.get("a")
    await trio.sleep(0.2)

    assert block.user.reveal()[32:64] == before
    assert bytes(32) == office.disk.files()[f"/state/pads/{block.id}"][32:64]


async def test_inline_is_durable_and_erased_before_its_caller_goes_on():
    with MemoryDisk() as disk:
        store, block = Store(disk, "/state", machine="m", world=World(), step=1), block_of()
        store.pads.write(block)
        committer = Inline(store)
        await committer.run(lambda: store.ledger.ingest(block, own=Direction.USER))
        await committer.run(lambda: store.ledger.take(block.id, 100))

        assert bytes(100) == disk.durable_files()[f"/state/pads/{block.id}"][32:132]
