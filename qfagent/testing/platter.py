"""The platter is what a disk's bytes and names come back from after power loss.

* Programs read `live`; power loss leaves `durable`; `pending` is the way from the one to the other, in order.
* Syncing carries `pending` over whole; power loss carries over what the dice leave of it; nothing else does.
* Of unsynced writes any subset survives, each whole or torn: by sectors of 512 bytes, or cut at any byte.
* Of unsynced names any subset survives, but a change only together with those that it builds on.
"""

from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Literal

SECTOR = 512

Lose = Literal["all", "none", "some"]
Change = tuple[int, bytes | None]  # an offset and what is written there, or a new size and None


class Dice:
    """What happens to one series of unsynced changes; some series are lost or kept as a whole."""

    def __init__(self, chance: Random, lose: Lose = "some") -> None:
        self._chance = chance
        some = lose == "some"
        self._keep = chance.choice((0.0, 0.5, 1.0)) if some else float(lose == "none")
        self._tear = chance.choice((0.0, 0.5)) if some else 0.0

    def keep(self) -> bool:
        """Whether the next change survives."""
        return self._chance.random() < self._keep

    def remains(self, change: Change) -> Iterable[Change]:
        """What survives of the next change."""
        if self.keep():
            return (change,)
        offset, data = change
        if data is None or self._chance.random() >= self._tear:
            return ()
        return self._torn(offset, data)

    def _torn(self, offset: int, data: bytes) -> Iterable[Change]:
        if self._chance.random() < 0.25:
            return ((offset, data[: self._chance.randrange(len(data) + 1)]),)
        end = offset + len(data)
        edges = (offset, *range(offset - offset % SECTOR + SECTOR, end, SECTOR), end)
        return [(a, data[a - offset : b - offset]) for a, b in pairwise(edges) if self._chance.random() < 0.5]


class Content:
    """A file's bytes, whatever its name."""

    __slots__ = ("durable", "live", "locked", "pending")

    def __init__(self) -> None:
        self.live = bytearray()
        self.durable = bytearray()
        self.pending: list[Change] = []
        self.locked = False

    def write(self, offset: int, data: bytes, dice: Dice | None = None) -> None:
        """Writes `data` at `offset` bytes; given dice, only what they leave of it."""
        change = (offset, bytes(data))
        for part in dice.remains(change) if dice else (change,):
            _write(self.live, part)
            self.pending.append(part)

    def resize(self, size: int) -> None:
        """Cuts the file to `size` bytes, or extends it with zeros."""
        _write(self.live, (size, None))
        self.pending.append((size, None))

    def settle(self, dice: Dice | None = None) -> None:
        """Makes what is pending durable; given dice, only what they leave of it, and forgets the rest."""
        for change in self.pending:
            for part in dice.remains(change) if dice else (change,):
                _write(self.durable, part)
        self.pending = []

    def restart(self) -> None:
        """Reads from now on what survived."""
        self.live = bytearray(self.durable)
        self.locked = False


Renaming = dict[str, Content | None]  # what the paths mean after one atomic change


class Names:
    """The entries of all folders: which path means which content."""

    def __init__(self) -> None:
        self.live: dict[str, Content] = {}
        self.durable: dict[str, Content] = {}
        self.pending: list[Renaming] = []

    def change(self, renaming: Renaming) -> None:
        """Creates, renames or removes, at once and as one."""
        _rename(self.live, renaming)
        self.pending.append(renaming)

    def settle(self, folder: str, dice: Dice | None = None) -> None:
        """Makes the pending changes of a folder durable; given dice, what they leave of them."""
        due, self.pending = _split(self.pending, folder)
        self._carry(due, dice)

    def restart(self, dice: Dice) -> None:
        """Means from now on what survives of the pending changes."""
        self._carry(self.pending, dice)
        self.pending = []
        self.live = dict(self.durable)

    def _carry(self, changes: list[Renaming], dice: Dice | None) -> None:
        lost: set[str] = set()
        for renaming in changes:
            if lost.isdisjoint(renaming) and (dice is None or dice.keep()):
                _rename(self.durable, renaming)
            else:
                lost.update(renaming)


def parent(path: str) -> str:
    """The folder that a path lies in."""
    return path.rpartition("/")[0] or "/"


def _split(changes: list[Renaming], folder: str) -> tuple[list[Renaming], list[Renaming]]:
    """The changes that touch the folder, with those they build on; and the others."""
    touched: set[str] = set()
    due: list[Renaming] = []
    others: list[Renaming] = []
    for renaming in reversed(changes):
        mine = any(parent(path) == folder or path in touched for path in renaming)
        (due if mine else others).append(renaming)
        touched.update(renaming if mine else ())
    return due[::-1], others[::-1]


def _rename(names: dict[str, Content], renaming: Renaming) -> None:
    for path, content in renaming.items():
        if content is None:
            names.pop(path, None)
        else:
            names[path] = content


def _write(content: bytearray, change: Change) -> None:
    """Applies a change; a gap before it reads as zeros, but writing nothing makes none."""
    offset, data = change
    if data == b"":
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data
