"""A quota keeps one generator from filling the pad of a recoverer: bytes deposited for it, and not yet fetched.

* It halves every 6 hours, at the same hours for all; expiry and deletion don't lower it. protocol.md section 6.
* What has changed is written once, at the end of the transaction.
"""

from collections import OrderedDict
from typing import Final

from qfagent.store.database import Database

PERIOD: Final = 6 * 3600  # seconds
_HELD_RECOVERERS: Final = 4096


class _Owed:
    """What is owed to one recoverer, in bytes by generator, as of a period."""

    __slots__ = ("by_generator", "in_all", "period")

    def __init__(self, by_generator: dict[str, int], period: int) -> None:
        self.by_generator, self.period = by_generator, period
        self.in_all = sum(by_generator.values())

    def halve(self, period: int) -> None:
        """Brings it to a later period."""
        if period > self.period:
            self.by_generator = {name: owed >> period - self.period for name, owed in self.by_generator.items()}
            self.period, self.in_all = period, sum(self.by_generator.values())


class Quotas:
    """The quotas at one hub."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: OrderedDict[str, _Owed] = OrderedDict()
        self._changed: set[tuple[str, str]] = set()

    def owed(self, recoverer: str, generator: str, *, now: int) -> tuple[int, int]:
        """Bytes that this generator, and that all together, have deposited for the recoverer and it has not fetched."""
        owed = self._owed(recoverer, now)
        return owed.by_generator.get(generator, 0), owed.in_all

    def charge(self, recoverer: str, generator: str, size: int, *, now: int) -> None:
        """Counts so many bytes more; less, if it is negative."""
        owed = self._owed(recoverer, now)
        before = owed.by_generator.get(generator, 0)
        after = max(0, before + size)
        owed.by_generator[generator] = after
        owed.in_all += after - before
        self._changed.add((recoverer, generator))

    def delete_of(self, peer: str) -> None:
        """Forgets what a peer is owed and owes."""
        self.flush()
        self._database.execute("DELETE FROM quotas WHERE recoverer = ? OR generator = ?", peer, peer)
        self._held.clear()

    def flush(self) -> None:
        """Writes what has changed; the transaction ends with it."""
        for recoverer, generator in self._changed:
            owed = self._held[recoverer]
            values = (recoverer, generator, owed.by_generator[generator], owed.period)
            self._database.execute("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?, ?)", *values)
        self._changed.clear()
        while len(self._held) > _HELD_RECOVERERS:
            self._held.popitem(last=False)

    def forget(self) -> None:
        """Drops what memory holds, after a transaction that failed."""
        self._held.clear()
        self._changed.clear()

    def _owed(self, recoverer: str, now: int) -> _Owed:
        owed = self._held.get(recoverer)
        if owed is None:
            owed = self._held[recoverer] = self._load(recoverer, now // PERIOD)
        self._held.move_to_end(recoverer)
        owed.halve(now // PERIOD)
        return owed

    def _load(self, recoverer: str, period: int) -> _Owed:
        rows = self._database.rows("SELECT generator, bytes, since FROM quotas WHERE recoverer = ?", recoverer)
        return _Owed({generator: size >> max(0, period - since) for generator, size, since in rows}, period)
