"""A dropped file is looked at, read once, and then erased or set aside; its folder belongs to others as well.

* Nothing here follows a link or waits; what is no regular file with one name on the folder's own disk is refused.
* A file that changed after it was read is left alone: it may hold something new.
* A name is whatever somebody chose: any bytes, of any length; what is said of it is printable.
* Synchronous, over a `Disk`; runs in any thread.
"""

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fnmatch import fnmatch
from typing import Final

import msgspec

from qfagent.dske import psrd
from qfagent.errors import AgentError, NotPermitted, PsrdRejected
from qfagent.store.database import disk_faults
from qfagent.store.disk import Disk, Facts, File, wipe, write_atomic
from qfagent.store.leftovers import Place

FOLDER_MODE: Final = 0o3730
IGNORED: Final = (".*", "*.part", "*.tmp", "*.filepart", "*.swp", "*~")
_LONGEST_NAME: Final = 200  # bytes of a refused file's, so that what is put around it still makes a name


class Dropped:
    """One file, open for as long as it is dealt with."""

    def __init__(self, path: str, file: File, *, writable: bool) -> None:
        self.path, self.facts, self.writable = path, file.facts(), writable
        self._file = file

    def read(self) -> bytes:
        """All of it; StoreError if the disk fails."""
        with disk_faults("reading a dropped file"):
            return self._file.read_at(0, self.facts.size)

    def overwrite(self) -> None:
        """Overwrites it in place, durably."""
        wipe(self._file, self.facts.size)

    @property
    def place(self) -> Place:
        """Where it lies, and which file it is."""
        return Place(self.path, self.facts.inode)

    @property
    def is_unchanged(self) -> bool:
        """Whether it is as it was when it was opened."""
        return self._file.facts() == self.facts

    def close(self) -> None:
        """Lets go of it."""
        self._file.close()


