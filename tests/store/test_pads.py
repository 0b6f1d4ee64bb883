"""Pads at rest: one flat file a block, whole before anything names it, erased in place."""

import errno
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from qfagent.errors import DiskFull, OneTimeViolation, StoreError
from qfagent.store.pads import Erasure, Pads, _merged
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import block_of

PADS = "/pads"


@pytest.fixture
def disk():
    with MemoryDisk() as made:
        yield made


@pytest.fixture
def pads(disk):
    return Pads(disk, PADS)


def path(block):
    return f"{PADS}/{block.id}"


def came(block):
    return block.user.reveal() + block.server.reveal()


def doom(pads, block, *spans):
    for offset, length in spans:
        pads.doom(block.id, offset, length)
    pads.settle(committed=True)
    pads.take_doomed().perform()


def test_a_blocks_file_is_its_pads_and_durable(pads, disk):
    pads.write(block_of())

    assert came(block_of()) == disk.files()[path(block_of())] == disk.durable_files()[path(block_of())]


def test_any_part_can_be_read(pads):
    pads.write(block_of())

    for offset, length in ((0, 16), (16, 16), (2040, 20), (0, 4096), (4095, 1)):
        assert came(block_of())[offset : offset + length] == pads.read(block_of().id, offset, length)


@pytest.mark.parametrize("offset, length", [(4096, 1), (4090, 20), (10_000, 16)])
def test_what_is_not_there_is_not_read(pads, offset, length):
    pads.write(block_of())

    with pytest.raises(OneTimeViolation):
        pads.read(block_of().id, offset, length)


def test_erased_bytes_are_zeros_in_place_and_the_others_are_as_they_were(pads, disk):
    pads.write(block_of())
    doom(pads, block_of(), (100, 50), (4000, 96))

    expected = bytearray(came(block_of()))
    expected[100:150], expected[4000:4096] = bytes(50), bytes(96)
    assert bytes(expected) == disk.files()[path(block_of())] == disk.durable_files()[path(block_of())]


def test_erased_bytes_are_not_read_for_use(pads):
    pads.write(block_of())
    doom(pads, block_of(), (100, 50))

    with pytest.raises(OneTimeViolation):
        pads.read(block_of().id, 110, 32)


@pytest.mark.parametrize("offset, length", [(0, 1024), (84, 32), (134, 32), (100, 16), (50, 100)])
def test_nothing_of_what_was_erased_is_read_for_use_with_what_was_not(pads, offset, length):
    """Before, erased bytes went out as a pad if any byte behind them was left."""
    pads.write(block_of())
    doom(pads, block_of(), (100, 50))

    with pytest.raises(OneTimeViolation):
        pads.read(block_of().id, offset, length)


def test_few_zeros_in_a_row_may_be_chance(pads):
    block = block_of()
    data = bytearray(block.user.reveal())
    data[100:110] = bytes(10)
    zeros = type(block)(block.hub, block.client_id, block.name, type(block.user)(data), block.server)
    pads.write(zeros)

    assert bytes(10) == pads.read(zeros.id, 100, 10)


def test_nothing_is_erased_before_the_transaction_is_durable(pads, disk):
    pads.write(block_of())
    pads.doom(block_of().id, 100, 50)
    pads.take_doomed().perform()
    assert not pads.has_doomed
    assert came(block_of()) == disk.files()[path(block_of())]
    pads.settle(committed=True)

    assert pads.has_doomed


def test_what_a_failed_transaction_marked_is_forgotten(pads, disk):
    pads.write(block_of())
    pads.doom(block_of().id, 100, 50)
    pads.remove(block_of().id)
    pads.settle(committed=False)
    pads.take_doomed().perform()

    assert came(block_of()) == disk.files()[path(block_of())]


def test_a_removed_block_is_overwritten_before_its_name_goes(pads, disk):
    pads.write(block_of())
    held = disk.open(path(block_of()))
    pads.read(block_of().id, 0, 16)
    pads.remove(block_of().id)
    pads.settle(committed=True)
    pads.take_doomed().perform()

    assert bytes(4096) == held.read_at(0, 5000)
    assert path(block_of()) not in disk.files() | disk.durable_files()


