"""Files that a command makes: for their owner only, whole or not there, and never in place of another.

* The name is taken before the agent is asked: what it gives away once is not asked for in vain.
* The content is complete and durable before it stands under that name; what is unfinished is overwritten and removed.
* A pad is not shown on a terminal by accident.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from qfagent.errors import BadRequest, WrongState

_MODE: Final = 0o600
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_THERE: Final = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 1 << 20  # bytes that are overwritten at a time


@contextmanager
def output(path: str | None) -> Iterator[BinaryIO]:
    """A new file; standard output if there is no path, or `-`. WrongState, BadRequest, OSError."""
    if path in (None, "-"):
        yield _standard_output(meant=path == "-")
        return
    with new_file(Path(str(path))) as file:
        yield file


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when the block has ended well, and only then. WrongState if there is one, OSError."""
    _take_name(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with _create(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        _discard(temporary)
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync_folder(path.parent)


def overwrite(file: BinaryIO, *, advance: Callable[[int], object] = lambda _: None) -> None:
    """Overwrites a file in place, durably; `advance` is told of the bytes as they are written."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    for offset in range(0, length, _PIECE):
        advance(file.write(bytes(min(_PIECE, length - offset))))
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Makes durable which files there are in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_name(path: Path) -> None:
    try:
        os.close(os.open(path, _NEW, _MODE))
    except FileExistsError:
        what = "is a folder" if path.is_dir() else "exists, and stays as it is"
        raise WrongState(f"{path} {what}", remedy="name a new file") from None


def _discard(path: Path) -> None:
    """Overwrites what a command has left unfinished, and removes it; what may be something else is only removed."""
    with suppress(OSError), os.fdopen(os.open(path, _THERE), "r+b") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            overwrite(file)
    path.unlink(missing_ok=True)


def _create(path: Path) -> BinaryIO:
    _discard(path)  # a command that was killed has left it: whoever holds the name is alone
    return os.fdopen(os.open(path, _NEW, _MODE), "wb")


def _standard_output(*, meant: bool) -> BinaryIO:
    if sys.stdout is None:
        raise BadRequest("standard output is closed", remedy="say -o FILE")
    if not meant and sys.stdout.isatty():
        raise BadRequest("this is not for a terminal", remedy="say -o FILE, or -o - if it is")
    return sys.stdout.buffer
