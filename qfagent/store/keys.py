"""What a client remembers of keys, so that none leaves twice: never a key itself.

* A wrap is a share's place in the server pad; its bytes stay until all keys of the secret were handed over, so that
  the secret can be fetched again after a crash, or until its own hub's word about its expiry has come true.
* A key is logged as released before it leaves; the log outlives every share that could bring it back.
* The log has a clock of its own, which goes while the agent runs, whatever the wall clock is set to (ADR 62).
"""

from typing import Any, Final

import msgspec

from qfagent.dske.spans import Span
from qfagent.dske.wire import MAX_EXPIRES
from qfagent.store.database import Database
from qfagent.store.ledger import Ledger

_TOLERANCE: Final = 86_400  # seconds that clocks may differ before a tombstone is dropped too early
_TICK: Final = 3600.0  # seconds between two writes of the log's clock; what a crash takes of it, entries live longer


class Wrap(msgspec.Struct, frozen=True):
    """The server pad bytes that one share of a secret lies under."""

    block: str
    span: Span
    generator: str
    secret_id: str


class KeyLog:
    """Wraps that are kept, and keys that were released."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database, self._ledger = database, ledger
        self._lived = 0.0  # seconds that the log's clock has yet to be moved by

    def wrap_at(self, block: str, offset: int) -> Wrap | None:
        """The wrap that starts at an offset."""
        sql = "SELECT length, generator, secret_id FROM wraps WHERE block = ? AND start = ?"
        row = self._database.row(sql, block, offset)
        return Wrap(block, Span(offset, row[0]), row[1], row[2]) if row else None

    def keep(self, wrap: Wrap, *, expires_at: int, now: int) -> None:
        """Remembers a wrap whose span was claimed, until its secret is finished or has expired."""
        until = min(expires_at, now + MAX_EXPIRES)
        values = (wrap.block, *wrap.span, wrap.generator, wrap.secret_id, until)
        self._database.execute("INSERT INTO wraps VALUES (?, ?, ?, ?, ?, ?)", *values)

    def finish(self, generator: str, secret_id: str) -> None:
        """All keys of the secret are out: what its shares lay under is erased."""
        self._erase("secret_id = ? AND generator = ?", secret_id, generator)

    def wraps_under(self, block: str) -> int:
        """How many wraps still need the block."""
        return int(self._database.value("SELECT COUNT(*) FROM wraps WHERE block = ?", block))

    def released(self, generator: str, secret_id: str) -> frozenset[int]:
        """The indices of the secret's keys that have left."""
        sql = "SELECT keys FROM released WHERE secret_id = ? AND generator = ?"
        return frozenset(self._database.value(sql, secret_id, generator) or b"")

    def are_out(self, generator: str, secret_id: str, *, count: int) -> bool:
        """Whether all keys of the secret, so many, have left; a share that comes now is needed by nobody."""
        return len(self.released(generator, secret_id)) >= count

    def released_of_any(self, secret_id: str) -> frozenset[int]:
        """The indices that have left of any generator's secret of this id."""
        rows = self._database.rows("SELECT keys FROM released WHERE secret_id = ?", secret_id)
        return frozenset(index for (keys,) in rows for index in keys)

    def release(self, generator: str, secret_id: str, keys: frozenset[int], *, now: int) -> None:
        """Logs that these keys are about to leave."""
        every = bytes(sorted(self.released(generator, secret_id) | keys))
        values = (secret_id, generator, every, self._clock(now) + MAX_EXPIRES + _TOLERANCE)
        self._database.execute("INSERT OR REPLACE INTO released VALUES (?, ?, ?, ?)", *values)

    def sweep(self, *, now: int, lived: float, limit: int) -> None:
        """Erases wraps that have expired; drops at most `limit` log entries whose shares have long expired.

        `lived`: seconds that the agent has run since the last sweep.
        """
        self._erase("expires_at <= ?", now)
        which = "SELECT secret_id, generator FROM released WHERE expires_at <= ? LIMIT ?"
        self._go_on(lived, now)
        self._database.execute(
            f"DELETE FROM released WHERE (secret_id, generator) IN ({which})", self._clock(now), limit
        )

    def _clock(self, now: int) -> int:
        """The log's own time, in seconds; it was the wall clock's when it began."""
        known = self._database.get("log_clock")
        if known is None:
            self._database.set("log_clock", now)
        return now if known is None else int(known)

    def _go_on(self, lived: float, now: int) -> None:
        self._lived += lived
        if self._lived >= _TICK:
            self._database.set("log_clock", self._clock(now) + int(self._lived))
            self._lived = 0.0

    def _erase(self, which: str, *values: Any) -> None:
        for block, start, length in self._database.rows(
            f"SELECT block, start, length FROM wraps WHERE {which}", *values
        ):
            self._ledger.erase(block, Span(start, length))
        self._database.execute(f"DELETE FROM wraps WHERE {which}", *values)
