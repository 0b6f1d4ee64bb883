"""The fence: put up once, kept across everything, and taken down by an operator only."""

import errno

import pytest

from qfagent.errors import NothingChanged, StoreError, StoreFenced
from qfagent.store.fence import Fence, Reason
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import Home, block_of, home

__all__ = ["home"]

WHY = Reason("failed-sync", 7, "no spare sector", "look at the disk")


@pytest.fixture
def disk():
    with MemoryDisk() as made:
        made.make_dir("/state", 0o700)
        yield made


def fence(disk):
    return Fence(disk, "/state/fence.json")


def test_without_a_file_no_fence_stands(disk):
    assert fence(disk).reason is None
    fence(disk).check()


@pytest.mark.parametrize("lose", ["all", "some", "none"])
def test_a_fence_stands_across_power_loss(disk, lose):
    fence(disk).put_up(WHY)
    disk.crash(lose=lose)

    assert WHY == fence(disk).reason
    with pytest.raises(StoreFenced, match="the store is fenced: failed-sync") as caught:
        fence(disk).check()
    assert "look at the disk" == caught.value.remedy


def test_the_first_reason_stays(disk):
    made = fence(disk)
    made.put_up(WHY)
    made.put_up(Reason("other", 8, "", ""))

    assert WHY == made.reason == fence(disk).reason


def test_a_fence_that_was_taken_down_does_not_come_back(disk):
    made = fence(disk)
    made.put_up(WHY)
    made.take_down()
    made.check()
    disk.crash(lose="all")

    assert fence(disk).reason is None


def test_taking_down_what_does_not_stand_is_no_error(disk):
    fence(disk).take_down()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"code":"x"}', b'{"code":"x","code":"y"}', b"\xff", b"null", b"\0" * 90]
)
def test_a_fence_that_can_not_be_read_is_a_fence(disk, data):
    file = disk.create("/state/fence.json", len(data))
    file.write_at(0, data)

    assert "unreadable-fence" == fence(disk).reason.code


def test_where_the_disk_does_not_take_it_the_fence_stands_in_memory(disk):
    made = fence(disk)
    disk.fail(None, errno.EIO, times=10**9)

    with pytest.raises(StoreError):
        made.put_up(WHY)
    with pytest.raises(StoreFenced):
        made.check()


def test_a_disk_that_can_not_say_is_no_missing_fence(disk):
    fence(disk).put_up(WHY)
    disk.fail("exists", errno.EIO)

    with pytest.raises(StoreError):
        fence(disk)


@pytest.mark.parametrize("calls", range(8))
def test_power_loss_while_it_is_put_up_leaves_it_or_nothing(calls):
    with MemoryDisk(calls) as disk:
        disk.make_dir("/state", 0o700)
        disk.power_off_after(calls)
        with disk.until_power_fails():
            fence(disk).put_up(WHY)
        if disk.dead:
            disk.crash()

        assert fence(disk).reason in (None, WHY)


# --- machines -------------------------------------------------------------------------------------


def test_a_folder_that_was_made_on_another_machine_opens_fenced(home):
    block = home.ingest(block_of())
    home.disk.crash(lose="none")
    home.boot("another")

    assert "moved-machine" == home.store.fence.reason.code
    with pytest.raises(StoreFenced):
        home.take(block, 32)


def test_it_stays_fenced_when_the_first_machine_opens_it_again(home):
    home.disk.crash(lose="none")
    home.boot("another")
    home.disk.crash(lose="none")
    home.boot("m")

    assert "moved-machine" == home.store.fence.reason.code


def test_an_operator_may_let_it_go_on_on_the_new_machine(home):
    block = home.ingest(block_of())
    home.disk.crash(lose="none")
    home.boot("another")
    home.run(lambda: home.store.lift_fence("another"))
    home.take(block, 32)
    home.disk.crash(lose="none")
    home.boot("another")
    assert home.store.fence.reason is None
    home.disk.crash(lose="none")
    home.boot("m")

    assert "moved-machine" == home.store.fence.reason.code


def test_lifting_what_does_not_stand_changes_nothing(home):
    with pytest.raises(NothingChanged):
        home.run(lambda: home.store.lift_fence("m"))


def test_a_second_process_does_not_get_the_folder(home):
    with pytest.raises(Exception, match="another process has the state folder"):
        Home(home.disk)