def test_spans_of_a_removed_block_need_no_erasure(pads, disk):
    pads.write(block_of())
    pads.doom(block_of().id, 100, 50)
    pads.remove(block_of().id)
    pads.settle(committed=True)
    pads.take_doomed().perform()

    assert path(block_of()) not in disk.files()
    assert not pads.has_doomed


def test_a_file_that_is_missing_does_not_stop_the_erasure_of_others(pads, disk):
    for seed in (1, 2):
        pads.write(block_of(seed))
        pads.doom(block_of(seed).id, 100, 50)
    pads.settle(committed=True)
    disk.unlink(path(block_of(1)))
    pads.take_doomed().perform()

    assert bytes(50) == disk.files()[path(block_of(2))][100:150]


def test_a_block_is_written_once(pads):
    pads.write(block_of())

    with pytest.raises(StoreError, match="file exists"):
        pads.write(block_of())
    assert came(block_of())[:16] == pads.read(block_of().id, 0, 16)


@pytest.mark.parametrize("call", ["create", "write_at", "sync", "sync_dir"])
@pytest.mark.parametrize("number, kind", [(errno.ENOSPC, DiskFull), (errno.EIO, StoreError), (errno.EDQUOT, DiskFull)])
def test_an_attempt_that_fails_leaves_nothing_behind(pads, disk, call, number, kind):
    disk.fail(call, number)

    with pytest.raises(kind):
        pads.write(block_of())
    assert path(block_of()) not in disk.files()
    disk.heal()
    pads.write(block_of())


def test_a_discarded_file_is_overwritten_and_gone_and_a_missing_one_is_no_error(pads, disk):
    pads.write(block_of())
    held = disk.open(path(block_of()))
    pads.discard(block_of().id)
    pads.discard(block_of().id)

    assert bytes(4096) == held.read_at(0, 5000)
    assert path(block_of()) not in disk.files() | disk.durable_files()


def test_strangers_are_destroyed_and_the_others_and_the_tag_stay(pads, disk):
    for seed in (1, 2, 3):
        pads.write(block_of(seed))

    assert sorted([block_of(1).id, block_of(3).id]) == sorted(pads.destroy_strangers({block_of(2).id}))
    assert {path(block_of(2)), f"{PADS}/CACHEDIR.TAG"} == set(disk.files())


def test_the_folder_is_tagged_so_that_backup_tools_leave_it_out(pads, disk):
    assert disk.durable_files()[f"{PADS}/CACHEDIR.TAG"].startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_only_so_many_files_are_open_and_all_can_be_read(disk, monkeypatch):
    monkeypatch.setattr("qfagent.store.pads._OPEN_FILES", 3)
    pads = Pads(disk, PADS)
    for seed in range(10):
        pads.write(block_of(seed))
    for _ in range(2):
        for seed in range(10):
            assert came(block_of(seed))[:16] == pads.read(block_of(seed).id, 0, 16)
            assert len(pads._open) <= 3


@pytest.mark.parametrize("call", ["write_at", "sync", "open"])
def test_an_erasure_that_fails_says_so(pads, disk, call):
    pads.write(block_of())
    pads.doom(block_of().id, 100, 50)
    pads.settle(committed=True)
    disk.fail(call, errno.EIO)

    with pytest.raises(StoreError):
        pads.take_doomed().perform()


def test_a_sync_that_does_nothing_is_noticed_where_it_can_be(disk, pads):
    """The first byte of an erased span reads zero: the last line against a disk that swallows writes."""

    class Swallowing:
        def write_at(self, offset, data):
            pass

        def sync(self):
            pass

        def read_at(self, offset, size):
            return b"x" * size

        def close(self):
            pass

    disk.open = lambda *_: Swallowing()

    with pytest.raises(StoreError, match="did not take"):
        Erasure(disk, PADS, {"f" * 32: [(0, 5)]}, frozenset()).perform()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12))
def test_runs_cover_the_same_bytes_and_do_not_touch(spans):
    runs = _merged(spans)

    covered = {at for start, length in spans for at in range(start, start + length)}
    assert covered == {at for start, length in runs for at in range(start, start + length)}
    assert all(start + length < after for (start, length), (after, _) in pairwise(runs))
