"""Faults that the stage, or a hostile look, has found: the smallest play of each."""

import errno
import sys
import threading
from contextlib import closing, suppress
from random import Random

import pytest
import trio
import trio.testing

from qfagent.client.desk import open_desk
from qfagent.client.dropped import DropFolder
from qfagent.client.inbox import Inbox
from qfagent.client.ingestion import Ingestion
from qfagent.config import Config, Provisioner as Settings
from qfagent.dske import psrd
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block
from qfagent.dske.secret import Secret
from qfagent.dske.spans import Span
from qfagent.errors import NotFound, PsrdPreviouslyInserted, StoreError, StoreFenced
from qfagent.hub.books import open_books
from qfagent.hub.provisioner import Premises, Provisioner
from qfagent.hub.registry import Registry
from qfagent.store.committer import ERASE_AFTER, Inline, Threaded
from qfagent.store.fence import Reason
from qfagent.store.holdings import WRAPS_LIVE, Holdings
from qfagent.store.keys import KeyLog, Wrap
from qfagent.store.ledger import HUB_STEP
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.testing.disk import MemoryDisk, PowerLoss
from qfagent.testing.witness import Which
from qfagent.world import World, at_once
from tests.power.places import HUB, HUB_ID
from tests.power.plays import prologue
from tests.power.stage import Stage, unraisable

NOW = 1_800_000_000
WORLD = World(wall=lambda: NOW, random=Random(3).randbytes, in_thread=at_once)
CLIENT = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"


def make_block(seed=1, *, user=1024, server=1024, user_end=b""):
    chance = Random(seed)
    pads = chance.randbytes(user), chance.randbytes(server)
    return Block(HUB, CLIENT, "pool-0a1b2c3d", Secret(pads[0][: user - len(user_end)] + user_end), Secret(pads[1]))


def open_store(disk, *, step=128):
    return Store(disk, "/state", machine="m", world=WORLD, step=step)


def ingest(store, block, *, own=Direction.USER, state="ready"):
    store.pads.write(block)
    store.run(lambda: store.ledger.ingest(block, own=own, owner=CLIENT))
    store.database.execute("UPDATE blocks SET state = ? WHERE id = ?", state, block.id)


def pad_file(disk, block):
    return disk.files()[f"/state/pads/{block.id}"]


