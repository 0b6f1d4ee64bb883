"""The database keeps offsets, registry and tombstones: SQLite, one connection, every commit synced.

* WAL with `synchronous=FULL`; the file is this process's alone (`locking_mode=EXCLUSIVE`): no other tool opens it.
* One thread uses it. Statements run between `begin` and `commit`; what `commit` has returned from survives power loss.
* A schema newer than this code is refused, an older one is brought up step by step; after an unclean stop the file is
  checked whole before it is used.
* What SQLite finds in its log is on the disk before it is believed: after a failed sync the kernel says so of bytes
  that are nowhere but in its memory, and every later commit would fall with them.
* Checkpoints are asked for: SQLite makes its own behind a commit that succeeded, and tells nobody when they fail.
"""

import errno
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

import apsw

from qfagent.errors import DiskFull, OutOfFiles, StoreError
from qfagent.store.disk import Disk

_LONG_LOG: Final = 4000  # pages
_FIRST: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE blocks (
    id TEXT PRIMARY KEY,            -- 32 hex digits
    born INTEGER NOT NULL,          -- counts up: the order of arrival
    own INTEGER NOT NULL,           -- the pad that this agent spends: 0 user (it is a client), 1 server (it is a hub)
    hub TEXT NOT NULL, client TEXT NOT NULL, name TEXT NOT NULL,  -- as the file has them
    user_bytes INTEGER NOT NULL, server_bytes INTEGER NOT NULL,
    spent INTEGER NOT NULL,         -- own pad: every byte below is spent or reserved
    accepted BLOB NOT NULL DEFAULT x'',  -- other pad: intervals of accepted bytes, [start, end) as two u32 each
    seen INTEGER NOT NULL,          -- the end of the highest of them, but for those of proofs
    proofs INTEGER NOT NULL DEFAULT 0,  -- client: bytes spent of the last 64 of the user pad
    state TEXT NOT NULL,            -- new, ready, stopped, retired, gone
    reason TEXT NOT NULL DEFAULT '', evidence INTEGER NOT NULL DEFAULT 0,
    exhausted_at INTEGER,           -- client: Unix seconds
    owner TEXT,                     -- hub: the client that the block belongs to
    touched INTEGER NOT NULL DEFAULT 0,  -- its spent bytes may not be erased yet
    digest BLOB NOT NULL            -- of its reserved bytes, which are never spent
) WITHOUT ROWID;
CREATE INDEX blocks_by_hub ON blocks (hub, born);
CREATE INDEX blocks_by_owner ON blocks (owner, born);
CREATE INDEX blocks_touched ON blocks (id) WHERE touched;

