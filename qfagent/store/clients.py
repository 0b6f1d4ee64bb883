"""A hub's registry: who its clients are, which peer each is bound to, and where the file made for it is.

* A client is made for a name, or for a pool file that any peer may claim; one peer is bound to one client at most.
* `handout` follows the pool file: `writing`, `ready` (in the folder), `out` (somebody has it), `used` (its client has
  registered, the file is to be removed), `none`.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from qfagent.dske import ids
from qfagent.dske.pad import AUTH_BYTES, PROOF_BYTES
from qfagent.errors import NotFound, NothingChanged
from qfagent.store.database import Database

_COLUMNS: Final = "id, name, peer, created, handout, wanted, latest, last_seen"
_REMEMBERED: Final = 20_000  # clients, or blocks
_SEEN_STEP: Final = 60  # seconds; `last_seen` is written no more often than this


class Client(msgspec.Struct, frozen=True):
    """One client; `wanted` is a peer name that waits for approval. Times in Unix seconds.

    `created` is when the client was made or, if it has a pool file, when that came where it is.
    """

    id: str
    name: str
    peer: str | None
    created: int
    handout: str
    wanted: str | None
    latest: str | None
    last_seen: int | None

    @property
    def state(self) -> str:
        """`bound`, `pool`, `handed-out`, `waiting` for approval, or `leaving`."""
        if self.peer is not None:
            return "bound"
        if self.wanted is not None:
            return "waiting"
        return {"writing": "pool", "ready": "pool", "out": "handed-out"}.get(self.handout, "leaving")


class Stock(msgspec.Struct, frozen=True):
    """A client's live blocks, what is left of them, and of how much; in bytes."""

    blocks: int = 0
    user_left: int = 0
    server_left: int = 0
    user_bytes: int = 0
    server_bytes: int = 0


