"""The memory disk is the twin of the real one: it forgets what was not synced, as far as a seed decides.

* The same seed and the same calls give the same outcome; what SQLite writes holds its own random salts.
* Only `File.sync` makes bytes durable and only `sync_dir` makes names durable, neither does the other's work;
  folders are durable from the start.
* `crash` is power loss and the start after it: open files, locks, connections and their VFS are of the life before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EBADF, EEXIST, EISDIR, ENOENT, ENOTDIR, EWOULDBLOCK
from types import TracebackType
from typing import Any, Self

from qfagent.store.disk import Facts
from qfagent.testing.mishaps import Mishaps, PowerLoss, os_error
from qfagent.testing.platter import Content, Dice, Lose, Names, parent
from qfagent.testing.vfs import DiskVfs

__all__ = ["MemoryDisk", "MemoryFile", "PowerLoss"]


class MemoryDisk(Mishaps):
    """A `Disk` in memory; its counters, faults and lies are in `Mishaps`.

    Close it, or use it as a context, if SQLite was on it: a registered VFS would keep it alive.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._names = Names()
        self._folders = {"/"}
        self._vfs: DiskVfs | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        self.close()

    @property
    def vfs(self) -> str:
        """See `Disk`. Every life has a VFS of its own, so ask again after `crash`."""
        self.life.check()
        if self._vfs is None:
            self._vfs = DiskVfs(self)
        return self._vfs.name

    def create(self, path: str, size: int, *, mode: int = 0o600, group: int | None = None) -> "MemoryFile":
        """See `Disk`; modes and groups mean nothing here."""
        del mode, group
        self._expect_folder(parent(path))
        if self._is_there(path):
            raise os_error(EEXIST, path)
        content = Content()
        self.perform(self.life, "create", self._create, path, content, size)
        return MemoryFile(self, content)

    def open(self, path: str, *, write: bool = True) -> "MemoryFile":
        """See `Disk`; everything here may be written."""
        del write
        self.observe(self.life, "open")
        return MemoryFile(self, self._content(path))

    def lock(self, path: str) -> "MemoryFile":
        """See `Disk`."""
        self.observe(self.life, "lock")
        file = self.open(path) if self._is_there(path) else self.create(path, 0)
        file.lock()
        return file

    def rename(self, old: str, new: str) -> None:
        """See `Disk`."""
        self._expect_folder(parent(old))
        self._expect_folder(parent(new))
        content = self._content(old)
        if new in self._folders:
            raise os_error(EISDIR, new)
        self.perform(self.life, "rename", self._names.change, {old: None, new: content})

    def unlink(self, path: str) -> None:
        """See `Disk`."""
        self._content(path)
        self.perform(self.life, "unlink", self._names.change, {path: None})

    def exists(self, path: str) -> bool:
        """See `Disk`."""
        self.observe(self.life, "exists")
        return self._is_there(path)

    def device(self, path: str) -> int:
        """See `Disk`; there is one only."""
        self._expect_folder(path)
        return 0

    def make_dir(self, path: str, mode: int) -> None:
        """See `Disk`."""
        del mode
        self.perform(self.life, "make_dir", self._folders.update, self._missing(path))

    def sync_dir(self, path: str) -> None:
        """See `Disk`."""
        self._expect_folder(path)
        self.perform(self.life, "sync_dir", _nothing if self.ignore_sync_dir else self._names.settle, path)

    def list(self, path: str) -> list[str]:
        """See `Disk`."""
        self.observe(self.life, "list")
        self._expect_folder(path)
        everything = (*self._names.live, *self._folders - {"/"})
        return sorted(name.rpartition("/")[2] for name in everything if parent(name) == path)

    def crash(self, *, lose: Lose = "some") -> None:
        """Loses power, and unsynced changes: "all", "none" or a random "some"; then starts again."""
        self.close()
        self.power_on()
        self._names.restart(Dice(self.chance, lose))
        for content in self._names.live.values():
            content.settle(Dice(self.chance, lose))
            content.restart()

    @contextmanager
    def until_power_fails(self) -> Iterator[None]:
        """A life that ends with the block or with power; what dying code makes of `PowerLoss` is no error."""
        try:
            yield
        except BaseException:
            if not self.dead:
                raise

    def power_off(self) -> None:
        """See `Mishaps`."""
        super().power_off()
        if self._vfs is not None:
            self._vfs.keep_connections()

    def close(self) -> None:
        """Ends this life and all that belongs to it, so that nothing keeps the disk in memory."""
        super().power_off()
        if self._vfs is not None:
            self._vfs.end()
            self._vfs = None

    def files(self) -> dict[str, bytes]:
        """What programs read now, by path."""
        return {path: bytes(content.live) for path, content in self._names.live.items()}

    def durable_files(self) -> dict[str, bytes]:
        """What is certain to survive power loss, by path."""
        return {path: bytes(content.durable) for path, content in self._names.durable.items()}

    def _create(self, path: str, content: Content, size: int) -> None:
        self._names.change({path: content})
        content.resize(size)

    def _missing(self, path: str) -> Iterator[str]:
        """The folders that `path` needs, for `set.update`."""
        while path not in self._folders:
            if path in self._names.live:
                raise os_error(EEXIST, path)
            yield path
            path = parent(path)

    def _content(self, path: str) -> Content:
        self.life.check()
        if path in self._folders:
            raise os_error(EISDIR, path)
        self._expect_folder(parent(path))
        content = self._names.live.get(path)
        if content is None:
            raise os_error(ENOENT, path)
        return content

    def _expect_folder(self, path: str) -> None:
        self.life.check()
        if path in self._names.live:
            raise os_error(ENOTDIR, path)
        if path not in self._folders:
            self._expect_folder(parent(path))  # the first obstacle on the way names the error
            raise os_error(ENOENT, path)

    def _is_there(self, path: str) -> bool:
        return path in self._names.live or path in self._folders


