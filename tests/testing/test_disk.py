"""What the memory disk loses and keeps, and how it fails."""

import errno
import gc
import weakref
from collections import Counter
from contextlib import suppress

import pytest

from qfagent.store.disk import write_atomic
from qfagent.testing.disk import MemoryDisk, PowerLoss

SEEDS = range(200)
OLD, NEW = b"o" * 4096, b"n" * 4096


def durable(disk, path, data=b""):
    """A file of which everything is durable."""
    file = disk.create(path, len(data))
    file.write_at(0, data)
    file.sync()
    disk.sync_dir("/")
    return file


def after_crash(seed, life, *, lose="some"):
    """The files that a life leaves, beginning with a durable `/file` of OLD."""
    disk = MemoryDisk(seed)
    life(disk, durable(disk, "/file", OLD))
    disk.crash(lose=lose)
    assert disk.files() == disk.durable_files()
    return disk.files()


def outcomes(life, **kwargs):
    return [after_crash(seed, life, **kwargs) for seed in SEEDS]


# --- bytes ----------------------------------------------------------------------------------------


def overwrite(_disk, file):
    file.write_at(0, NEW)


def overwrite_and_sync(disk, file):
    overwrite(disk, file)
    file.sync()


def test_synced_bytes_are_never_lost():
    assert all(files == {"/file": NEW} for files in outcomes(overwrite_and_sync))
    assert after_crash(0, overwrite_and_sync, lose="all") == {"/file": NEW}


def test_unsynced_bytes_are_lost_or_kept_or_torn():
    kinds = Counter({OLD: "lost", NEW: "kept"}.get(files["/file"], "torn") for files in outcomes(overwrite))

    assert min(kinds[kind] for kind in ("lost", "kept", "torn")) > 10


def test_a_torn_write_is_a_mixture_by_sectors_or_cut_at_any_byte():
    torn = [f["/file"] for f in outcomes(overwrite) if f["/file"] not in {OLD, NEW}]

    by_sectors = [all(len(set(data[at : at + 512])) == 1 for at in range(0, 4096, 512)) for data in torn]
    cut = [data.rstrip(b"o").count(b"o") == 0 for data in torn]
    assert all(a or b for a, b in zip(by_sectors, cut, strict=True))
    assert {(True, False), (False, True)} <= set(zip(by_sectors, cut, strict=True))


def test_a_tear_leaves_the_bytes_beside_the_write_alone():
    def life(_disk, file):
        file.write_at(100, b"x" * 1000)

    left = {files["/file"] for files in outcomes(life)}
    assert all(data[:100] + data[1100:] == OLD[1100:] + OLD[:100] for data in left)
    assert OLD[:512] + b"x" * 512 + OLD[1024:] in left  # the sectors are the disk's, not the write's


def test_a_later_write_may_survive_an_earlier_one():
    def life(_disk, file):
        file.write_at(0, b"1")
        file.write_at(1000, b"2")

    survivors = {(f["/file"][0:1], f["/file"][1000:1001]) for f in outcomes(life)}
    assert survivors == {(b"o", b"o"), (b"1", b"o"), (b"o", b"2"), (b"1", b"2")}


def test_an_earlier_write_never_covers_a_later_one():
    def life(_disk, file):
        file.write_at(0, b"1")
        file.write_at(0, b"2")

    assert {f["/file"][0:1] for f in outcomes(life)} == {b"o", b"1", b"2"}
    assert after_crash(0, life, lose="none")["/file"][0:1] == b"2"


def test_a_size_that_was_not_synced_may_be_lost():
    def life(disk, _file):
        disk.create("/pad", 4096)
        disk.sync_dir("/")

    assert {len(files["/pad"]) for files in outcomes(life)} == {0, 4096}


def test_a_write_that_survives_beyond_the_size_brings_zeros_before_it():
    def life(_disk, file):
        file.truncate(8192)
        file.write_at(6000, b"x")

    sizes = {len(f["/file"]): f["/file"] for f in outcomes(life)}
    assert set(sizes) == {4096, 6001, 8192}
    assert sizes[6001] == OLD + bytes(6000 - 4096) + b"x"


def test_a_cut_may_be_lost_and_what_it_cut_come_back():
    def life(_disk, file):
        file.truncate(10)
        file.truncate(20)

    assert {f["/file"] for f in outcomes(life)} == {OLD, OLD[:10], OLD[:10] + bytes(10), OLD[:20]}


