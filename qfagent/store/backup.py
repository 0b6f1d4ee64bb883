"""A backup holds what may exist twice: names, addresses, tombstones. Pads and their marks are never part of it.

* What is restored comes up fenced, and every block in it is a tombstone: new PSRD has to be carried.
"""

from typing import Any, Final

import msgspec

from qfagent.errors import Invalid, WrongState
from qfagent.store.database import Database

FORMAT: Final = 1
_TOMBSTONE: Final = ("id", "born", "own", "hub", "client", "name", "user_bytes", "server_bytes", "owner", "digest")


class Backup(msgspec.Struct, frozen=True):
    """One agent's registry; `config` is the text of its configuration."""

    format: int
    config: str
    hub_id: str | None
    peer: str | None
    hubs: list[tuple[str, str, int]]
    clients: list[tuple[str, str, str, int]]
    blocks: list[tuple[str, int, int, str, str, str, int, int, str | None, bytes]]


def export(database: Database, *, config: str) -> bytes:
    """The backup as JSON."""
    rows: Any = database.rows
    names = ", ".join(_TOMBSTONE)
    return msgspec.json.encode(
        Backup(
            FORMAT,
            config,
            database.get("hub_id"),
            database.get("peer"),
            rows("SELECT id, host, port FROM hubs"),
            rows("SELECT id, name, peer, created FROM clients WHERE peer IS NOT NULL"),
            rows(f"SELECT {names} FROM blocks"),
        )
    )


def parse(data: bytes) -> Backup:
    """The backup in a file; Invalid."""
    try:
        backup = msgspec.json.decode(data, type=Backup)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("malformed", f"expected a backup of qfagent: {error}") from error
    if backup.format != FORMAT:
        raise Invalid("malformed", f"expected a backup of format {FORMAT}, got {backup.format}")
    return backup


def restore(database: Database, backup: Backup) -> None:
    """Puts a backup into a state folder that is still empty; WrongState if it is not."""
    if database.value("SELECT (SELECT COUNT(*) FROM blocks) + (SELECT COUNT(*) FROM clients)"):
        raise WrongState("the state folder is in use; a backup is restored into an empty one")
    for name, value in (("hub_id", backup.hub_id), ("peer", backup.peer)):
        if value is not None:
            database.set(name, value)
    for hub in backup.hubs:
        database.execute("INSERT INTO hubs VALUES (?, ?, ?)", *hub)
    for client in backup.clients:
        database.execute("INSERT INTO clients (id, name, peer, created, handout) VALUES (?, ?, ?, ?, 'none')", *client)
    for block in backup.blocks:
        database.execute(
            f"INSERT INTO blocks ({', '.join(_TOMBSTONE)}, spent, seen, state, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 'gone', 'restored')",
            *block,
        )
