"""The store: transactions that are all or nothing, a folder of its own, and no belief after a failed sync."""

import errno
import gc
import weakref
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.errors import (
    DiskFull,
    NotFound,
    NothingChanged,
    OneTimeViolation,
    OutOfFiles,
    StoreError,
    StoreFenced,
)
from qfagent.store.database import SCHEMA_VERSION
from qfagent.store.fence import Reason
from qfagent.store.leftovers import Leftovers, Place
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import Home, block_of, home

__all__ = ["home"]


def put(home, name, value=1):
    return lambda: home.database.set(name, value)


# --- transactions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", ["all", "some", "none"])
def test_what_was_committed_survives_power_loss(home, lose):
    home.run(put(home, "a"))
    home.crash(lose)

    assert 1 == home.database.get("a")


def test_operations_share_one_commit_and_each_has_its_outcome(home):
    commits = []
    home.store.on_commit = commits.append
    outcomes = home.store.commit([put(home, "a"), lambda: 7, put(home, "b")])

    assert [None, 7, None] == [outcome.unwrap() for outcome in outcomes]
    assert 1 == len(commits)


def test_an_operation_that_refuses_hurts_only_itself(home):
    def refuse():
        raise NotFound("no")

    outcomes = home.store.commit([put(home, "a"), refuse, put(home, "b")])

    with pytest.raises(NotFound):
        outcomes[1].unwrap()
    home.crash()
    assert (1, 1) == (home.database.get("a"), home.database.get("b"))


def test_an_operation_that_refuses_after_it_has_changed_something_fails_the_transaction(home):
    def change_and_refuse():
        home.database.set("a", 1)
        raise NothingChanged("but it has")

    with pytest.raises(AssertionError, match="refuses has changed nothing"):
        home.run(change_and_refuse)
    assert home.database.get("a") is None
    assert not home.store.failed


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError, AssertionError])
def test_anything_else_that_fails_leaves_no_trace_and_the_store_goes_on(home, error):
    def fail():
        home.database.set("a", 1)
        raise error

    with pytest.raises(error):
        home.store.commit([put(home, "b"), fail])
    assert (None, None) == (home.database.get("a"), home.database.get("b"))
    home.run(put(home, "c"))
    assert 1 == home.database.get("c")


def test_a_transaction_that_changes_nothing_says_so(home):
    home.run(lambda: home.database.get("a"))
    assert not home.store.is_changed
    home.run(put(home, "a"))
    assert home.store.is_changed


def test_a_fenced_operation_hurts_only_itself_if_it_has_changed_nothing(home):
    block = home.ingest(block_of())
    home.store.fence.put_up(Reason("test", 0, "", ""))
    outcomes = home.store.commit([put(home, "a"), lambda: home.ledger.take(block, 32)])

    with pytest.raises(StoreFenced):
        outcomes[1].unwrap()
    assert 1 == home.database.get("a")


def test_what_an_operation_did_before_it_met_the_fence_is_undone_with_it(home):
    block = home.ingest(block_of())
    home.store.fence.put_up(Reason("test", 0, "", ""))

    def change_and_take():
        home.database.set("a", 1)
        home.ledger.take(block, 32)

    with pytest.raises(StoreFenced):
        home.run(change_and_take)
    assert home.database.get("a") is None
    assert not home.store.failed


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_changes_nothing_and_passes(home, number):
    home.disk.fail("write_at", number, times=10**9)
    if number == errno.ENOSPC:
        with pytest.raises(DiskFull):
            home.run(put(home, "a"))
        assert not home.store.failed
        home.disk.heal()
        home.run(put(home, "a"))
        assert 1 == home.database.get("a")
    else:
        with pytest.raises(StoreError):
            home.run(put(home, "a"))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_too_many_open_files_change_nothing_and_pass(home, number):
    """Before, a pad that could not be opened for want of descriptors put up a fence that only an operator lifts."""
    block = home.ingest(block_of())
    home.pads.close()
    home.ledger.forget()
    home.disk.fail("open", number)
    with pytest.raises(OutOfFiles):
        home.take(block, 32)

    assert not home.store.failed
    assert home.store.fence.reason is None
    assert 32 == home.take(block, 32).span.offset


