"""What the stores may expect of a disk: one suite for the real one and for its twin in memory."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.store.disk import RealDisk, write_atomic
from qfagent.testing.disk import MemoryDisk


@pytest.fixture(params=["real", "memory"])
def place(request, tmp_path):
    """A disk, and a folder on it."""
    if request.param == "real":
        yield RealDisk(), str(tmp_path)
        return
    with MemoryDisk() as disk:
        disk.make_dir("/folder", 0o700)
        yield disk, "/folder"


def put(disk, path, data=b""):
    with closing(disk.create(path, len(data))) as file:
        file.write_at(0, data)


def get(disk, path):
    with closing(disk.open(path)) as file:
        return file.read_at(0, file.size())


# --- files ----------------------------------------------------------------------------------------


def test_a_new_file_is_zeros_of_the_size_asked_for(place):
    disk, folder = place

    with closing(disk.create(f"{folder}/pad", 5000)) as file:
        assert file.size() == 5000
        assert file.read_at(0, 6000) == bytes(5000)


def test_what_is_written_is_read_by_every_open_file(place):
    disk, folder = place
    writer, reader = disk.create(f"{folder}/pad", 8), disk.open(f"{folder}/pad")

    writer.write_at(2, b"1234")

    assert reader.read_at(0, 8) == b"\0\x001234\0\0"
    assert reader.read_at(3, 2) == b"23"
    writer.close()
    reader.close()


def test_a_read_is_short_only_at_the_end(place):
    disk, folder = place
    put(disk, f"{folder}/file", b"12345")

    with closing(disk.open(f"{folder}/file")) as file:
        assert file.read_at(3, 100) == b"45"
        assert file.read_at(5, 1) == b""
        assert file.read_at(100, 1) == b""


def test_writing_past_the_end_leaves_a_gap_of_zeros(place):
    disk, folder = place

    with closing(disk.create(f"{folder}/file", 2)) as file:
        file.write_at(4, b"x")
        assert file.read_at(0, 9) == b"\0\0\0\0x"


def test_a_file_is_never_created_over_another(place):
    disk, folder = place
    put(disk, f"{folder}/file", b"old")

    with pytest.raises(FileExistsError):
        disk.create(f"{folder}/file", 9)
    assert get(disk, f"{folder}/file") == b"old"


def test_a_closed_file_is_of_no_use(place):
    disk, folder = place
    file = disk.create(f"{folder}/file", 1)

    file.close()
    file.close()

    for use in (lambda: file.read_at(0, 1), lambda: file.write_at(0, b"x"), file.size, file.sync):
        with pytest.raises(OSError) as caught:
            use()
        assert caught.value.errno == errno.EBADF


def test_an_unlinked_file_lives_on_for_those_who_hold_it(place):
    disk, folder = place
    file = disk.create(f"{folder}/file", 0)

    disk.unlink(f"{folder}/file")
    file.write_at(0, b"still here")
    put(disk, f"{folder}/file", b"another")

    assert file.read_at(0, 99) == b"still here"
    file.close()


# --- names ----------------------------------------------------------------------------------------


def test_a_missing_file_is_an_error_to_all_but_exists(place):
    disk, folder = place
    missing = f"{folder}/missing"

    for use in (disk.open, disk.unlink, disk.list, disk.sync_dir, lambda path: disk.rename(path, f"{folder}/x")):
        with pytest.raises(FileNotFoundError):
            use(missing)
    assert not disk.exists(missing)


def test_a_missing_folder_is_not_made_by_the_way(place):
    disk, folder = place
    put(disk, f"{folder}/file")

    for use in (lambda path: disk.create(path, 1), disk.lock, lambda path: disk.rename(f"{folder}/file", path)):
        with pytest.raises(FileNotFoundError):
            use(f"{folder}/missing/file")
    assert not disk.exists(f"{folder}/missing/file")


def test_a_folder_is_not_a_file(place):
    disk, folder = place

    for use in (disk.open, disk.unlink):
        with pytest.raises(IsADirectoryError):
            use(folder)


def test_a_file_is_not_a_folder(place):
    disk, folder = place
    put(disk, f"{folder}/file")

    for use in (disk.list, disk.sync_dir):
        with pytest.raises(NotADirectoryError):
            use(f"{folder}/file")
    with pytest.raises(FileExistsError):
        disk.make_dir(f"{folder}/file", 0o700)
    assert not disk.exists(f"{folder}/file/below")


def test_rename_replaces_what_has_the_name(place):
    disk, folder = place
    put(disk, f"{folder}/old", b"old")
    put(disk, f"{folder}/new", b"new")

    disk.rename(f"{folder}/new", f"{folder}/old")

    assert disk.list(folder) == ["old"]
    assert get(disk, f"{folder}/old") == b"new"


def test_rename_moves_between_folders(place):
    disk, folder = place
    disk.make_dir(f"{folder}/other", 0o700)
    put(disk, f"{folder}/file", b"data")

    disk.rename(f"{folder}/file", f"{folder}/other/file")

    assert (disk.list(folder), disk.list(f"{folder}/other")) == (["other"], ["file"])


def test_a_folder_is_made_with_its_parents_and_may_exist(place):
    disk, folder = place

    disk.make_dir(f"{folder}/a/b", 0o700)
    disk.make_dir(f"{folder}/a/b", 0o700)

    assert disk.exists(f"{folder}/a/b")
    assert disk.list(folder) == ["a"]


def test_names_are_sorted(place):
    disk, folder = place
    for name in ("b", "a", ".c"):
        put(disk, f"{folder}/{name}")

    assert disk.list(folder) == [".c", "a", "b"]


# --- locks ----------------------------------------------------------------------------------------


def test_a_lock_is_held_once_and_until_closed(place):
    disk, folder = place
    lock = disk.lock(f"{folder}/lock")

    with pytest.raises(BlockingIOError):
        disk.lock(f"{folder}/lock")
    lock.close()

    disk.lock(f"{folder}/lock").close()


def test_who_failed_to_lock_does_not_unlock(place):
    disk, folder = place
    lock = disk.lock(f"{folder}/lock")

    for _ in range(2):
        with pytest.raises(BlockingIOError):
            disk.lock(f"{folder}/lock")
    lock.close()


def test_a_process_that_was_killed_holds_no_lock(tmp_path):
    path = str(tmp_path / "lock")
    holds = "import sys, qfagent.store.disk as d; l = d.RealDisk().lock(sys.argv[1]); print(1, flush=True); input()"
    command = [sys.executable, "-c", holds, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(BlockingIOError):
            RealDisk().lock(path)
        holder.kill()
        holder.wait()

    RealDisk().lock(path).close()


# --- write_atomic ---------------------------------------------------------------------------------


def test_write_atomic_replaces_the_whole_content(place):
    disk, folder = place

    write_atomic(disk, f"{folder}/file", b"first, and longer")
    write_atomic(disk, f"{folder}/file", b"second")

    assert get(disk, f"{folder}/file") == b"second"
    assert disk.list(folder) == ["file"]


def test_write_atomic_clears_what_a_crash_left(place):
    disk, folder = place
    put(disk, f"{folder}/.file.tmp", b"half")

    write_atomic(disk, f"{folder}/file", b"whole")

    assert disk.list(folder) == ["file"]


def test_write_atomic_overwrites_what_a_crash_left(place):
    disk, folder = place
    put(disk, f"{folder}/.file.tmp", b"half a pad")

    with closing(disk.open(f"{folder}/.file.tmp")) as left:
        write_atomic(disk, f"{folder}/file", b"whole")

        assert bytes(10) == left.read_at(0, 100)


@pytest.mark.parametrize("call", ["create", "write_at", "sync", "rename"])
def test_write_atomic_that_fails_leaves_the_old_content_and_nothing_else(call):
    disk = MemoryDisk()
    write_atomic(disk, "/file", b"old")

    disk.fail(call, errno.ENOSPC)
    with pytest.raises(OSError) as caught:
        write_atomic(disk, "/file", b"new")

    assert caught.value.errno == errno.ENOSPC
    assert disk.files() == {"/file": b"old"}


# --- the real disk alone --------------------------------------------------------------------------


def test_modes_are_as_asked_whatever_the_umask(tmp_path):
    disk = RealDisk()
    before = os.umask(0o777)
    try:
        disk.create(f"{tmp_path}/default", 0).close()
        disk.create(f"{tmp_path}/asked", 0, mode=0o640).close()
        disk.make_dir(f"{tmp_path}/folder", 0o3730)
    finally:
        os.umask(before)

    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {"default": 0o600, "asked": 0o640, "folder": 0o3730}


def test_a_file_gets_the_group_asked_for(tmp_path):
    group = next(iter(set(os.getgroups()) - {os.getegid()}), os.getegid() if os.geteuid() else 12345)

    write_atomic(RealDisk(), f"{tmp_path}/file", b"data", mode=0o640, group=group)

    made = (tmp_path / "file").stat()
    assert (made.st_gid, stat.S_IMODE(made.st_mode)) == (group, 0o640)


def test_links_are_not_followed(tmp_path):
    disk = RealDisk()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "nowhere").write_bytes(b"secret")

    for use in (disk.open, disk.lock):
        with pytest.raises(OSError) as caught:
            use(f"{tmp_path}/link")
        assert caught.value.errno == errno.ELOOP
    with pytest.raises(FileExistsError):
        disk.create(f"{tmp_path}/link", 1)


def test_a_dangling_link_exists(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")

    assert RealDisk().exists(f"{tmp_path}/link")


def test_a_folder_may_be_reached_through_a_link(tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to("private")

    RealDisk().make_dir(f"{tmp_path}/state/pads", 0o700)
    RealDisk().sync_dir(f"{tmp_path}/state")

    assert RealDisk().list(f"{tmp_path}/private") == ["pads"]


def test_a_file_without_room_is_not_there(tmp_path):
    with pytest.raises(OSError) as caught:
        RealDisk().create(f"{tmp_path}/huge", 1 << 62)

    assert caught.value.errno in {errno.EFBIG, errno.ENOSPC}
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_has_its_room_reserved(tmp_path):
    RealDisk().create(f"{tmp_path}/pad", 1 << 16).close()

    assert (tmp_path / "pad").stat().st_blocks * 512 >= 1 << 16


def test_every_sync_reaches_the_kernel(tmp_path, monkeypatch):
    synced = []
    for call in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, call, lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))

    RealDisk().make_dir(f"{tmp_path}/a/b", 0o700)
    write_atomic(RealDisk(), f"{tmp_path}/a/b/file", b"data")

    made = [f"{tmp_path}", f"{tmp_path}/a"]
    assert synced[-4:] == [*made, f"{tmp_path}/a/b/.file.tmp", f"{tmp_path}/a/b"]


def test_data_is_written_whole_even_if_the_kernel_takes_it_in_pieces(tmp_path, monkeypatch):
    whole_write, whole_read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: whole_write(fd, data[:3], offset))
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: whole_read(fd, min(size, 2), offset))

    with closing(RealDisk().create(f"{tmp_path}/file", 0)) as file:
        file.write_at(1, b"1234567")
        assert file.read_at(0, 8) == b"\x001234567"
        assert file.read_at(4, 99) == b"4567"


# --- the twins, side by side ----------------------------------------------------------------------

FILES = st.sampled_from(["/a", "/b", "/d/a", "/d/b", "/e/f/a"])  # what no step makes a folder of
FOLDERS = st.sampled_from(["/d", "/e/f"])
PATHS, OFFSETS = FILES | FOLDERS, st.integers(0, 1500)
STEPS = st.one_of(
    st.tuples(st.just("create"), PATHS, OFFSETS),
    st.tuples(st.just("write"), PATHS, OFFSETS, st.binary(max_size=20)),
    st.tuples(st.sampled_from(["read", "unlink", "exists", "sync_dir", "list"]), PATHS),
    st.tuples(st.just("make_dir"), FOLDERS),
    st.tuples(st.just("atomic"), FILES),
    st.tuples(st.just("rename"), FILES, FILES),
)


def write(disk, path, offset, data):
    with closing(disk.open(path)) as file:
        file.write_at(offset, data)


def take(disk, base, step):
    """The step's outcome: a value, or the kernel's error."""
    name, *args = step
    args = [base + arg if isinstance(arg, str) else arg for arg in args]
    calls = {
        "create": lambda path, size: disk.create(path, size).close(),
        "write": lambda *args: write(disk, *args),
        "read": lambda path: get(disk, path),
        "make_dir": lambda path: disk.make_dir(path, 0o700),
        "atomic": lambda path: write_atomic(disk, path, b"atomic"),
    }
    try:
        return (calls.get(name) or getattr(disk, name))(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_no_sequence_of_calls_tells_the_twins_apart(steps):
    with tempfile.TemporaryDirectory() as folder, MemoryDisk() as memory:
        memory.make_dir("/base", 0o700)
        for step in steps:
            assert take(memory, "/base", step) == take(RealDisk(), folder, step)
        real = {str(file).removeprefix(folder): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}
        assert {path.removeprefix("/base"): data for path, data in memory.files().items()} == real


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to a group that it is not in")
def test_a_file_that_has_its_group_from_its_folder_is_given_to_nobody(tmp_path, monkeypatch):
    os.chown(tmp_path, -1, 51_000)
    tmp_path.chmod(0o2750)

    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", forbidden)
    write_atomic(RealDisk(), f"{tmp_path}/file", b"pad", mode=0o640, group=51_000)

    assert (51_000, 0o640) == ((facts := (tmp_path / "file").stat()).st_gid, stat.S_IMODE(facts.st_mode))