def test_all_is_lost_or_none_if_the_test_says_so():
    def life(disk, file):
        overwrite(disk, file)
        disk.create("/other", 3)

    assert all(files == {"/file": OLD} for files in outcomes(life, lose="all"))
    assert all(files == {"/file": NEW, "/other": bytes(3)} for files in outcomes(life, lose="none"))


def test_one_files_sync_does_nothing_for_another():
    def life(disk, file):
        overwrite(disk, file)
        durable(disk, "/other", b"data")

    assert after_crash(0, life, lose="all") == {"/file": OLD, "/other": b"data"}


# --- names ----------------------------------------------------------------------------------------


def test_a_synced_file_may_lose_its_name():
    def life(disk, _file):
        file = disk.create("/new", 0)
        file.write_at(0, b"data")
        file.sync()

    assert {files.get("/new") for files in outcomes(life)} == {None, b"data"}


def test_a_synced_name_may_lose_its_bytes():
    def life(disk, _file):
        disk.create("/new", 0).write_at(0, b"data")
        disk.sync_dir("/")

    assert {b"", b"data"} <= {files["/new"] for files in outcomes(life)}


def test_a_rename_without_its_folder_synced_may_revert():
    def life(disk, _file):
        durable(disk, "/new", NEW)
        disk.rename("/new", "/file")

    reverted, done = {"/file": OLD, "/new": NEW}, {"/file": NEW}
    assert all(files in (reverted, done) for files in outcomes(life))
    assert all(outcome in outcomes(life) for outcome in (reverted, done))


def test_an_unlinked_file_may_come_back():
    def life(disk, _file):
        disk.unlink("/file")

    assert {files.get("/file") for files in outcomes(life)} == {None, OLD}


def test_a_synced_folder_forgets_nothing():
    def life(disk, _file):
        durable(disk, "/new", NEW)
        disk.rename("/new", "/file")
        durable(disk, "/other")
        disk.unlink("/other")
        disk.sync_dir("/")

    assert all(files == {"/file": NEW} for files in outcomes(life))


def test_names_in_different_files_survive_independently():
    def life(disk, _file):
        disk.create("/a", 0)
        disk.create("/b", 0)

    survivors = {("/a" in files, "/b" in files) for files in outcomes(life)}
    assert survivors == {(a, b) for a in (True, False) for b in (True, False)}


def test_a_name_never_skips_a_change_it_went_through():
    def life(disk, file):
        durable(disk, "/a")
        disk.rename("/a", "/b")
        disk.rename("/b", "/c")

    assert all(len(set(files) & {"/a", "/b", "/c"}) == 1 for files in outcomes(life))


def test_syncing_one_folder_does_nothing_for_another():
    def life(disk, _file):
        disk.make_dir("/folder", 0o700)
        disk.create("/folder/new", 0)
        disk.sync_dir("/")

    assert after_crash(0, life, lose="all") == {"/file": OLD}


def test_a_move_is_durable_on_both_sides_once_either_folder_is_synced():
    def life(disk, _file):
        disk.make_dir("/folder", 0o700)
        disk.rename("/file", "/folder/file")
        disk.sync_dir("/folder")

    assert after_crash(0, life, lose="all") == {"/folder/file": OLD}


def test_a_name_that_moved_on_durably_does_not_come_back():
    def life(disk, _file):
        disk.make_dir("/folder", 0o700)
        disk.create("/new", 0)
        disk.rename("/new", "/folder/new")
        disk.sync_dir("/folder")

    assert all(files == {"/file": OLD, "/folder/new": b""} for files in outcomes(life))


def test_a_folder_is_durable_from_the_start():
    disk = MemoryDisk()
    disk.make_dir("/a/b", 0o700)

    disk.crash(lose="all")

    assert disk.exists("/a/b")


def test_write_atomic_leaves_the_old_content_or_the_new_wherever_power_fails():
    left = Counter()
    for seed in SEEDS:
        for cut in range(6):
            disk = MemoryDisk(seed)
            durable(disk, "/file", OLD)
            disk.power_off_after(cut)
            with suppress(PowerLoss):
                write_atomic(disk, "/file", NEW)
            left[cut, not disk.dead, disk.crash() or disk.files()["/file"]] += 1

    cuts, news = range(5), {cut for cut, _, content in left if content == NEW}
    assert set(left) == {(cut, False, OLD) for cut in cuts} | {(cut, False, NEW) for cut in news - {5}} | {
        (5, True, NEW)
    }
    assert news == {3, 4, 5}  # from the rename on