def test_what_could_not_be_erased_for_want_of_descriptors_is_erased_later(home):
    block, other = home.ingest(block_of()), home.ingest(block_of(2))
    home.take(block, 100)
    home.run(lambda: home.ledger.retire(other, state="retired", reason="test"))
    home.disk.fail("open", errno.EMFILE)
    with pytest.raises(OutOfFiles):
        home.store.erase()
    assert home.pads.has_doomed
    home.store.erase()

    assert bytes(100) == home.pad_file(block)[32:132]
    assert f"/state/pads/{other}" not in home.disk.files()
    assert not home.store.failed


@pytest.mark.parametrize("call", ["sync", "write_at"])
def test_after_a_failed_commit_nothing_is_believed_and_a_fence_stands(home, call):
    home.disk.fail(call, errno.EIO)
    told = []
    home.store.on_stop = told.append

    with pytest.raises(StoreError):
        home.run(put(home, "a"))
    assert home.store.failed
    assert "failed-sync" == home.store.fence.reason.code == told[0].code
    with pytest.raises(StoreError):
        home.run(lambda: home.database.get("a"))
    home.disk.heal()
    home.store.close()
    home.crash("none")
    assert "failed-sync" == home.store.fence.reason.code


@pytest.mark.parametrize("seed", range(6))
def test_no_byte_is_spent_twice_after_a_failed_sync_a_new_start_and_power_loss(seed):
    """Before, later commits stood in the log behind frames that the kernel had dropped, and fell with them."""
    with MemoryDisk(seed) as disk:
        home = Home(disk)
        block = home.ingest(block_of())
        disk.fail("sync", errno.EIO)
        with pytest.raises(StoreError):
            home.take(block, 32)
        home.store.close()
        home.boot()
        home.run(lambda: home.store.lift_fence("m"))
        spent = [home.take(block, 32).span for _ in range(20)]
        home.crash("all")

        assert spent[-1].end <= home.take(block, 32).span.offset


def test_a_log_that_can_not_be_made_durable_is_not_believed(home):
    home.run(put(home, "a"))
    home.disk.crash(lose="none")
    home.disk.fail("sync", errno.EIO)

    with pytest.raises(StoreError, match="opening the database"):
        home.boot()
    home.crash("all")
    assert 1 == home.database.get("a")


def test_a_fence_that_the_disk_did_not_take_is_put_up_again_at_the_end(home):
    home.disk.fail("sync", errno.EIO, times=2)
    with pytest.raises(StoreError):
        home.run(put(home, "a"))
    home.store.close()
    home.crash("all")

    assert "failed-sync" == home.store.fence.reason.code


@pytest.fixture
def short_log(monkeypatch):
    monkeypatch.setattr("qfagent.store.database._LONG_LOG", 8)


@pytest.mark.parametrize("good", range(1, 3))  # of the log before, of the file behind
def test_a_failed_sync_of_a_checkpoint_stops_the_store_and_takes_nothing_back(home, short_log, good):
    """Before, SQLite made the checkpoint by itself behind a commit, and told nobody when it failed."""
    block, number = home.ingest(block_of()), 0
    while home.database._log < 7:
        number += 1
        home.run(put(home, "a", number))
    syncs = home.disk.calls["sync"]
    home.disk.fail("sync", errno.EIO, after=good)
    span = home.take(block, 32).span
    assert good + 1 <= home.disk.calls["sync"] - syncs
    assert home.store.failed
    assert "failed-sync" == home.store.fence.reason.code
    home.store.close()
    home.crash("all")

    assert (span.end, number) == (home.ledger.spent(block), home.database.get("a"))


