"""Files that commands make: whole or not there, for their owner only, never in place of another."""

import os
import stat

import pytest

from qfagent.cli.files import new_file
from qfagent.errors import WrongState


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_there_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    with new_file(path) as file:
        file.write(b"pad")
        file.flush()
        before = path.read_bytes()

    assert (before, path.read_bytes(), names(tmp_path)) == (b"", b"pad", ["file"])


def test_only_its_owner_may_read_it(tmp_path):
    previous = os.umask(0)
    try:
        with new_file(tmp_path / "file"):
            modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    finally:
        os.umask(previous)

    assert modes == [0o600, 0o600]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), new_file(tmp_path / "file") as file:
        file.write(b"pad")
        raise error

    assert names(tmp_path) == []


@pytest.fixture
def unfinished(tmp_path):
    """What the blocks of a file under way hold, when its name is gone."""
    opened = []

    def hold():
        opened.append((tmp_path / ".file.tmp").open("rb"))
        return opened[0]

    yield hold
    opened[0].close()


def test_what_a_failure_leaves_is_overwritten(tmp_path, unfinished):
    with pytest.raises(RuntimeError), new_file(tmp_path / "file") as file:
        file.write(b"pad")
        held = unfinished()
        raise RuntimeError

    assert (bytes(3), names(tmp_path)) == (held.read(), [])


def test_what_a_killed_command_left_is_overwritten(tmp_path, unfinished):
    (tmp_path / ".file.tmp").write_bytes(b"pad")
    held = unfinished()
    with new_file(tmp_path / "file"):
        pass

    assert bytes(3) == held.read()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_has_taken_the_place_of_an_unfinished_file_is_not_overwritten(tmp_path, link):
    (tmp_path / "other").write_bytes(b"other")
    link(tmp_path / "other", tmp_path / ".file.tmp")
    with new_file(tmp_path / "file"):
        pass

    assert b"other" == (tmp_path / "other").read_bytes()


def test_another_file_stays_as_it_is(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"other")

    with pytest.raises(WrongState, match="exists, and stays as it is"), new_file(path):
        pass
    assert path.read_bytes() == b"other"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(WrongState), new_file(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_name_is_taken_before_anything_is_written(tmp_path):
    path = tmp_path / "file"

    with new_file(path), pytest.raises(WrongState), new_file(path):
        pass
    assert path.read_bytes() == b""


def test_what_a_killed_command_left_is_replaced(tmp_path):
    (tmp_path / ".file.tmp").write_bytes(b"half of a longer file")
    with new_file(tmp_path / "file") as file:
        file.write(b"pad")

    assert ((tmp_path / "file").read_bytes(), names(tmp_path)) == (b"pad", ["file"])


def test_an_error_of_the_disk_names_the_file(tmp_path):
    path = tmp_path / "file"

    with pytest.raises(OSError, match="No space") as caught, new_file(path):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(path)
