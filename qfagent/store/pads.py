"""PSRD bytes at rest: one flat preallocated file a block, the user pad first, erased where it is spent.

* A block's file is whole and durable before anything names the block.
* `doom` marks bytes inside a transaction; only when that is durable may `erase` overwrite them, and in place.
* Bytes that are read for use hold no zeros in a row, but for the shortest of runs: zeros are what erasing leaves.
"""

import threading
from collections import defaultdict
from contextlib import closing, suppress

from qfagent.dske.psrd import Block
from qfagent.errors import OneTimeViolation, StoreError
from qfagent.store.database import disk_faults, from_os_error
from qfagent.store.disk import Disk, File, wipe, write_atomic

_OPEN_FILES = 128
_ERASED = bytes(16)  # so many zeros in a row are in no PSRD file; fewer may be chance
_TAG = "CACHEDIR.TAG"  # keeps backup tools out; the signature is that of the Cache Directory Tagging Specification
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# one-time pads: a copy of them must not exist\n"


class Pads:
    """The pad files in one folder."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk, self._folder = disk, folder
        self._open: dict[str, File] = {}
        self._dooms: dict[str, list[tuple[int, int]]] = defaultdict(list)  # of the transaction that is under way
        self._doomed: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._removals: set[str] = set()
        self._removed: set[str] = set()
        self._settling = threading.Lock()  # a commit ends in one thread, an erasure begins in another
        with disk_faults("making the folder of pads"):
            disk.make_dir(folder, 0o700)
            self._tag_folder()

    def write(self, block: Block) -> None:
        """Puts a new block's file in place, durably, or leaves nothing behind. Safe in any thread."""
        data = block.user.reveal() + block.server.reveal()
        path = self._path(block.id)
        with disk_faults("writing a pad"), closing(self._disk.create(path, len(data))) as file:
            try:
                file.write_at(0, data)
                file.sync()
                self._disk.sync_dir(self._folder)
            except OSError:
                wipe(file, file.size())
                self._disk.unlink(path)
                raise

    def discard(self, block: str) -> None:
        """Erases and removes the file of a block that nobody names. Safe in any thread."""
        path = self._path(block)
        with disk_faults("erasing an unfinished pad"):
            if self._disk.exists(path):
                with closing(self._disk.open(path)) as file:
                    wipe(file, file.size())
                self._disk.unlink(path)
                self._disk.sync_dir(self._folder)

    def read(self, block: str, offset: int, length: int) -> bytes:
        """Bytes of the block's file, for use; OneTimeViolation if they have been erased."""
        file = self._open.get(block) or self._opened(block)
        try:
            data = file.read_at(offset, length)
        except OSError as error:
            raise from_os_error(error, "reading a pad") from error
        if len(data) != length or _ERASED in data:
            raise OneTimeViolation(f"the bytes at {offset} of block {block} are erased or missing")
        return data

    def reserved(self, block: str, *, user: int, server: int) -> bytes:
        """The bytes of pads of these sizes that are never spent, 32 and 16; none where the file is not theirs."""
        with disk_faults("looking at a pad"):
            if not self._disk.exists(path := self._path(block)):
                return b""
            with closing(self._disk.open(path, write=False)) as file:
                is_theirs = file.size() == user + server
                return file.read_at(0, 32) + file.read_at(user, 16) if is_theirs else b""

    def doom(self, block: str, offset: int, length: int) -> None:
        """Marks bytes to be erased once the transaction that is under way is durable."""
        if length:
            self._dooms[block].append((offset, length))

    def remove(self, block: str) -> None:
        """Marks a block's whole file to be erased and removed, likewise."""
        self._removals.add(block)

    def settle(self, *, committed: bool) -> None:
        """The transaction has ended: its marks stand, or never were."""
        if committed:
            with self._settling:
                for block, spans in self._dooms.items():
                    self._doomed[block] += spans
                self._removed |= self._removals
            for block in self._removals:
                self._close(block)
        self._dooms.clear()
        self._removals.clear()

    @property
    def has_doomed(self) -> bool:
        """Whether bytes wait to be erased."""
        return bool(self._doomed or self._removed)

    def take_doomed(self) -> "Erasure":
        """What is to be erased now; whoever takes it performs it, or the store stands still."""
        with self._settling:
            spans = {block: spans for block, spans in self._doomed.items() if block not in self._removed}
            erasure = Erasure(self._disk, self._folder, spans, frozenset(self._removed))
            self._doomed.clear()
            self._removed.clear()
        return erasure

    def give_back(self, erasure: "Erasure") -> None:
        """An erasure could not be performed for now: it is to be taken again."""
        with self._settling:
            for block, spans in erasure.spans.items():
                self._doomed[block] += spans
            self._removed |= erasure.removed

    def destroy_strangers(self, known: set[str]) -> list[str]:
        """Erases and removes files of blocks that nobody names: what a crash left of an unfinished ingestion."""
        with disk_faults("erasing unfinished pads"):
            strangers = [name for name in self._disk.list(self._folder) if name not in known and name != _TAG]
        Erasure(self._disk, self._folder, {}, frozenset(strangers)).perform()
        return strangers

    def close(self) -> None:
        """Lets go of the files."""
        for block in list(self._open):
            self._close(block)

    def _close(self, block: str) -> None:
        if block in self._open:
            self._open.pop(block).close()

    def _opened(self, block: str) -> File:
        with disk_faults("opening a pad"):
            self._open[block] = self._disk.open(self._path(block))
            while len(self._open) > _OPEN_FILES:
                self._close(next(iter(self._open)))
        return self._open[block]

    def _path(self, block: str) -> str:
        return f"{self._folder}/{block}"

    def _tag_folder(self) -> None:
        path = f"{self._folder}/{_TAG}"
        if not self._disk.exists(path):
            write_atomic(self._disk, path, _SIGNATURE)


class Erasure:
    """Bytes and files to be overwritten in place; needs nothing of what `Pads` remembers, so any thread may do it."""

    def __init__(
        self, disk: Disk, folder: str, spans: dict[str, list[tuple[int, int]]], removed: frozenset[str]
    ) -> None:
        self._disk, self._folder, self.spans, self.removed = disk, folder, spans, removed

    def perform(self) -> None:
        """Overwrites everything, durably. StoreError."""
        with disk_faults("erasing spent pad bytes"):
            for block, spans in self.spans.items():
                with suppress(FileNotFoundError), closing(self._disk.open(f"{self._folder}/{block}")) as file:
                    _overwrite(file, _merged(spans))
            for block in self.removed:
                self._destroy(f"{self._folder}/{block}")

    def _destroy(self, path: str) -> None:
        if self._disk.exists(path):
            with closing(self._disk.open(path)) as file:
                wipe(file, file.size())
            self._disk.unlink(path)
            self._disk.sync_dir(self._folder)


def _overwrite(file: File, spans: list[tuple[int, int]]) -> None:
    for offset, length in spans:
        file.write_at(offset, bytes(length))
    file.sync()
    if file.read_at(spans[0][0], 1) != b"\0":
        raise StoreError("the disk did not take an erasure: the first byte of an erased span reads as it was")


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few runs as possible."""
    runs: list[tuple[int, int]] = []
    for offset, length in sorted(spans):
        if runs and offset <= sum(runs[-1]):
            start, before = runs[-1]
            runs[-1] = (start, max(before, offset + length - start))
        else:
            runs.append((offset, length))
    return runs