def test_a_disk_that_is_full_at_a_checkpoint_takes_nothing_back_and_stops_nothing(short_log):
    """Before, an operation could be told that nothing had changed when it was durable."""
    for good in range(12):
        with MemoryDisk(good) as disk:
            home, done = Home(disk), 0
            disk.fail("write_at", errno.ENOSPC, after=10 + good, times=6)
            for number in range(1, 30):
                with suppress(DiskFull):
                    home.run(put(home, "a", number))
                    done = number
                assert (done, False) == (home.database.get("a") or 0, home.store.failed)

            assert 29 == done


def test_the_log_does_not_grow_for_ever(home, short_log):
    sizes = []
    for number in range(100):
        home.run(put(home, "a", number))
        sizes.append(len(home.disk.files()["/state/store.db-wal"]))

    assert sizes[20] == sizes[-1]


def test_a_store_that_stands_still_keeps_nothing_of_its_callers(home):
    """Before, it raised one error for ever, which grew a traceback with the secrets of everybody who had asked."""

    class Key:
        pass

    def ask(key):
        with suppress(StoreError):
            home.run(lambda: key)

    def stop(key):
        with suppress(StoreError):
            home.run(put(home, "a", key and 1))

    keys = weakref.WeakSet()
    home.disk.fail("sync", errno.EIO)
    for call in (stop, ask, ask):
        key = Key()
        keys.add(key)
        call(key)
    del key
    gc.collect()

    assert home.store.failed
    assert [] == list(keys)


def test_a_failed_sync_is_not_retried(home):
    home.disk.fail("sync", errno.EIO)
    with pytest.raises(StoreError):
        home.run(put(home, "a"))
    syncs = home.disk.calls["sync"]
    for _ in range(5):
        with pytest.raises(StoreError):
            home.run(put(home, "b"))
        home.store.erase()

    assert syncs == home.disk.calls["sync"]


def test_a_failed_erasure_stops_the_store(home):
    block = home.ingest(block_of())
    home.take(block, 32)
    home.disk.fail("write_at", errno.EIO)

    with pytest.raises(StoreError):
        home.store.erase()
    assert home.store.failed


def test_a_one_time_violation_stops_the_store_before_anything_of_it_is_durable(home):
    def violate():
        home.database.set("a", 1)
        raise OneTimeViolation("twice")

    with pytest.raises(StoreError, match="twice") as caught:
        home.run(violate)
    assert isinstance(caught.value.__cause__, OneTimeViolation)
    assert "reused-span" == home.store.fence.reason.code
    home.disk.crash(lose="none")
    home.boot()
    assert home.database.get("a") is None


# --- start and stop -------------------------------------------------------------------------------


def test_a_clean_stop_leaves_nothing_to_erase(home):
    block = home.ingest(block_of())
    home.take(block, 100)
    home.store.close()
    data = home.disk.files()[f"/state/pads/{block}"]

    assert bytes(100) == data[32:132]
    home.disk.crash(lose="none")
    home.boot()
    assert 0 == home.database.value("SELECT COUNT(*) FROM blocks WHERE touched")


@pytest.mark.parametrize("lose", ["all", "some", "none"])
def test_what_an_unclean_stop_left_is_erased_at_the_start(home, lose):
    block = home.ingest(block_of())
    home.take(block, 100)
    home.crash(lose)

    assert bytes(100) == home.pad_file(block)[32:132]
    assert block_of().user.reveal()[132:] == home.pad_file(block)[132:2048]


def test_a_pad_that_no_row_names_is_destroyed_at_the_start(home):
    home.pads.write(block_of())
    home.crash("none")

    assert f"/state/pads/{block_of().id}" not in home.disk.files()


