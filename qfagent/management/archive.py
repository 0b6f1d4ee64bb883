"""The archive is what survives of a management server: the network, who may operate it, sightings, and an audit trail.

* It is a database of its own, apart from the store of one-time material: nothing in it is bound to one machine or
  spoilt by a copy, so a copy of the file is a backup. There is a journal beside it only during a transaction.
* An edit and what is told of it to auditors are one durable transaction.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import apsw
import msgspec

from qfagent.errors import StoreError
from qfagent.management.changes import Change, Told
from qfagent.management.network import SHELVES, Network
from qfagent.management.presence import Sighting
from qfagent.store.database import disk_faults
from qfagent.store.disk import Disk

SCHEMA_VERSION: Final = 1
MOST_TOLD: Final = 100_000  # audit events that are kept
_SCHEMA: Final = """
CREATE TABLE things (
    born INTEGER PRIMARY KEY,       -- the order of arrival
    kind TEXT NOT NULL,             -- peers, groups, policies, keys
    id TEXT NOT NULL, said BLOB NOT NULL, UNIQUE (kind, id)
);
CREATE TABLE operators (hash TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sightings (peer TEXT PRIMARY KEY, said BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE told (id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, said BLOB NOT NULL);
"""
_PRAGMAS: Final = (
    "busy_timeout = 5000",  # somebody may be taking a backup
    "journal_mode = DELETE",
    "synchronous = EXTRA",
    "secure_delete = ON",
    "trusted_schema = OFF",
)
_PUT: Final = "INSERT INTO things (kind, id, said) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET said = excluded.said"
_PRUNE: Final = "DELETE FROM told WHERE id <= (SELECT MAX(id) FROM told) - ?"


class AuditEvent(msgspec.Struct, frozen=True):
    """What was told of one change, when it was (Unix seconds), and whose it was."""

    id: int
    at: float
    who: str
    told: Told


class Archive:
    """The open file. One caller at a time, in any thread; StoreError, DiskFull."""

    def __init__(self, disk: Disk, path: str) -> None:
        with disk_faults("opening the management database"):
            self._connection = apsw.Connection(path, vfs=disk.vfs)
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._make_tables()
            disk.sync_dir(path.rpartition("/")[0])

    def load(self) -> Network:
        """The network; an empty one, if there was none."""
        shelves: dict[str, dict[str, Any]] = {name: {} for name in SHELVES.values()}
        kinds = {name: kind for kind, name in SHELVES.items()}
        for name, id_, said in self._rows("SELECT kind, id, said FROM things ORDER BY born"):
            shelves[name][id_] = _decode(said, kinds[name])
        return Network(**shelves)

    def save(self, changes: Iterable[Change], told: Iterable[Told], *, who: str, now: float) -> None:
        """Keeps an edit, and what is told of it."""
        with self._transaction():
            for change in changes:
                self._save_change(change)
            rows = [(now, who, msgspec.json.encode(one)) for one in told]
            self._many("INSERT INTO told (at, who, said) VALUES (?, ?, ?)", rows)
            self._connection.execute(_PRUNE, (MOST_TOLD,))

    def events(self, *, most: int) -> list[AuditEvent]:
        """The latest audit events, the newest first."""
        rows = self._rows("SELECT id, at, who, said FROM told ORDER BY id DESC LIMIT ?", most)
        return [AuditEvent(id_, at, who, _decode(said, Told)) for id_, at, who, said in rows]

    def operators(self) -> dict[str, str]:
        """The hashes of the operators' tokens, and whose they are."""
        return dict(self._rows("SELECT hash, name FROM operators"))

    def save_operators(self, operators: Mapping[str, str]) -> None:
        """From now on these."""
        if operators == self.operators():
            return
        with self._transaction():
            self._connection.execute("DELETE FROM operators")
            self._many("INSERT INTO operators VALUES (?, ?)", list(operators.items()))

    def sightings(self) -> dict[str, Sighting]:
        """The latest that is known of each peer."""
        return {peer: _decode(said, Sighting) for peer, said in self._rows("SELECT peer, said FROM sightings")}

    def save_sightings(self, sightings: Mapping[str, Sighting]) -> None:
        """Keeps these, and drops those of peers that are gone."""
        with self._transaction():
            rows = [(peer, msgspec.json.encode(sighting)) for peer, sighting in sightings.items()]
            self._many("INSERT OR REPLACE INTO sightings VALUES (?, ?)", rows)
            self._connection.execute(
                "DELETE FROM sightings WHERE peer NOT IN (SELECT id FROM things WHERE kind = 'peers')"
            )

    def close(self) -> None:
        """Lets go of the file."""
        with disk_faults("closing the management database"):
            self._connection.close()

    def _make_tables(self) -> None:
        version = self._connection.pragma("user_version")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the management database is of version {version}, this agent knows up to {SCHEMA_VERSION}"
            )
        if version == 0:
            self._connection.execute(f"BEGIN; {_SCHEMA}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT").fetchall()

    def _save_change(self, change: Change) -> None:
        kind, thing = SHELVES[type(change.thing)], change.thing
        if change.after is None:
            self._connection.execute("DELETE FROM things WHERE kind = ? AND id = ?", (kind, thing.id))
        else:
            self._connection.execute(_PUT, (kind, thing.id, msgspec.json.encode(thing)))

    def _many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, rows)

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with disk_faults("reading the management database"):
            return list(self._connection.execute(sql, values))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with disk_faults("writing the management database"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if not self._connection.get_autocommit():  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")


def _decode(said: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(said, type=kind)
    except msgspec.DecodeError as error:
        raise StoreError(f"the management database is damaged: {error}") from error