@pytest.fixture(autouse=True)
def unreported(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", unraisable)


@pytest.fixture
def disk():
    with MemoryDisk(5) as made:
        yield made


# --- erasure --------------------------------------------------------------------------------------


def calls_of_start(seed):
    """How many changing calls the start after a crash takes, from the disk that `spent_and_not_erased` makes."""
    with MemoryDisk(seed) as disk:
        spent_and_not_erased(disk)
        disk.calls.clear()
        store = open_store(disk)
        calls = disk.calls.total()
        store.close()
        return calls


def spent_and_not_erased(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    store.run(lambda: store.ledger.take(block.id, 32))
    disk.crash(lose="none")
    return block


def test_spent_bytes_are_erased_though_the_start_that_erases_them_loses_power_at_any_call():
    for cut in range(calls_of_start(1)):
        with MemoryDisk(1) as disk:
            block = spent_and_not_erased(disk)
            disk.power_off_after(cut)
            with pytest.raises(PowerLoss):
                open_store(disk)
            disk.crash(lose="all")
            open_store(disk)

            assert pad_file(disk, block)[32:64] == bytes(32)


def test_bytes_of_a_finished_wrap_are_erased_though_nothing_else_was_spent_since_the_start(disk):
    block, span = make_block(), Span(16, 64)
    store = open_store(disk)
    ingest(store, block)
    keys = KeyLog(store.database, store.ledger)
    store.run(lambda: store.ledger.claim(store.ledger.look(block.id, span), keep=True))
    store.run(lambda: keys.keep(Wrap(block.id, span, "peer-b", "id"), expires_at=NOW, now=NOW))
    store.close()
    store = open_store(disk)
    store.run(lambda: KeyLog(store.database, store.ledger).finish("peer-b", "id"))
    disk.crash(lose="all")
    open_store(disk)

    assert pad_file(disk, block)[1024 + 16 : 1024 + 80] == bytes(64)


def test_what_a_commit_dooms_while_an_erasure_is_taken_is_not_lost(disk):
    store = open_store(disk)
    blocks, taken, ended = [f"{number:032x}" for number in range(4000)], [], threading.Event()

    def commits():
        for block in blocks:
            store.pads.doom(block, 32, 32)
            store.pads.settle(committed=True)
        ended.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=commits)
        thread.start()
        while not ended.is_set() or store.pads.has_doomed:
            taken += store.pads.take_doomed().spans
        thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert blocks == sorted(taken)


def test_an_erasure_that_waits_for_a_thread_is_performed_though_the_committer_is_stopped(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    trio.run(_stop_while_all_threads_are_busy, store, block.id, clock=trio.testing.MockClock(autojump_threshold=0.01))
    store.close()

    assert pad_file(disk, block)[32:64] == bytes(32)


async def _stop_while_all_threads_are_busy(store, block):
    threads = trio.to_thread.current_default_thread_limiter()
    threads.total_tokens = 1
    async with trio.open_nursery() as nursery:
        committer = Threaded(store)
        await nursery.start(committer.serve)
        async with threads:
            await committer.run(lambda: store.ledger.take(block, 32))
            await trio.sleep(2 * ERASE_AFTER)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("step", [1, 1024])
def test_marks_that_are_older_than_the_erasure_hand_out_no_zeros(disk, step):
    """Before, a database that was put back made a hub store shares in clear."""
    block = make_block(user=4096)
    store = open_store(disk, step=step)
    ingest(store, block)
    store.close()
    old = disk.files()["/state/store.db"]
    store = open_store(disk, step=step)
    store.run(lambda: store.ledger.take(block.id, 500))
    store.close()
    with closing(disk.open("/state/store.db")) as file:
        file.truncate(0)
        file.write_at(0, old)
    store = open_store(disk, step=step)
    with pytest.raises(StoreError, match="erased or missing"):
        store.run(lambda: store.ledger.take(block.id, 96))

    assert "reused-span" == store.fence.reason.code


# --- fences and failures --------------------------------------------------------------------------


def test_a_fenced_store_refuses_to_spend_and_still_answers(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    store.fence.put_up(Reason("moved-machine", NOW, "", ""))
    with pytest.raises(StoreFenced):
        store.run(lambda: store.ledger.take(block.id, 32))

    assert not store.failed
    assert store.run(lambda: store.ledger.next(block.id)) == 32


def test_resuming_a_block_on_a_fenced_store_changes_nothing(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    holdings = Holdings(store.database, store.ledger)
    store.run(lambda: holdings.stop(block.id, reason="rolled-back", evidence=320))
    store.fence.put_up(Reason("moved-machine", NOW, "", ""))
    with pytest.raises(StoreFenced):
        store.run(lambda: holdings.resume(block.id))

    assert holdings.get(block.id).state == "stopped"


def test_whatever_fails_while_the_store_opens_is_a_store_error():
    for after in range(60):
        with MemoryDisk(1) as disk:
            open_store(disk).close()
            disk.fail("read_at", errno.EIO, after=after)
            try:
                open_store(disk).close()
            except StoreError:
                continue


def test_a_store_that_has_failed_writes_nothing_more_when_it_is_closed(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    disk.fail("sync", errno.EIO)
    with pytest.raises(StoreError):
        store.run(lambda: store.ledger.take(block.id, 32))
    before = dict(disk.calls)
    store.close()

    assert store.failed
    assert before == dict(disk.calls)


def test_a_store_whose_fence_can_not_be_written_still_says_what_has_failed(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    disk.fail("sync", errno.EIO)
    disk.fail("create", errno.ENOSPC)
    with pytest.raises(StoreError, match="the database failed"):
        store.run(lambda: store.ledger.take(block.id, 32))

    assert store.fence.reason.code == "failed-sync"


def test_a_store_that_stands_still_does_not_say_that_the_disk_is_full(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)
    store.run(lambda: store.ledger.take(block.id, 32))
    disk.fail("write_at", errno.ENOSPC)
    with suppress(StoreError):
        store.erase()
    with pytest.raises(StoreError) as caught:
        store.run(lambda: store.ledger.next(block.id))

    assert store.failed
    assert type(caught.value) is StoreError


def test_the_tag_that_keeps_backups_out_is_whole_though_power_failed_while_it_was_made():
    for cut in range(40):
        with MemoryDisk(cut) as disk:
            disk.power_off_after(cut)
            with disk.until_power_fails():
                open_store(disk)
            disk.crash()
            open_store(disk)
            disk.crash(lose="all")

            assert disk.files()["/state/pads/CACHEDIR.TAG"].startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


# --- spans ----------------------------------------------------------------------------------------


def test_a_span_that_was_looked_at_twice_is_claimed_once(disk):
    block = make_block()
    store = open_store(disk)
    ingest(store, block)

    def both():
        first, second = (store.ledger.look(block.id, Span(16, 64)) for _ in range(2))
        store.ledger.claim(first)
        store.ledger.claim(second)

    with pytest.raises(StoreError, match="claimed twice"):
        store.run(both)
    assert store.fence.reason.code == "reused-span"


def test_a_pad_whose_last_bytes_are_zero_by_chance_can_be_spent_to_its_end(disk):
    block = make_block(user_end=bytes(15) + b"p" * 64)
    store = open_store(disk, step=1)
    ingest(store, block)
    store.run(lambda: store.ledger.take(block.id, 1024 - 64 - 32 - 15))
    store.close()
    store = open_store(disk, step=1)

    store.run(lambda: store.ledger.skip(block.id, 1024))

    assert store.ledger.room(block.id) == 0


def test_the_file_of_a_block_that_ends_in_zeros_by_chance_is_known_again(disk):
    block = make_block(user_end=bytes(15) + b"p" * 64)
    store = open_store(disk, step=1)
    ingest(store, block)
    store.run(lambda: store.ledger.take(block.id, 1024 - 64 - 32 - 15))

    with pytest.raises(PsrdPreviouslyInserted):
        store.run(lambda: store.ledger.check_new(block))


def test_threads_that_commit_together_never_get_a_byte_that_somebody_had_before_power_failed():
    block, spans = make_block(user=8192), []
    with MemoryDisk(3) as disk:
        ingest(open_store(disk), block)
        for cut in range(0, 60, 3):
            disk.crash()
            disk.power_off_after(cut)
            with disk.until_power_fails():
                trio.run(_spend_together, open_store(disk), block.id, spans)

    assert len(spans) > 100
    assert all(not a.overlaps(b) for a, b in zip(sorted(spans), sorted(spans)[1:], strict=False))


async def _spend_together(store, block, spans):
    committer = Threaded(store)

    async def spend():
        for _ in range(3):
            spans.append((await committer.run(lambda: store.ledger.take(block, 32))).span)

    async with trio.open_nursery() as nursery:
        await nursery.start(committer.serve)
        async with trio.open_nursery() as spenders:
            for _ in range(4):
                spenders.start_soon(spend)
        nursery.cancel_scope.cancel()


# --- a client's blocks ----------------------------------------------------------------------------


@pytest.fixture
def desk(disk):
    return desk_over(open_store(disk))


def desk_over(store, name="peer-a"):
    config = Config(name=name)
    return open_desk(
        Surroundings(store, Inline(store), None, WORLD, lambda *_, **__: None, lambda: config, lambda awaited: awaited)
    )


def test_a_registration_whose_voucher_was_retired_that_moment_goes_without_a_proof(desk):
    old, new = make_block(1), make_block(2)
    ingest(desk.store, old)
    ingest(desk.store, new, state="new")
    desk.store.run(lambda: desk.holdings.retire(old.id, reason="by an operator"))

    sent = desk.store.run(lambda: desk.exchange.compose_register(new.id, "peer-a", prove_with=old.id))

    assert sent.proof is None


def test_a_retired_block_is_never_stopped(desk):
    block = make_block()
    ingest(desk.store, block)
    desk.store.run(lambda: desk.holdings.retire(block.id, reason="by an operator"))
    desk.store.run(lambda: desk.holdings.stop(block.id, reason="rolled-back", evidence=64))

    assert desk.holdings.get(block.id).state == "retired"


def hear(store, block, offset):
    store.run(lambda: store.ledger.claim(store.ledger.look(block.id, Span(offset, 32))))


@pytest.fixture
def two_blocks(disk):
    """A desk whose store reserves far ahead, with two blocks of one hub; the hub has answered under both."""
    desk, blocks = desk_over(open_store(disk, step=1024)), (make_block(1), make_block(2))
    for block in blocks:
        ingest(desk.store, block)
        hear(desk.store, block, 16)
    return desk, *blocks


def ended(desk, *, after):
    return desk.store.run(lambda: desk.holdings.end_exhausted(now=NOW + after))


def test_a_block_is_not_used_up_while_reserved_bytes_are_left(two_blocks):
    desk, old, new = two_blocks
    desk.store.run(lambda: desk.ledger.take(old.id, 32))
    ended(desk, after=0)
    hear(desk.store, new, 48)
    ended(desk, after=30)

    assert ended(desk, after=60 + WRAPS_LIVE) == []


def test_a_block_that_is_used_up_stays_until_the_hub_has_long_answered_under_another(two_blocks):
    desk, old, new = two_blocks
    desk.store.run(lambda: desk.ledger.take(old.id, 1024 - 64 - 32))
    idle = [ended(desk, after=after) for after in (0, WRAPS_LIVE, 2 * WRAPS_LIVE)]
    hear(desk.store, new, 48)
    left = ended(desk, after=2 * WRAPS_LIVE)

    assert [[], [], []] == idle
    assert [] == left
    assert [old.id] == ended(desk, after=3 * WRAPS_LIVE)


# --- dropped files --------------------------------------------------------------------------------


class Box:
    """An inbox over a store, on a disk that loses power."""

    def __init__(self, disk):
        self.disk, self.events = disk, []
        self.boot()

    def boot(self):
        store, config = open_store(self.disk), Config(name="peer-a")
        around = Surroundings(store, Inline(store), self.disk, WORLD, self.note, lambda: config, lambda _: None)
        self.desk = open_desk(around)
        self.folder = DropFolder(self.disk, "/inbox", rejected="/state/rejected")
        self.folder.prepare()
        self.inbox = Inbox(self.folder, Ingestion(self.desk, lambda _: None), self.desk)

    def note(self, name, **_):
        self.events.append(name)

    def drop(self, data, *, sync=True):
        with closing(self.disk.create("/inbox/a.json", len(data))) as file:
            file.write_at(0, data)
            if sync:
                file.sync()
        self.disk.sync_dir("/inbox")

    def place(self):
        with self.folder.open("/inbox/a.json") as dropped:
            return dropped.place

    def scan(self):
        trio.run(self.inbox._round)

    def left(self):
        return {path for path in self.disk.files() if path.startswith(("/inbox/", "/state/rejected/"))}


def overwritten_and_torn(data, *, twice):
    """What is left of a file after power failed in the midst of its erasure, for many tears."""
    for seed in range(60):
        with MemoryDisk(seed) as disk:
            box = Box(disk)
            if twice:
                box.drop(data)
                box.scan()
            box.drop(data)
            with disk.until_power_fails():
                disk.power_off_after(calls_until_overwritten(box, data))
                box.scan()
            disk.crash()
            box.boot()
            box.scan()
            yield box.left()


def calls_until_overwritten(box, data):
    """Counts the calls of a round like this one until the file is overwritten and not yet synced."""
    calls = []
    with MemoryDisk(0) as disk:
        other = Box(disk)
        if box.desk.holdings.live():
            other.drop(data)
            other.scan()
        other.drop(data)
        overwrite = other.folder.erase
        other.folder.erase = lambda dropped: calls.append(disk.calls.total()) or overwrite(dropped)
        disk.calls.clear()
        other.scan()
    return calls[0] + 1


@pytest.mark.parametrize("twice", [False, True], ids=["a new block", "a block that is known"])
def test_a_file_that_is_torn_while_it_is_erased_is_erased_in_the_end(twice):
    assert [set()] * 60 == list(overwritten_and_torn(psrd.encode(make_block()), twice=twice))


def test_what_power_loss_leaves_of_a_file_that_was_ingested_and_not_synced_is_erased(disk):
    data = psrd.encode(make_block())
    box = Box(disk)
    box.drop(data[: len(data) - 300])  # the rest never reached the disk
    box.desk.store.run(lambda: box.inbox._ingestion.leftovers.add(box.place(), make_block().id))
    box.scan()

    assert set() == box.left()


def test_a_file_of_another_block_under_the_name_of_a_leftover_is_left_alone(disk):
    box = Box(disk)
    box.drop(psrd.encode(make_block(2))[:-300])
    box.desk.store.run(lambda: box.inbox._ingestion.leftovers.add(box.place(), make_block(1).id))
    box.scan()

    assert {"/inbox/a.json"} == box.left()


def test_a_leftover_that_was_removed_and_not_synced_is_not_there_again_after_power_loss(disk):
    box = Box(disk)
    box.drop(psrd.encode(make_block()))
    box.desk.store.run(lambda: box.inbox._ingestion.leftovers.add(box.place(), make_block().id))
    disk.unlink("/inbox/a.json")
    box.scan()
    disk.crash(lose="all")

    assert set() == box.left()


# --- a hub's pool ---------------------------------------------------------------------------------


class Pool:
    """A hub that has nothing but a pool."""

    def __init__(self, disk):
        self.disk = disk
        self.boot()

    def boot(self):
        self.store = open_store(self.disk, step=HUB_STEP)
        self.books = open_books(self.store, WORLD, hub_id=HUB_ID, binding="open", share_ttl=3600)
        around = Surroundings(self.store, self, self.disk, WORLD, lambda *_, **__: None, None, None)
        self.provisioner = Provisioner(around, self.books, self.premises())
        self.registry = Registry(around, self.books, lambda: HUB, stir=lambda: None)
        self.before = {}  # what happens before an operation of a name
        trio.run(self.provisioner._prepare)

    async def run(self, operation):
        """The hub's committer; something may happen between two operations."""
        name = getattr(getattr(operation, "func", operation), "__name__", "")
        self.before.pop(name, lambda: None)()
        result = self.store.run(operation)
        self.store.erase()
        await trio.lowlevel.checkpoint()
        return result

    def premises(self, *, pool_size=1):
        settings = Settings(directory="/pool", pool_size=pool_size, user_bytes=1024, server_bytes=1024)
        return Premises(self.disk, "/pool", None, HUB, settings)

    def tend(self):
        trio.run(self.provisioner._tend)

    def take(self):
        return trio.run(self.provisioner.take)

    def files(self):
        return [path for path in self.disk.files() if path.startswith("/pool/")]


@pytest.fixture
def pool(disk):
    made = Pool(disk)
    made.tend()
    return made


def test_a_file_that_was_carried_away_is_not_handed_out_again(pool):
    (path,) = pool.files()
    carried = pool.disk.files()[path]
    pool.disk.unlink(path)

    with pytest.raises(NotFound):
        pool.take()
    pool.tend()
    assert pool.take() != carried


def test_a_file_of_the_pool_is_whole_or_not_there_wherever_power_fails_while_it_is_taken():
    for cut in range(12):
        with MemoryDisk(cut) as disk:
            pool = Pool(disk)
            pool.tend()
            disk.power_off_after(cut)
            with disk.until_power_fails():
                pool.take()
            disk.crash()
            seen = {path: data for path, data in disk.files().items() if path.startswith("/pool/pool-")}

            for data in seen.values():
                psrd.decode(data)


def test_nothing_unfinished_is_left_in_the_pool_after_a_round(pool):
    for cut in range(12):
        pool.disk.power_off_after(cut)
        with pool.disk.until_power_fails():
            pool.take()
        pool.disk.crash()
        pool.boot()
        pool.tend()

        assert [path for path in pool.files() if path.startswith("/pool/.")] == []


def test_a_pool_that_can_not_be_written_costs_nothing_but_the_attempt(disk):
    pool = Pool(disk)
    for _ in range(5):
        disk.fail("rename", errno.EACCES)
        pool.tend()

    assert pool.provisioner.problem is not None
    assert pool.books.clients.all() == []
    assert [path for path in disk.files() if "/pads/" in path] == ["/state/pads/CACHEDIR.TAG"]


def test_a_file_whose_copy_is_in_use_is_not_handed_out(pool):
    (client,) = pool.books.clients.all()
    (block,) = pool.books.clients.blocks(client.id)
    pool.store.run(lambda: pool.books.ledger.claim(pool.books.ledger.look(block, Span(32, 32))))  # and refused

    with pytest.raises(NotFound):
        pool.take()
    assert pool.files() == []


def test_a_client_that_registers_under_a_file_that_is_being_taken_back_is_not_forgotten(disk):
    pool = Pool(disk)

    def register():
        (client,) = pool.books.clients.all()
        pool.store.run(lambda: pool.books.clients.bind(client, "peer-a"))

    pool.before["_forget_unfinished"] = register
    disk.fail("sync_dir", errno.EIO, after=1)  # of the pool: its file is seen by now
    pool.tend()

    assert pool.provisioner.problem is not None
    assert pool.books.clients.of_peer("peer-a") is not None


def test_a_file_that_was_seen_to_be_gone_does_not_come_back_after_power_loss(pool):
    (path,) = pool.files()
    pool.disk.unlink(path)  # whoever has moved it did not sync
    pool.provisioner.reconfigure(pool.premises(pool_size=0))  # lest a new file is synced in its place
    pool.tend()
    pool.disk.crash(lose="all")

    assert path not in pool.files()


def test_a_client_that_registers_while_its_file_is_seen_to_be_gone_is_not_forgotten_later(pool):
    (path,) = pool.files()
    (client,) = pool.books.clients.all()
    pool.disk.unlink(path)

    pool.before["_hand_out"] = lambda: pool.store.run(lambda: pool.books.clients.bind(client, "peer-a"))
    pool.tend()
    trio.run(lambda: pool.registry.expire(older_than=-1))

    assert pool.books.clients.of_peer("peer-a") is not None


def test_a_client_that_was_removed_while_its_file_was_erased_is_gone(pool):
    (client,) = pool.books.clients.all()
    pool.store.run(lambda: pool.books.clients.bind(client, "peer-a"))
    bound = pool.books.clients.get(client.id)
    pool.before["_settle_used"] = lambda: pool.store.run(lambda: pool.registry._remove(bound, "removed"))
    pool.tend()
    pool.tend()

    assert client.id not in {left.id for left in pool.books.clients.all()}


def test_a_hub_wraps_under_no_block_that_its_client_can_not_speak_under_any_more(disk):
    pool, old, new = Pool(disk), make_block(1), make_block(2)
    client = pool.store.run(lambda: pool.books.clients.add("peer-a", now=NOW))
    for block in (old, new):
        ingest(pool.store, block, own=Direction.SERVER)
        pool.store.database.execute("UPDATE blocks SET owner = ? WHERE id = ?", client.id, block.id)
    pool.store.run(lambda: pool.books.ledger.claim(pool.books.ledger.look(old.id, Span(32, 1024 - 64 - 32))))
    pool.store.run(lambda: pool.books.clients.heard(client, new.id, now=NOW))

    assert (new.id,) == tuple(pool.books.clients.ready_blocks(pool.books.clients.get(client.id)))


# --- the stage itself -----------------------------------------------------------------------------


def test_a_share_that_was_acknowledged_is_there_after_power_loss():
    with Stage(2) as stage:
        prologue(stage)
        stage.play("converse", who=0, what=1, block=0)
        (which,) = stage.witness.kept
        stage.play("crash", machine=0, lose=1, cut=0)

        assert isinstance(which, Which)
        assert stage.hub.books.shares.known(*which, now=stage.now)