class DropFolder:
    """The folder of dropped files, and the one for those that are refused."""

    def __init__(self, disk: Disk, path: str, *, rejected: str) -> None:
        self._disk, self.path, self._rejected = disk, path, rejected

    def prepare(self) -> None:
        """Makes both folders if they are missing."""
        with disk_faults("making the inbox"):
            self._disk.make_dir(self.path, FOLDER_MODE)
            self._disk.make_dir(self._rejected, 0o700)

    def names(self) -> list[str]:
        """The files that may be PSRD files."""
        with disk_faults("reading the inbox"):
            return [name for name in self._disk.list(self.path) if not any(fnmatch(name, bad) for bad in IGNORED)]

    @contextmanager
    def open(self, path: str) -> Iterator[Dropped]:
        """The file, checked. FileNotFoundError, NotPermitted, PsrdRejected, StoreError."""
        with closing(self._open(path)) as dropped:
            with disk_faults("looking at the inbox"):
                _check(dropped.facts, device=self._disk.device(self.path))
            yield dropped

    def erase(self, dropped: Dropped) -> bool:
        """Overwrites the file where that is permitted, and removes it; whether it was overwritten.

        A file that has changed, or whose name is another file's by now, stays.
        """
        with disk_faults("erasing a dropped file"):
            if not dropped.is_unchanged:
                return True
            if dropped.writable:
                dropped.overwrite()
            if self._is_still_there(dropped):
                self._disk.unlink(dropped.path)
                self._disk.sync_dir(self.path)
        return dropped.writable

    def sync(self) -> None:
        """Makes durable what was removed."""
        with disk_faults("syncing the inbox"):
            self._disk.sync_dir(self.path)

    def reject(self, name: str, reason: AgentError, *, now: int, again: bool = False) -> bool:
        """Sets a file aside, with the reason beside it; whether it was still there.

        NotPermitted if it can't be taken out of the folder. `again`: that was so before, so it is tried first.
        """
        with disk_faults("setting a dropped file aside"):
            target = self._aside(name)
            if not again:
                self._say_why(target, reason, now=now)
            try:
                self._move(f"{self.path}/{name}", target)
            except OSError as error:
                if not again:
                    self._disk.unlink(_reason(target))  # or every attempt would leave one
                if isinstance(error, FileNotFoundError):
                    return False
                raise _stuck(f"{self.path}/{name}", error) from error
            if again:
                self._say_why(target, reason, now=now)
            return True

    def explain(self, name: str, reason: AgentError, *, now: int) -> None:
        """Keeps the reason why a file is refused, where the file itself would lie beside it."""
        with disk_faults("setting a dropped file aside"):
            self._say_why(self._aside(name), reason, now=now)

    def _aside(self, name: str) -> str:
        return f"{self._rejected}/{self._free_name(name)}"

    def _say_why(self, target: str, reason: AgentError, *, now: int) -> None:
        said = {"code": reason.slug, "reason": str(reason), "at": now}
        write_atomic(self._disk, _reason(target), msgspec.json.encode(said))

    def _open(self, path: str) -> Dropped:
        with _dropped_faults(path):
            try:
                return Dropped(path, self._disk.open(path), writable=True)
            except PermissionError:
                return Dropped(path, self._disk.open(path, write=False), writable=False)
            except IsADirectoryError:
                raise PsrdRejected("expected a file, found a folder") from None

    def _is_still_there(self, dropped: Dropped) -> bool:
        try:
            with closing(self._disk.open(dropped.path, write=False)) as file:
                return file.facts().inode == dropped.facts.inode
        except FileNotFoundError:
            return False

    def _move(self, old: str, new: str) -> None:
        try:
            self._disk.rename(old, new)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(old, new)
            self._overwrite(old)
            self._disk.unlink(old)
        self._disk.sync_dir(self._rejected)
        self._disk.sync_dir(self.path)

    def _copy(self, old: str, new: str) -> None:
        """A file to another disk; a link leaves nothing but the reason."""
        try:
            with closing(self._disk.open(old, write=False)) as file:
                write_atomic(self._disk, new, file.read_at(0, min(file.size(), psrd.MAX_FILE)))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise

    def _overwrite(self, path: str) -> None:
        with suppress(NotPermitted, PsrdRejected), self.open(path) as dropped:  # nobody else's file, through a link
            if dropped.writable:
                dropped.overwrite()

    def _free_name(self, name: str) -> str:
        name = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
        taken = set(self._disk.list(self._rejected))
        candidates = (name, *(f"{name}.{number}" for number in range(1, len(taken) + 2)))
        return next(free for free in candidates if free not in taken and _reason(free) not in taken)


def _reason(target: str) -> str:
    return f"{target}.reason.json"


def shown(name: str) -> str:
    """A name as it can stand in events and texts, whatever bytes it is made of."""
    return name if name.isprintable() else repr(name)[1:-1]


def _stuck(path: str, error: OSError) -> Exception:
    """Why something can't be taken out of the folder: such as another user's folder."""
    if isinstance(error, PermissionError | IsADirectoryError):
        return NotPermitted(f"the agent may not take {path} away", remedy=f"rm -r {shlex.quote(path)}")
    return error


def _check(facts: Facts, *, device: int) -> None:
    if not facts.regular:
        raise PsrdRejected("expected a regular file")
    if facts.device != device:
        raise PsrdRejected("expected a file on the file system of its folder")
    if facts.links != 1:
        raise PsrdRejected(f"expected a file with one name, found one with {facts.links}")
    if facts.size > psrd.MAX_FILE:
        raise PsrdRejected(f"expected at most {psrd.MAX_FILE} bytes, found {facts.size}")


@contextmanager
def _dropped_faults(path: str) -> Iterator[None]:
    """What opening a file that somebody else made can mean."""
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as error:
        name = shown(path)
        raise NotPermitted(f"the agent may not read {name}", remedy=f"chmod g+r {shlex.quote(name)}") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise PsrdRejected("expected a regular file, found a link or a device") from error
        with disk_faults("opening a dropped file"):
            raise
