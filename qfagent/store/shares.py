"""A hub's shares, each under the recoverer's pad; this hub can't open them.

* One row a (recoverer, generator, secret id). Its share goes when the recoverer is done; the row stays until it
  expires, so that a late deposit is told from a new one.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from qfagent.store.database import Database
from qfagent.store.quotas import Quotas

_COLUMNS: Final = "recoverer, generator, secret_id, hubs, k, m, o, expires_at, block, start, share, fetched"
_NAMED: Final = "recoverer = ? AND secret_id = ? AND generator = ?"
_INSERT: Final = f"INSERT INTO shares ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Share(msgspec.Struct, frozen=True):
    """One sealed share: `start` is its offset in the recoverer's server pad of `block`; None when done."""

    recoverer: str
    generator: str
    secret_id: str
    hubs: tuple[str, ...]
    k: int
    m: int
    o: bytes
    expires_at: int
    block: str
    start: int
    share: bytes | None
    fetched: bool = False


class Shares:
    """The shares that a hub keeps."""

    def __init__(self, database: Database) -> None:
        self._database, self.quotas = database, Quotas(database)
        self._waiting: int | None = None  # how many there are; None until somebody wants to know

    def flush(self) -> None:
        """Writes what has changed; the transaction ends with it."""
        self.quotas.flush()

    def forget(self) -> None:
        """Drops what memory holds, after a transaction that failed."""
        self.quotas.forget()
        self._waiting = None

    def put(self, share: Share, *, now: int) -> None:
        """Keeps a share, and charges it to its generator's quota."""
        recoverer, generator, secret_id, hubs, *rest = msgspec.structs.astuple(share)
        self._add(int(share.share is not None))
        self._database.execute(_INSERT, recoverer, generator, secret_id, ",".join(hubs), *rest)
        self.quotas.charge(share.recoverer, share.generator, len(share.share or b""), now=now)

    def known(self, recoverer: str, generator: str, secret_id: str, *, now: int) -> bool:
        """Whether a deposit under these names was taken before; one that has expired makes way."""
        names = (recoverer, secret_id, generator)
        expires_at = self._database.value(f"SELECT expires_at FROM shares WHERE {_NAMED}", *names)
        if expires_at is not None and expires_at <= now:
            self._delete(_NAMED, *names)
        return expires_at is not None and bool(expires_at > now)

    def of_id(self, recoverer: str, secret_id: str, *, now: int) -> list[Share]:
        """What waits under an id, from every generator that used it."""
        return self._find(
            "recoverer = ? AND secret_id = ? AND expires_at > ? AND share IS NOT NULL", recoverer, secret_id, now
        )

    def of_generator(
        self, recoverer: str, generator: str, *, blocks: Iterable[str], now: int, limit: int
    ) -> list[Share]:
        """What waits from a generator under these blocks, oldest first."""
        under = "block IN (SELECT value FROM json_each(?))"
        which = f"recoverer = ? AND generator = ? AND expires_at > ? AND share IS NOT NULL AND {under}"
        every = msgspec.json.encode(list(blocks)).decode()
        return self._find(f"{which} ORDER BY seq LIMIT ?", recoverer, generator, now, every, limit)

    def mark_fetched(self, share: Share, *, now: int) -> None:
        """The share has left for its recoverer: its bytes count against no quota any more."""
        if not share.fetched:
            sql = f"UPDATE shares SET fetched = 1 WHERE {_NAMED}"
            self._database.execute(sql, share.recoverer, share.secret_id, share.generator)
            self.quotas.charge(share.recoverer, share.generator, -len(share.share or b""), now=now)

    def finish(self, recoverer: str, generator: str, secret_id: str) -> None:
        """The recoverer is done: the share goes, its names stay until they expire."""
        sql = f"UPDATE shares SET share = NULL WHERE {_NAMED} AND share IS NOT NULL"
        before = self._database.changes
        self._database.execute(sql, recoverer, secret_id, generator)
        self._add(before - self._database.changes)

    def delete_under(self, block: str) -> None:
        """Deletes what was wrapped under a block."""
        self._delete("block = ?", block)

    def delete_of(self, peer: str) -> None:
        """Deletes what a peer deposited and what waits for it."""
        self._delete("recoverer = ? OR generator = ?", peer, peer)
        self.quotas.delete_of(peer)

    def sweep(self, *, now: int, limit: int) -> int:
        """Deletes at most `limit` shares that have expired; returns how many."""
        return self._delete("seq IN (SELECT seq FROM shares WHERE expires_at <= ? LIMIT ?)", now, limit)

    def count(self) -> int:
        """How many shares wait."""
        if self._waiting is None:  # looks at every share: too dear to do often
            self._waiting = int(self._database.value("SELECT COUNT(*) FROM shares WHERE share IS NOT NULL"))
        return self._waiting

    def _delete(self, which: str, *values: Any) -> int:
        rows = self._database.rows(f"DELETE FROM shares WHERE {which} RETURNING share IS NOT NULL", *values)
        self._add(-sum(waited for (waited,) in rows))
        return len(rows)

    def _add(self, more: int) -> None:
        if self._waiting is not None:
            self._waiting += more

    def _find(self, which: str, *values: Any) -> list[Share]:
        sql = f"SELECT {_COLUMNS} FROM shares WHERE {which}"
        return [_share(row) for row in self._database.rows(sql, *values)]


def _share(row: tuple[Any, ...]) -> Share:
    names = dict(zip(Share.__struct_fields__, row, strict=True))
    return Share(**names | {"hubs": tuple(names["hubs"].split(",")), "fetched": bool(names["fetched"])})
