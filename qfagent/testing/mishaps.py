"""Mishaps are what can befall a disk: power loss in the midst of a call, and calls that fail.

* Every call that changes the disk passes through `perform`, every other one through `observe`.
* `PowerLoss` ends a life; whatever still holds on to that life gets `PowerLoss` from every call and changes nothing.
* The call that power loss cuts short has done its work or has not; what is left of unsynced work, `crash` decides.
* A failing write or sync leaves behind anything between nothing and all, any other failing call nothing; a write for
  which there is no room leaves some of its beginning, but never all.
* A failed sync forgets what it did not write, as a kernel does: the next one has nothing left to write.
* A liar's sync returns without having synced, for tests that must fail: `ignore_sync`, `ignore_sync_dir`.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOSPC
from random import Random
from typing import Any, TypeVar

from qfagent.testing.platter import Dice

CHANGES = frozenset({"create", "write_at", "truncate", "sync", "rename", "unlink", "make_dir", "sync_dir"})
SYNCS = frozenset({"sync", "sync_dir"})
DIVISIBLE = SYNCS | {"write_at"}
READS = frozenset({"open", "read_at", "size", "exists", "list", "lock"})

Result = TypeVar("Result")


class PowerLoss(BaseException):
    """The machine has lost power; nothing that runs on it may go on, so nothing may catch this but the test."""


class Life:
    """The time between two power losses; shared by all that ends with it."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def check(self) -> None:
        """Raises `PowerLoss` if it is over."""
        if self.over:
            raise PowerLoss


@dataclass(slots=True)
class Fault:
    """The next `times` calls that match fail, after `after` more of them have gone well."""

    call: str | None
    errno: int
    after: int
    times: int

    def strikes(self, call: str) -> bool:
        """Whether this call fails."""
        if self.call != call and (self.call is not None or call not in CHANGES):
            return False
        self.after -= 1
        return -self.times <= self.after < 0


class Mishaps:
    """What is going to happen to the calls of a disk, decided by a seed."""

    def __init__(self, seed: int) -> None:
        self.ignore_sync = False
        self.ignore_sync_dir = False
        self.calls: Counter[str] = Counter()
        self.changes = 0  # calls that have changed what programs read
        self.chance = Random(seed)
        self.life = Life()
        self._faults: list[Fault] = []
        self._left: int | None = None

    @property
    def dead(self) -> bool:
        """Whether power is lost and `crash` has yet to bring it back."""
        return self.life.over

    def power_off_after(self, calls: int) -> None:
        """Lets `calls` more changing calls go well, and cuts the one after them short."""
        self._left = calls

    def fail(self, call: str | None, errno: int, *, after: int = 0, times: int = 1) -> None:
        """Lets `times` calls of this name raise `OSError(errno)`, after `after` good ones, in whatever life they come.

        None is any changing call. `ValueError` if there is no call of this name.
        """
        if call is not None and call not in CHANGES | READS:
            raise ValueError(f"no call is named {call!r}")
        self._faults.append(Fault(call, errno, after, times))

    def heal(self) -> None:
        """Lets nothing fail any more."""
        self._faults.clear()

    def perform(self, life: Life, call: str, change: Callable[..., Result], *args: Any) -> Result:
        """Counts a changing call and carries it out, as far as fate allows."""
        life.check()
        self.calls[call] += 1
        if self._left is not None:
            self._count_down(call, change, args)
        if self._faults:
            self._obstruct(call, change, args)
        return self._carry_out(call, change, args)

    def observe(self, life: Life, call: str) -> None:
        """Lets a call that changes nothing fail, if it has to."""
        life.check()
        for fault in self._faults:
            if fault.strikes(call):
                raise os_error(fault.errno)

    def power_off(self) -> None:
        """Ends this life; there is none until `power_on`."""
        self.life.over = True

    def power_on(self) -> None:
        """Begins a life."""
        self.life = Life()
        self._left = None

    def _carry_out(self, call: str, change: Callable[..., Result], args: tuple[Any, ...]) -> Result:
        result = change(*args)
        self.changes += call not in SYNCS
        return result

    def _count_down(self, call: str, change: Callable[..., Any], args: tuple[Any, ...]) -> None:
        assert self._left is not None
        self._left -= 1
        if self._left < 0:
            self.power_off()
            if self.chance.random() < 0.5:
                self._carry_out(call, change, args)
            raise PowerLoss

    def _obstruct(self, call: str, change: Callable[..., Any], args: tuple[Any, ...]) -> None:
        for fault in self._faults:
            if fault.strikes(call):
                if call == "write_at" and fault.errno == ENOSPC:
                    change(args[0], args[1][: self.chance.randrange(max(1, len(args[1])))])
                elif call in DIVISIBLE:
                    change(*args, Dice(self.chance))
                raise os_error(fault.errno)


def os_error(number: int, path: str | None = None) -> OSError:
    """The error that the kernel would give."""
    return OSError(number, os.strerror(number), path)