# --- the end of a life ----------------------------------------------------------------------------


def test_power_fails_after_as_many_calls_as_asked():
    disk = MemoryDisk()
    file = disk.create("/file", 4)

    disk.power_off_after(2)
    file.write_at(0, b"1")
    file.sync()
    with pytest.raises(PowerLoss):
        file.write_at(0, b"2")

    assert disk.dead


@pytest.mark.parametrize("lose", ["all", "none", "some"])
def test_the_call_that_power_loss_cuts_short_has_happened_or_has_not(lose):
    left = set()
    for seed in SEEDS:
        disk = MemoryDisk(seed)
        durable(disk, "/file", b"old")
        disk.power_off_after(0)
        with pytest.raises(PowerLoss):
            disk.unlink("/file")
        disk.crash(lose=lose)
        left.add(disk.exists("/file"))

    assert left == ({True} if lose == "all" else {True, False})


def test_nothing_answers_or_changes_while_power_is_off():
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)
    disk.power_off()

    calls = [
        lambda: file.write_at(0, NEW),
        lambda: file.read_at(0, 1),
        lambda: file.truncate(0),
        file.size,
        file.sync,
        lambda: disk.open("/file"),
        lambda: disk.create("/new", 1),
        lambda: disk.create("/file", 1),
        lambda: disk.create("/no/folder", 1),
        lambda: disk.lock("/lock"),
        lambda: disk.rename("/file", "/new"),
        lambda: disk.unlink("/file"),
        lambda: disk.exists("/file"),
        lambda: disk.make_dir("/folder", 0o700),
        lambda: disk.sync_dir("/"),
        lambda: disk.list("/"),
        lambda: disk.vfs,
    ]
    for call in calls:
        with pytest.raises(PowerLoss):
            call()
    file.close()
    disk.crash(lose="none")
    assert disk.files() == {"/file": OLD}


def test_a_file_does_not_outlive_its_life():
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)

    disk.crash()

    with pytest.raises(PowerLoss):
        file.write_at(0, NEW)
    with pytest.raises(PowerLoss):
        file.read_at(0, 1)
    assert disk.files() == {"/file": OLD}


def test_a_lock_does_not_outlive_its_life():
    disk = MemoryDisk()
    durable(disk, "/lock")
    old = disk.lock("/lock")

    disk.crash()
    new = disk.lock("/lock")
    old.close()

    with pytest.raises(BlockingIOError):
        disk.lock("/lock")
    new.close()


def test_power_loss_is_not_an_exception_that_code_may_catch():
    assert not issubclass(PowerLoss, Exception)


def test_a_life_ends_with_power_or_with_its_block():
    disk = MemoryDisk()

    with disk.until_power_fails():
        disk.create("/file", 1)
    assert not disk.dead
    with disk.until_power_fails():
        disk.power_off()
        disk.create("/other", 1)
    assert disk.dead


def test_what_is_wrong_before_power_fails_is_still_wrong():
    with pytest.raises(FileNotFoundError), MemoryDisk().until_power_fails():
        MemoryDisk().open("/missing")


def test_what_is_lost_stays_lost():
    disk = MemoryDisk()
    durable(disk, "/file", OLD).write_at(0, NEW)
    disk.create("/new", 1)

    disk.crash(lose="all")
    disk.crash(lose="none")

    assert disk.files() == {"/file": OLD}


def test_power_comes_back_without_the_old_trap():
    disk = MemoryDisk()
    disk.power_off_after(1)
    disk.create("/file", 1)
    disk.crash()

    for number in range(5):
        disk.create(f"/{number}", 1)


# --- faults ---------------------------------------------------------------------------------------


def test_a_call_fails_when_and_as_often_as_asked():
    disk = MemoryDisk()
    file = disk.create("/file", 4)
    disk.fail("write_at", errno.EIO, after=1, times=2)

    seen = []
    for _ in range(5):
        try:
            file.write_at(0, b"x")
            seen.append(0)
        except OSError as error:
            seen.append(error.errno)

    assert seen == [0, errno.EIO, errno.EIO, 0, 0]


@pytest.mark.parametrize("call", ["create", "rename", "unlink", "make_dir", "truncate"])
def test_a_failing_call_changes_nothing(call):
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)
    calls = {
        "create": lambda: disk.create("/new", 1),
        "rename": lambda: disk.rename("/file", "/new"),
        "unlink": lambda: disk.unlink("/file"),
        "make_dir": lambda: disk.make_dir("/new", 0o700),
        "truncate": lambda: file.truncate(0),
    }

    disk.fail(None, errno.ENOSPC)
    with pytest.raises(OSError) as caught:
        calls[call]()

    assert caught.value.errno == errno.ENOSPC
    assert disk.files() == {"/file": OLD}
    assert disk.list("/") == ["file"]