class MemoryFile:
    """An open file of a memory disk, for the rest of this life."""

    def __init__(self, mishaps: Mishaps, content: Content) -> None:
        self._mishaps = mishaps
        self._life = mishaps.life
        self._content = content
        self._locks = False
        self._closed = False

    def read_at(self, offset: int, size: int) -> bytes:
        """See `File`."""
        self._mishaps.observe(self._life, "read_at")
        return bytes(self._use().live[offset : offset + size])

    def write_at(self, offset: int, data: bytes) -> None:
        """See `File`."""
        self._mishaps.perform(self._life, "write_at", self._use().write, offset, data)

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes, or extends it with zeros; SQLite needs it, stores don't."""
        self._mishaps.perform(self._life, "truncate", self._use().resize, size)

    def size(self) -> int:
        """See `File`."""
        self._mishaps.observe(self._life, "size")
        return len(self._use().live)

    def facts(self) -> Facts:
        """See `File`; there is nothing but regular files here."""
        return Facts(regular=True, links=1, size=self.size(), inode=id(self._content))

    def sync(self) -> None:
        """See `File`."""
        content = self._use()
        self._mishaps.perform(self._life, "sync", _nothing if self._mishaps.ignore_sync else content.settle)

    def lock(self) -> None:
        """Holds the file's lock until closed. `BlockingIOError` if another open file does."""
        if self._use().locked:
            raise os_error(EWOULDBLOCK)
        self._content.locked = self._locks = True

    def close(self) -> None:
        """See `File`; allowed after the end of its life, where it does nothing."""
        if self._locks and not self._life.over:
            self._content.locked = False
        self._locks, self._closed = False, True

    def _use(self) -> Content:
        if self._closed:
            raise os_error(EBADF)
        return self._content


def _nothing(*_: Any) -> None:
    """A sync that lies."""