CREATE TABLE hubs (id TEXT PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE leftovers (
    path BLOB PRIMARY KEY, inode TEXT NOT NULL,  -- as text, as it may have 64 bits
    block TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE wraps (
    block TEXT, start INTEGER, length INTEGER NOT NULL,
    generator TEXT NOT NULL, secret_id TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (block, start)
) WITHOUT ROWID;
CREATE INDEX wraps_by_secret ON wraps (secret_id, generator);
CREATE INDEX wraps_by_expiry ON wraps (expires_at);
CREATE TABLE released (
    secret_id TEXT, generator TEXT, keys BLOB NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (secret_id, generator)
) WITHOUT ROWID;
CREATE INDEX released_by_expiry ON released (expires_at);

CREATE TABLE clients (
    born INTEGER PRIMARY KEY,       -- the order of arrival
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, peer TEXT UNIQUE, created INTEGER NOT NULL,
    handout TEXT NOT NULL,          -- pool file: writing, ready, out; none: it never had one, or it was used
    wanted TEXT, latest TEXT, last_seen INTEGER
);
CREATE INDEX clients_by_handout ON clients (handout) WHERE handout != 'none';
CREATE TABLE shares (
    seq INTEGER PRIMARY KEY,        -- the order of arrival
    recoverer TEXT NOT NULL, generator TEXT NOT NULL, secret_id TEXT NOT NULL,
    hubs TEXT NOT NULL, k INTEGER NOT NULL, m INTEGER NOT NULL, o BLOB NOT NULL, expires_at INTEGER NOT NULL,
    block TEXT NOT NULL, start INTEGER NOT NULL, share BLOB,  -- NULL: done, kept as a tombstone until it expires
    fetched INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX shares_by_secret ON shares (secret_id, recoverer, generator);
CREATE INDEX shares_waiting ON shares (recoverer, generator) WHERE share IS NOT NULL;
CREATE INDEX shares_by_expiry ON shares (expires_at);
CREATE INDEX shares_by_block ON shares (block);
CREATE TABLE quotas (
    recoverer TEXT, generator TEXT, bytes INTEGER NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (recoverer, generator)
) WITHOUT ROWID;
"""
_LEVELS: Final = """
CREATE TABLE levels (
    hub TEXT, at INTEGER,           -- Unix seconds
    user_left INTEGER NOT NULL, server_left INTEGER NOT NULL,
    PRIMARY KEY (hub, at)
) WITHOUT ROWID;
CREATE INDEX levels_by_time ON levels (at);
"""
_STEPS: Final = (_FIRST, _LEVELS)  # each leads from one version to the next, and none is ever changed
SCHEMA_VERSION: Final = len(_STEPS)


@contextmanager
def disk_faults(doing: str) -> Iterator[None]:
    """Maps what the disk and SQLite raise to the errors of the store, at the edge that met them."""
    try:
        yield
    except apsw.FullError as error:
        raise DiskFull(f"no room left while {doing}") from error
    except apsw.Error as error:
        raise StoreError(f"the database failed while {doing}: {error}") from error
    except OSError as error:
        raise from_os_error(error, doing) from error


def from_os_error(error: OSError, doing: str) -> StoreError:
    """What a failure of the disk means for the store."""
    text = f"{(error.strerror or 'input/output error').lower()} while {doing}"
    if error.errno in _NO_ROOM:
        return DiskFull(text)
    return (OutOfFiles if error.errno in _NO_FILES else StoreError)(text)


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Database:
    """The one connection."""

    def __init__(self, disk: Disk, path: str) -> None:
        with disk_faults("opening the database"):
            _write_again(disk, f"{path}-wal")
            self._connection = apsw.Connection(path, vfs=disk.vfs)
            self._log = 0  # pages in the log after the latest commit, if no checkpoint was tried since
            self._connection.set_wal_hook(self._measure_log)  # in place of SQLite's own, which makes checkpoints
            self._prepare()
            disk.sync_dir(path.rpartition("/")[0])  # SQLite overlooks a failure of its own

    def begin(self) -> None:
        """Starts a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Ends it durably."""
        self._connection.execute("COMMIT")

    @property
    def has_long_log(self) -> bool:
        """Whether a checkpoint is due."""
        return self._log >= _LONG_LOG

    def checkpoint(self) -> None:
        """Takes what the log holds over into the file, durably; where that fails, the log still holds it."""
        self._log = 0
        self._connection.wal_checkpoint()

    def rollback(self) -> None:
        """Ends it as if it had not been; SQLite may have done so by itself."""
        if not self._connection.get_autocommit():
            self._connection.execute("ROLLBACK")

    @property
    def changes(self) -> int:
        """Counts the rows that were ever changed."""
        return self._connection.total_changes()

    def execute(self, sql: str, *values: Any) -> None:
        """Runs one statement that brings no rows."""
        self._connection.execute(sql, values)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return list(self._connection.execute(sql, values))

    def row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        return next(self._connection.execute(sql, values), None)

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None if there is none."""
        row = self.row(sql, *values)
        return row[0] if row else None

    def get(self, name: str) -> Any:
        """What `set` has kept under the name; None if nothing."""
        return self.value("SELECT value FROM meta WHERE name = ?", name)

    def set(self, name: str, value: Any) -> None:
        """Keeps a value under a name."""
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def close(self) -> None:
        """Marks the stop as clean, and closes."""
        with disk_faults("closing the database"):
            self.set("clean", 1)
            self._connection.close()

    def abandon(self) -> None:
        """Closes without a word, and without another write, after a failure."""
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with suppress(apsw.Error):
            self._connection.close(force=True)

    def _measure_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log = pages
        return apsw.SQLITE_OK

    def _prepare(self) -> None:
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        version = self.value("PRAGMA user_version")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the state folder is of version {version}, this agent knows up to {SCHEMA_VERSION}",
                remedy="install the newer agent again",
            )
        if version:
            self._check_after_unclean_stop()
        for number, step in enumerate(_STEPS[version:], start=version + 1):
            self._connection.execute(f"BEGIN; {step}; PRAGMA user_version = {number}; COMMIT").fetchall()
        self.set("clean", 0)

    def _check_after_unclean_stop(self) -> None:
        if self.get("clean") == 0:
            found = self.value("PRAGMA integrity_check")
            if found != "ok":
                raise StoreError(
                    f"the database is damaged: {found}", remedy="set the state folder aside and enrol anew"
                )


def _write_again(disk: Disk, path: str) -> None:
    """Makes durable whatever the file reads as."""
    if disk.exists(path):
        with closing(disk.open(path)) as file:
            file.write_at(0, file.read_at(0, file.size()))
            file.sync()


_PRAGMAS: Final = (
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "trusted_schema = OFF",
    "temp_store = MEMORY",
)
