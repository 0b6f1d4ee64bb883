"""The recoverer's half: shares come in from hubs that may lie, and the secret comes out, or nothing.

* protocol.md section 5. A hub counts once: its first entry, and only if its pinned id stands in the entry's `hubs`.
* Entries that agree in generator, hubs, k, m and o are combined, k at a time as they arrive, until `o` holds.
* So many attempts are made as k - 1 liars can make necessary, and a few; no generator can keep a recoverer busy.
* Once a secret holds, every entry is held against it; who deviates is named: a hub, or the generator.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Final, NamedTuple

import msgspec

from qfagent.dske import shamir, validation
from qfagent.dske.establish import split_keys
from qfagent.dske.secret import Secret
from qfagent.dske.wire import Wrapped

ATTEMPTS: Final = 128  # to rebuild one secret, or more where the assumption of the protocol needs them


class Terms(NamedTuple):
    """What the shares of one secret agree in."""

    hubs: tuple[str, ...]
    k: int
    m: int
    o: bytes


class Entry(msgspec.Struct, frozen=True):
    """One hub's share, out of its wrap."""

    terms: Terms
    share: Secret

    @classmethod
    def of(cls, wrapped: Wrapped, share: Secret) -> "Entry":
        """The entry that a hub's answer and the recoverer's pad give."""
        return cls(Terms(wrapped.hubs, wrapped.k, wrapped.m, bytes(wrapped.o)), share)


class Recovered(msgspec.Struct, frozen=True):
    """A secret that validated: its keys, 32 bytes each, and the `k` points it was rebuilt from."""

    terms: Terms
    keys: tuple[Secret, ...]
    points: tuple[tuple[int, Secret], ...]

    def on_polynomial(self, x: int, share: Secret) -> bool:
        """Whether a share lies on the polynomial that this secret was rebuilt from."""
        points = [(at, known.reveal()) for at, known in self.points]
        return Secret(shamir.interpolate(points, at=x)) == share


class Recovery:
    """One secret of one generator, while its shares arrive."""

    def __init__(self, *, k: int) -> None:
        self._k = k
        self._attempts_left = max(ATTEMPTS, comb(2 * k - 1, k))
        self._entries: dict[str, Entry] = {}
        self.recovered: Recovered | None = None

    def add(self, hub: str, entry: Entry) -> None:
        """Takes a hub's first entry in, and rebuilds the secret if it now can."""
        if hub in self._entries or hub not in entry.terms.hubs:
            return
        self._entries[hub] = entry
        if self.recovered is None and entry.terms.k == self._k:
            self.recovered = next(self._attempts(hub, entry), None)

    @property
    def hubs(self) -> tuple[str, ...]:
        """The hubs whose entry counts."""
        return tuple(self._entries)

    @property
    def thresholds(self) -> set[int]:
        """The thresholds that the entries speak of."""
        return {entry.terms.k for entry in self._entries.values()}

    def suspects(self) -> set[str]:
        """The hubs whose entry deviates from the secret that validated; the generator may be at fault instead.

        A share off the polynomial tells only if at least 2k - 2 shares lie on it.
        """
        if self.recovered is None:
            return set()
        on, off, otherwise = self._sorted_by(self.recovered)
        return otherwise | (off if len(on) >= 2 * self._k - 2 else set())

    def _sorted_by(self, recovered: Recovered) -> tuple[set[str], set[str], set[str]]:
        on: set[str] = set()
        off: set[str] = set()
        otherwise: set[str] = set()
        for hub, entry in self._entries.items():
            if entry.terms != recovered.terms:
                otherwise.add(hub)
            elif recovered.on_polynomial(entry.terms.hubs.index(hub) + 1, entry.share):
                on.add(hub)
            else:
                off.add(hub)
        return on, off, otherwise

    def _attempts(self, newest: str, entry: Entry) -> Iterator[Recovered]:
        others = [hub for hub, other in self._entries.items() if hub != newest and other.terms == entry.terms]
        for some in combinations(others, self._k - 1):
            if not self._attempts_left:
                return
            self._attempts_left -= 1
            points = [(entry.terms.hubs.index(hub) + 1, self._entries[hub].share) for hub in (*some, newest)]
            secret = shamir.combine([(x, share.reveal()) for x, share in points], k=self._k)
            if validation.holds(secret, entry.terms.o):
                yield Recovered(entry.terms, split_keys(secret[:-32]), tuple(points))
