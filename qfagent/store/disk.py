"""The disk is the handful of file operations that everything durable is built from.

* Nothing is buffered here: what `write_at` has taken is in the kernel's hands, and only `sync` makes it durable.
* A file's bytes and its entry in a folder are durable separately: the first by `File.sync`, the second by `sync_dir`.
* Errors are `OSError` as the kernel gives them; whoever knows what the file is for maps them.
* Paths are absolute and normal; files never follow a link in their last component; all sizes are in bytes.
"""

import fcntl
import os
import stat
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_CHUNK = 1 << 20
_CLOSED = (1 << 31) - 1  # no process has so many descriptors; the kernel answers EBADF


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is: `links` counts its names, `device` is the file system, `modified` Unix nanoseconds."""

    regular: bool
    links: int
    size: int
    device: int = 0
    inode: int = 0
    owner: int = 0
    modified: int = 0


class File(Protocol):
    """An open file; safe to use from several threads, as no call depends on a position."""

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; fewer only where the file ends."""
        ...

    def write_at(self, offset: int, data: bytes) -> None:
        """Writes all of `data`, extending the file where needed; an error may leave any part of it behind."""
        ...

    def size(self) -> int:
        """The file's length in bytes."""
        ...

    def facts(self) -> "Facts":
        """What kind of file it is."""
        ...

    def sync(self) -> None:
        """Makes bytes and size durable. After an error nothing is known about them, and no retry will tell."""
        ...

    def close(self) -> None:
        """Lets go of the file, and of its lock; once is enough and twice does no harm."""
        ...


class Disk(Protocol):
    """Files and folders by path."""

    @property
    def vfs(self) -> str:
        """The name of the SQLite VFS that puts a database on this disk."""
        ...

    def create(self, path: str, size: int, *, mode: int = 0o600, group: int | None = None) -> File:
        """A new file of `size` zeros, its room reserved; on an error there is none. `FileExistsError`."""
        ...

    def open(self, path: str, *, write: bool = True) -> File:
        """An existing file, for reading and perhaps writing; nothing is waited for. `FileNotFoundError`; no links."""
        ...

    def lock(self, path: str) -> File:
        """The file at `path`, made if missing, locked until closed. `BlockingIOError` if another holder lives."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Moves a file, not a folder, atomically and over whatever file has the new name."""
        ...

    def unlink(self, path: str) -> None:
        """Removes a file's name."""
        ...

    def exists(self, path: str) -> bool:
        """Whether anything has this name, a dangling link included."""
        ...

    def device(self, path: str) -> int:
        """The file system that a folder is on, as `Facts` has it."""
        ...

    def make_dir(self, path: str, mode: int) -> None:
        """A folder, and the parents it lacks likewise, durable on return; one that exists is left as it is."""
        ...

    def sync_dir(self, path: str) -> None:
        """Makes the folder's entries durable: files created, renamed, unlinked."""
        ...

    def list(self, path: str) -> list[str]:
        """The names in a folder, sorted."""
        ...


def write_atomic(disk: Disk, path: str, data: bytes, *, mode: int = 0o600, group: int | None = None) -> None:
    """Puts `data` at `path`, durably; whatever happens, the old content or the new is there, never a mixture."""
    target = Path(path)
    temporary = str(target.with_name(f".{target.name}.tmp"))  # a name that inbox scanners pass over
    _destroy(disk, temporary)  # left by a crash; a fixed name means there is never more than one
    try:
        with closing(disk.create(temporary, len(data), mode=mode, group=group)) as file:
            file.write_at(0, data)
            file.sync()
        disk.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            _destroy(disk, temporary)
        raise
    disk.sync_dir(str(target.parent))


def wipe(file: File, size: int) -> None:
    """Overwrites the first `size` bytes in place, durably."""
    for offset in range(0, size, _CHUNK):
        file.write_at(offset, bytes(min(_CHUNK, size - offset)))
    file.sync()


def _destroy(disk: Disk, path: str) -> None:
    if disk.exists(path):
        with closing(disk.open(path)) as file:
            wipe(file, file.size())
        disk.unlink(path)


class RealFile:
    """A file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_at(self, offset: int, size: int) -> bytes:
        """See `File`."""
        data = os.pread(self._descriptor, size, offset)
        while 0 < len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def write_at(self, offset: int, data: bytes) -> None:
        """See `File`."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest, offset = rest[written:], offset + written

    def size(self) -> int:
        """See `File`."""
        return os.fstat(self._descriptor).st_size

    def facts(self) -> Facts:
        """See `File`."""
        found = os.fstat(self._descriptor)
        regular = stat.S_ISREG(found.st_mode)
        where = (found.st_dev, found.st_ino)
        return Facts(regular, found.st_nlink, found.st_size, *where, found.st_uid, found.st_mtime_ns)

    def sync(self) -> None:
        """See `File`."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """See `File`."""
        descriptor, self._descriptor = self._descriptor, _CLOSED  # the number may be somebody else's soon
        if descriptor != _CLOSED:
            os.close(descriptor)


class RealDisk:
    """The kernel's file systems."""

    vfs = "unix"

    def create(self, path: str, size: int, *, mode: int = 0o600, group: int | None = None) -> File:
        """See `Disk`."""
        descriptor = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            _prepare(descriptor, size, mode=mode, group=group)
        except OSError:
            os.close(descriptor)
            self.unlink(path)
            raise
        return RealFile(descriptor)

    def open(self, path: str, *, write: bool = True) -> File:
        """See `Disk`."""
        return RealFile(_open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK))

    def lock(self, path: str) -> File:
        """See `Disk`."""
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return RealFile(descriptor)

    def rename(self, old: str, new: str) -> None:
        """See `Disk`."""
        Path(old).replace(new)

    def unlink(self, path: str) -> None:
        """See `Disk`."""
        Path(path).unlink()

    def exists(self, path: str) -> bool:
        """See `Disk`."""
        try:
            os.lstat(path)  # `Path.exists` answers "no" when the disk fails
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def device(self, path: str) -> int:
        """See `Disk`."""
        return Path(path).stat().st_dev

    def make_dir(self, path: str, mode: int) -> None:
        """See `Disk`."""
        folder = Path(path)
        if not folder.is_dir():
            self.make_dir(str(folder.parent), mode)
            folder.mkdir(mode=0o700)
            folder.chmod(mode)  # as in `_prepare`
        with suppress(PermissionError):  # who may not read the parent has not made the folder either
            self.sync_dir(str(folder.parent))

    def sync_dir(self, path: str) -> None:
        """See `Disk`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a state folder may be a link
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def list(self, path: str) -> list[str]:
        """See `Disk`."""
        return sorted(entry.name for entry in Path(path).iterdir())


def _open(path: str, flags: int) -> int:
    """A descriptor; a file that this creates is the owner's alone until `_prepare` says otherwise."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _prepare(descriptor: int, size: int, *, mode: int, group: int | None) -> None:
    if group is not None and os.fstat(descriptor).st_gid != group:  # a sandbox permits none of it, and needs none
        os.fchown(descriptor, -1, group)  # before the mode, lest the wrong group may read meanwhile
    os.fchmod(descriptor, mode)  # not left to open(2), which the umask would bend
    if size:  # the kernel takes no reservation of nothing
        os.posix_fallocate(descriptor, 0, size)
