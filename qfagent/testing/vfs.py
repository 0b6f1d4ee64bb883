"""A VFS puts SQLite's files on a disk of ours, so that a database lives and dies with the files beside it.

* One connection at a time: `locking_mode=EXCLUSIVE` before the first access keeps SQLite from asking for
  shared memory, which there is none of, and file locks are granted to everyone.
* It promises and reports what SQLite's own VFS for Unix does, down to the errors that one ignores.
* A fault is an `apsw.Error`, as on a real disk; `PowerLoss` passes through SQLite as it is. A fault that SQLite
  overlooks, as behind a commit in a checkpoint of its own making, is raised all the same: don't count on it.
* Temporary files never outlive their connection, so they are the default VFS's business.
"""

# ruff: noqa: N802  # SQLite names the methods

from contextlib import closing, suppress
from errno import ENOSPC
from itertools import count
from types import TracebackType
from typing import Any, Protocol

import apsw

from qfagent.store.disk import Disk, File
from qfagent.testing.mishaps import PowerLoss
from qfagent.testing.platter import parent

JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL

_numbers = count(1)  # a VFS is known to the whole process by its name


class SqliteFile(File, Protocol):
    """What SQLite needs of a file."""

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes, or extends it with zeros."""
        ...


class SqliteDisk(Disk, Protocol):
    """What SQLite needs of a disk."""

    def create(self, path: str, size: int, *, mode: int = 0o600, group: int | None = None) -> SqliteFile:
        """See `Disk`."""
        ...

    def open(self, path: str, *, write: bool = True) -> SqliteFile:
        """See `Disk`."""
        ...


class _Reporting:
    """Gives SQLite this extended result code for an `OSError`."""

    def __init__(self, code: int) -> None:
        self._code = code

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            full = error.errno == ENOSPC and self._code == apsw.SQLITE_IOERR_WRITE
            raise apsw.exception_for(apsw.SQLITE_FULL if full else self._code) from error


_ACCESS = _Reporting(apsw.SQLITE_IOERR_ACCESS)
_DELETE = _Reporting(apsw.SQLITE_IOERR_DELETE)
_FSTAT = _Reporting(apsw.SQLITE_IOERR_FSTAT)
_OPEN = _Reporting(apsw.SQLITE_CANTOPEN)
_READ = _Reporting(apsw.SQLITE_IOERR_READ)
_SYNC = _Reporting(apsw.SQLITE_IOERR_FSYNC)
_SYNC_DIR = _Reporting(apsw.SQLITE_IOERR_DIR_FSYNC)
_TRUNCATE = _Reporting(apsw.SQLITE_IOERR_TRUNCATE)
_WRITE = _Reporting(apsw.SQLITE_IOERR_WRITE)


class DiskVfs(apsw.VFS):
    """A VFS over `disk`, for one life of it."""

    def __init__(self, disk: SqliteDisk) -> None:
        self.name = f"qfagent-memory-{next(_numbers)}"
        self._disk = disk
        self._kept: list[apsw.Connection] = []
        super().__init__(self.name, "")

    def keep_connections(self) -> None:
        """Keeps what is open from being collected: the end of a connection touches the disk, and so would raise."""
        self._kept = [connection for connection in apsw.connections() if connection.open_vfs == self.name]

    def end(self) -> None:
        """Closes what is open, without a trace on the disk, as life is over; is known to nobody any more."""
        self.keep_connections()
        while self._kept:
            with suppress(PowerLoss):
                self._kept.pop().close(force=True)
        self.unregister()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        """A file, made if SQLite says so."""
        if name is None:
            return apsw.VFSFile("", None, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with _OPEN:
            file = self._open(path, create=bool(flags[0] & apsw.SQLITE_OPEN_CREATE))
        flags[1] = flags[0]
        return _OpenFile(file, self._disk, parent(path) if flags[0] & JOURNALS else None)

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Whether the file is there and, as SQLite's own VFS has it, not empty."""
        del flags
        with _ACCESS:
            return self._disk.exists(pathname) and self._size(pathname) > 0

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Removes a file."""
        with _DELETE:
            self._unlink(filename)
        with _SYNC_DIR:
            if syncdir:
                self._disk.sync_dir(parent(filename))

    def xFullPathname(self, name: str) -> str:
        """Paths are absolute already."""
        return name

    def _open(self, path: str, *, create: bool) -> SqliteFile:
        if create and not self._disk.exists(path):
            return self._disk.create(path, 0)
        return self._disk.open(path)

    def _size(self, path: str) -> int:
        with closing(self._disk.open(path)) as file:
            return file.size()

    def _unlink(self, path: str) -> None:
        try:
            self._disk.unlink(path)
        except FileNotFoundError as error:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT) from error


class _OpenFile:
    """A file as SQLite sees it; apsw asks for these methods, not for a base class."""

    def __init__(self, file: SqliteFile, disk: SqliteDisk, unsynced_folder: str | None) -> None:
        self._file = file
        self._disk = disk
        self._unsynced_folder = unsynced_folder

    def xRead(self, amount: int, offset: int) -> bytes:
        with _READ:
            return self._file.read_at(offset, amount)

    def xWrite(self, data: bytes, offset: int) -> None:
        with _WRITE:
            self._file.write_at(offset, data)

    def xTruncate(self, newsize: int) -> None:
        with _TRUNCATE:
            self._file.truncate(newsize)

    def xSync(self, _flags: int) -> None:
        with _SYNC:
            self._file.sync()
        if self._unsynced_folder is not None:
            with suppress(OSError):  # SQLite's own VFS does not look at this error either
                self._disk.sync_dir(self._unsynced_folder)
            self._unsynced_folder = None

    def xFileSize(self) -> int:
        with _FSTAT:
            return self._file.size()

    def xClose(self) -> None:
        self._file.close()

    def xLock(self, _level: int) -> None:
        pass

    def xUnlock(self, _level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, _op: int, _pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