@pytest.mark.parametrize("call", ["open", "read_at", "size", "exists", "list", "lock"])
def test_a_call_that_changes_nothing_fails_only_by_name(call):
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)
    calls = {
        "open": lambda: disk.open("/file"),
        "read_at": lambda: file.read_at(0, 1),
        "size": file.size,
        "exists": lambda: disk.exists("/file"),
        "list": lambda: disk.list("/"),
        "lock": lambda: disk.lock("/file").close(),
    }

    disk.fail(None, errno.EIO)
    calls[call]()
    disk.fail(call, errno.EMFILE)
    with pytest.raises(OSError) as caught:
        calls[call]()

    assert caught.value.errno == errno.EMFILE


def test_a_failed_write_leaves_anything_between_nothing_and_all():
    left = set()
    for seed in SEEDS:
        disk = MemoryDisk(seed)
        file = durable(disk, "/file", OLD)
        disk.fail("write_at", errno.EIO)
        with pytest.raises(OSError):
            file.write_at(0, NEW)
        left.add(disk.files()["/file"])

    assert {OLD, NEW} < left


def test_a_sync_after_a_failed_one_proves_nothing():
    def life(disk, file):
        file.write_at(0, NEW)
        disk.fail("sync", errno.EIO)
        with pytest.raises(OSError):
            file.sync()
        file.sync()

    assert {OLD, NEW} < {files["/file"] for files in outcomes(life)}


def test_a_folders_sync_after_a_failed_one_proves_nothing():
    def life(disk, _file):
        disk.unlink("/file")
        disk.fail("sync_dir", errno.EIO)
        with pytest.raises(OSError):
            disk.sync_dir("/")
        disk.sync_dir("/")

    assert {files.get("/file") for files in outcomes(life)} == {OLD, None}


def test_a_healed_disk_fails_no_more():
    disk = MemoryDisk()
    disk.fail(None, errno.EIO, times=100)

    disk.heal()

    disk.create("/file", 1)


def test_a_fault_for_an_unknown_call_is_refused():
    with pytest.raises(ValueError, match="wriite"):
        MemoryDisk().fail("wriite", errno.EIO)


# --- lies -----------------------------------------------------------------------------------------


def test_a_disk_that_ignores_sync_loses_synced_bytes():
    def life(disk, file):
        disk.ignore_sync = True
        overwrite_and_sync(disk, file)

    assert after_crash(0, life, lose="all") == {"/file": OLD}


def test_a_disk_that_ignores_folder_syncs_loses_synced_names():
    def life(disk, _file):
        disk.ignore_sync_dir = True
        durable(disk, "/new", NEW)

    assert after_crash(0, life, lose="all") == {"/file": OLD}


# --- bookkeeping ----------------------------------------------------------------------------------


def test_changing_calls_are_counted_by_name():
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)
    file.sync()
    file.read_at(0, 1)

    assert disk.calls == {"create": 1, "write_at": 1, "sync": 2, "sync_dir": 1}


def test_the_same_seed_and_calls_give_the_same_outcome():
    def life(disk, file):
        for number in range(20):
            file.write_at(number * 700, NEW)
            disk.create(f"/{number}", 10).write_at(3, b"abc")

    assert outcomes(life) == outcomes(life)
    assert len({repr(files) for files in outcomes(life)}) > 100


def test_what_will_happen_does_not_show_before():
    disk = MemoryDisk()
    file = durable(disk, "/file", OLD)
    file.write_at(0, NEW)
    disk.create("/new", 3)

    assert disk.files() == {"/file": NEW, "/new": bytes(3)}
    assert disk.durable_files() == {"/file": OLD}


def test_a_caller_that_reuses_its_buffer_changes_no_file():
    disk = MemoryDisk()
    buffer = bytearray(b"data")
    disk.create("/file", 0).write_at(0, buffer)

    buffer[:] = b"lost"
    disk.crash(lose="none")

    assert disk.files() == {"/file": b"data"}


def test_a_closed_disk_is_free_to_be_forgotten():
    with MemoryDisk() as disk:
        assert disk.vfs
        ghost = weakref.ref(disk)

    del disk
    gc.collect()
    assert ghost() is None