def test_the_pad_of_a_retired_block_is_destroyed_at_the_start_if_it_was_not_before(home):
    block = home.ingest(block_of())
    home.run(lambda: home.ledger.retire(block, state="retired", reason="test"))
    home.crash("none")

    assert f"/state/pads/{block}" not in home.disk.files()


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("damage", [None, b"", b"cut", bytes(4096), bytes(2048) + b"x" * 2048])
def test_a_block_without_its_pads_ends_at_the_start_and_the_others_go_on(home, damage, clean):
    """Before, a database that came back without its pads kept the agent down, and nothing could be retired."""
    block, other = home.ingest(block_of()), home.ingest(block_of(2))
    home.take(block, 100)
    home.run(lambda: home.database.execute("INSERT INTO wraps VALUES (?, 16, 64, 'peer-a', 'id', 0)", block))
    if clean:
        home.store.close()
    home.disk.crash(lose="none")
    home.disk.unlink(f"/state/pads/{block}")
    if damage is not None:
        home.disk.create(f"/state/pads/{block}", 0).write_at(0, damage)
    home.boot()

    assert (block,) == home.store.ended
    assert [("gone", "pad-missing")] == home.database.rows("SELECT state, reason FROM blocks WHERE id = ?", block)
    assert home.database.rows("SELECT * FROM wraps") == []
    assert f"/state/pads/{block}" not in home.disk.files()
    assert 32 == home.take(other, 32).span.offset
    assert home.store.fence.reason is None


def test_no_block_ends_because_its_pads_can_not_be_read_for_now(home):
    home.ingest(block_of())
    home.disk.crash(lose="none")
    home.disk.fail("open", errno.EIO, times=10**9)
    with pytest.raises(StoreError):
        home.boot()
    home.disk.heal()
    home.crash()

    assert () == home.store.ended


def test_a_newer_schema_is_refused_with_the_remedy(home):
    home.database.rows(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    home.store.close()
    home.disk.crash(lose="none")

    with pytest.raises(StoreError, match=f"of version {SCHEMA_VERSION + 1}") as caught:
        home.boot()
    assert "install the newer agent again" == caught.value.remedy


def test_a_damaged_database_is_refused_after_an_unclean_stop(home):
    for seed in range(30):
        home.ingest(block_of(seed, user=1024, server=1024))
    home.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    home.disk.crash(lose="none")
    file = home.disk.open("/state/store.db")
    for page in range(2, file.size() // 4096):
        file.write_at(page * 4096 + 200, b"\xff" * 400)
    file.close()

    with pytest.raises(StoreError, match="database"):
        home.boot()


@pytest.mark.parametrize("garbage", [b"not a database" * 100, b"\0" * 4096])
def test_what_is_no_database_is_refused(garbage):
    with MemoryDisk() as disk:
        disk.make_dir("/state", 0o700)
        file = disk.create("/state/store.db", len(garbage))
        file.write_at(0, garbage)
        file.close()

        with pytest.raises(StoreError):
            Home(disk)


@given(st.integers(0, 60), st.sampled_from(["all", "some", "none"]))
@settings(max_examples=60, deadline=None)
def test_wherever_power_fails_every_committed_value_is_there_and_none_of_a_later_transaction_in_part(calls, lose):
    with MemoryDisk(calls) as disk:
        home, committed = Home(disk), 0
        disk.power_off_after(calls)
        with disk.until_power_fails():
            for number in range(1, 10):
                home.run(lambda number=number: [home.database.set(name, number) for name in ("a", "b", "c")])
                committed = number
        disk.crash(lose=lose)
        home.boot()
        found = {home.database.get(name) or 0 for name in ("a", "b", "c")}

        assert found in ({committed}, {committed + 1})


# --- leftovers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/in/a.json", "/in/ä b.json", "/in/\udcff.json", "/in/" + "x" * 255])
def test_a_leftover_is_remembered_whatever_its_path_is_made_of(home, path):
    leftovers = Leftovers(home.database)
    home.run(lambda: leftovers.add(Place(path, 7), "f" * 32))
    home.crash()
    leftovers = Leftovers(home.database)
    assert {Place(path, 7): "f" * 32} == leftovers.all()
    home.run(lambda: leftovers.add(Place(path, (1 << 64) - 1), "e" * 32))
    assert {Place(path, (1 << 64) - 1): "e" * 32} == leftovers.all()
    home.run(lambda: leftovers.remove(path))

    assert {} == leftovers.all()