class Clients:
    """The clients of a hub, and whose block is whose.

    What every message asks for is kept in memory, and forgotten whenever something else than `latest` changes. What
    a client has left out of its latest fetch is known in memory only, until the next start.
    """

    def __init__(self, database: Database, random: Callable[[int], bytes]) -> None:
        self._database, self._random = database, random
        self._clients: dict[str, Client] = {}
        self._peers: dict[str, str] = {}  # peer -> client
        self._blocks: dict[str, tuple[str, str]] = {}  # block -> state, owner
        self._ready: dict[str, tuple[str, ...]] = {}  # client -> registered blocks, the newest first
        self._left_out: set[str] = set()  # registered blocks that their clients can't open anything under

    def flush(self) -> None:
        """Nothing waits to be written."""
        if len(self._clients) > _REMEMBERED or len(self._blocks) > _REMEMBERED:
            self.forget()

    def forget(self) -> None:
        """Drops what memory holds."""
        for remembered in (self._clients, self._peers, self._blocks, self._ready):
            remembered.clear()

    def add(self, name: str, *, now: int) -> Client:
        """A client for a named peer; NothingChanged if the name is taken."""
        if (known := self.of_peer(name)) is not None:
            raise NothingChanged(f"there is a client for {name} already, with id {known.id}")
        return self._insert(name, peer=name, handout="none", now=now)

    def add_for_pool(self, *, now: int) -> Client:
        """A client for a new pool file, which is about to be written."""
        return self._insert(f"pool-{self._random(4).hex()}", peer=None, handout="writing", now=now)

    def get(self, client: str) -> Client:
        """NotFound."""
        if client not in self._clients:
            row = self._database.row(f"SELECT {_COLUMNS} FROM clients WHERE id = ?", client)
            if row is None:
                raise NotFound(f"there is no client {client} here")
            self._clients[client] = Client(*row)
        return self._clients[client]

    def of_peer(self, peer: str) -> Client | None:
        """The client that is bound to a peer."""
        if peer not in self._peers:
            client = self._database.value("SELECT id FROM clients WHERE peer = ?", peer)
            if client is None:
                return None
            self._peers[peer] = client
        return self.get(self._peers[peer])

    def owner(self, block: str) -> Client:
        """The client that a live block belongs to."""
        known = self._block(block)
        assert known is not None, "the ledger knows the block"
        return self.get(known[1])

    def all(self) -> list[Client]:
        """Every client, oldest first."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM clients ORDER BY born")
        return [Client(*row) for row in rows]

    def waiting(self) -> list[Client]:
        """The clients that wait for approval."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM clients WHERE wanted IS NOT NULL ORDER BY born")
        return [Client(*row) for row in rows]

    def with_handout(self, *handouts: str) -> list[Client]:
        """The clients whose pool file is in one of these states."""
        marks = ", ".join("?" * len(handouts))
        sql = f"SELECT {_COLUMNS} FROM clients WHERE handout != 'none' AND handout IN ({marks}) ORDER BY born"
        return [Client(*row) for row in self._database.rows(sql, *handouts)]

    def count(self) -> dict[str, int]:
        """How many clients are bound to a peer, and how many are not."""
        [(bound, every)] = self._database.rows("SELECT COUNT(peer), COUNT(*) FROM clients")
        return {"bound": bound, "unbound": every - bound}

    # --- changes

    def bind(self, client: Client, peer: str) -> None:
        """The client is this peer from now on; if it came with a pool file, that is to be removed."""
        self.forget()
        handout = "none" if client.handout == "none" else "used"
        sql = "UPDATE clients SET peer = ?, wanted = NULL, handout = ? WHERE id = ?"
        self._database.execute(sql, peer, handout, client.id)

    def join(self, block: str, *, from_client: Client, to: Client) -> None:
        """The block of a pool file joins the client that its peer has already; the id that came with it is retired.

        Its row stays while its file is in the folder, without a peer, so that the file is removed.
        """
        self.forget()
        self._database.execute("UPDATE blocks SET owner = ? WHERE id = ?", to.id, block)
        self._database.execute("UPDATE clients SET handout = 'used', wanted = NULL WHERE id = ?", from_client.id)

    def want(self, client: Client, peer: str) -> None:
        """Notes the name that the client asks for, until an operator approves."""
        self.forget()
        self._database.execute("UPDATE clients SET wanted = ? WHERE id = ?", peer, client.id)

    def hand_out(self, client: str, handout: str, *, was: str, now: int) -> None:
        """The pool file of the client has come this far, unless its client has registered or gone meanwhile."""
        self.forget()
        sql = "UPDATE clients SET handout = ?, created = ? WHERE id = ? AND handout = ?"
        self._database.execute(sql, handout, now, client, was)

    def heard(self, client: Client, block: str, *, now: int) -> None:
        """The client's latest request verified under this block."""
        self._left_out.discard(block)
        if client.latest != block or client.last_seen is None or now - client.last_seen >= _SEEN_STEP:
            sql = "UPDATE clients SET latest = ?, last_seen = ? WHERE id = ?"
            self._database.execute(sql, block, now, client.id)
            self._clients[client.id] = msgspec.structs.replace(client, latest=block, last_seen=now)
            self._ready.pop(client.id, None)

    def unbind(self, client: str) -> None:
        """The client is nobody's any more, and its pool file is to be removed."""
        self.forget()
        self._database.execute("UPDATE clients SET peer = NULL, wanted = NULL, handout = 'used' WHERE id = ?", client)

    def remove(self, client: str) -> None:
        """Forgets the client; its blocks must be retired."""
        self.forget()
        self._database.execute("DELETE FROM clients WHERE id = ?", client)

    # --- blocks

    def blocks(self, client: str) -> list[str]:
        """The client's live blocks, oldest first."""
        sql = "SELECT id FROM blocks WHERE owner = ? AND state IN ('new', 'ready') ORDER BY born"
        return [block for (block,) in self._database.rows(sql, client)]

    def levels(self) -> dict[str, Stock]:
        """What every client has in live blocks: of the user pad what lies above what came."""
        left = "SUM(user_bytes - 64 - seen), SUM(server_bytes - spent)"
        live = "own = 1 AND state IN ('new', 'ready')"
        sql = f"SELECT owner, COUNT(*), {left}, SUM(user_bytes), SUM(server_bytes) FROM blocks WHERE {live} GROUP BY 1"
        return {owner: Stock(*row) for owner, *row in self._database.rows(sql)}

    def ever_had_block(self, client: str) -> bool:
        """Whether PSRD was ever made for the client."""
        return self._database.row("SELECT 1 FROM blocks WHERE owner = ?", client) is not None

    def ready_blocks(self, client: Client) -> tuple[str, ...]:
        """The client's registered blocks to wrap under, that of its latest request first, then the newest.

        Only those that it can still speak under, and that it has not left out of its latest fetch.
        """
        return tuple(block for block in self._speaking(client) if block not in self._left_out)

    def listed(self, client: Client, blocks: Collection[str]) -> None:
        """The client holds no other registered block than these, until it says so."""
        self._left_out.difference_update(blocks)
        self._left_out.update(block for block in self._speaking(client) if block not in blocks)

    def _speaking(self, client: Client) -> tuple[str, ...]:
        if client.id not in self._ready:
            usable = f"state = 'ready' AND (id = ?2 OR user_bytes - {PROOF_BYTES} - seen >= {AUTH_BYTES})"
            sql = f"SELECT id FROM blocks WHERE owner = ?1 AND {usable} ORDER BY id = ?2 DESC, born DESC"
            rows = self._database.rows(sql, client.id, client.latest or "")
            self._ready[client.id] = tuple(block for (block,) in rows)
        return self._ready[client.id]

    def state_of(self, block: str) -> str | None:
        """`new`, `ready`, `retired` or `gone`; None if this hub never made the block."""
        known = self._block(block)
        return None if known is None else known[0]

    def _block(self, block: str) -> tuple[str, str] | None:
        if block not in self._blocks:
            row = self._database.row("SELECT state, owner FROM blocks WHERE id = ? AND own = 1", block)
            if row is None:
                return None
            self._blocks[block] = (row[0], row[1])
        return self._blocks[block]

    def make_ready(self, block: str) -> None:
        """The block is registered."""
        self.forget()
        self._database.execute("UPDATE blocks SET state = 'ready' WHERE id = ?", block)

    def _insert(self, name: str, *, peer: str | None, handout: str, now: int) -> Client:
        client = Client(ids.new_uuid(self._random), name, peer, now, handout, None, None, None)
        values: list[Any] = list(msgspec.structs.astuple(client))
        self._database.execute(f"INSERT INTO clients ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)
        return client
