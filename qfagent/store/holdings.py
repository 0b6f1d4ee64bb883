"""A client's blocks: at which hub they lie, whether they are registered, and whether spending from one was stopped.

* `new` blocks wait for their registration, `ready` ones are spent, oldest first; `stopped` is an alarm that only an
  operator lifts; `retired` and `gone` are tombstones.
* A stop keeps its evidence: how far the hub had seen the user pad. It ends all spending at the block's hub; that of a
  block which somebody else seems to use concerns this block alone.
"""

from typing import Any, Final

import msgspec

from qfagent.dske.pad import AUTH_BYTES, PROOF_BYTES
from qfagent.errors import NotFound, NothingChanged, WrongState
from qfagent.store.database import Database
from qfagent.store.ledger import Ledger

IN_USE: Final = "file-in-use"  # the reason why a block is stopped, or retired, that somebody else spends from
WRAPS_LIVE: Final = 90_000  # seconds: the longest life of a share, and an hour for clocks that differ
_LEVEL: Final = "id, hub, state, reason, user_bytes, server_bytes, spent, seen"
_COLUMNS: Final = "id, hub, client, name, state, reason, evidence, user_bytes, server_bytes, proofs"


class Holding(msgspec.Struct, frozen=True):
    """One block of this client; `evidence` and sizes in bytes."""

    id: str
    hub: str
    client: str
    name: str
    state: str
    reason: str
    evidence: int
    user_bytes: int
    server_bytes: int
    proofs: int

    @property
    def can_prove(self) -> bool:
        """Whether a proof is left in the user pad's last bytes."""
        return self.proofs < PROOF_BYTES


class Level(msgspec.Struct, frozen=True):
    """How far a block is used, in bytes: `spent` of the user pad, but for `ahead`; `seen` of the server pad."""

    id: str
    hub: str
    state: str
    reason: str
    user_bytes: int
    server_bytes: int
    spent: int
    seen: int
    ahead: int = 0

    @property
    def user_left(self) -> int:
        """Bytes that can still be sent with."""
        return max(0, self.user_bytes - PROOF_BYTES - self.spent + self.ahead)

    @property
    def server_left(self) -> int:
        """Bytes that the hub can still answer and wrap with, as far as this client knows."""
        return max(0, self.server_bytes - self.seen)


class Holdings:
    """The blocks that this client holds."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database, self._ledger = database, ledger
        self._ready: dict[str, tuple[Holding, ...]] = {}
        self._settled: set[str] = set()  # hubs at which no block waits for its registration
        self._seen_elsewhere: dict[str, int] = {}  # by block, when it was found to be used up

    def flush(self) -> None:
        """Nothing waits to be written."""

    def forget(self) -> None:
        """Drops what memory holds: the blocks that are asked for with every message."""
        self._ready.clear()
        self._settled.clear()

    def is_settled(self, hub: str) -> bool:
        """Whether it is known, without asking the disk, that no block at a hub is new."""
        return hub in self._settled

    def new(self, hub: str) -> list[Holding]:
        """The blocks at a hub that wait for their registration, oldest first."""
        found = self.at(hub, "new")
        if not found:
            self._settled.add(hub)
        return found

    def ready(self, hub: str) -> tuple[Holding, ...]:
        """The registered blocks at a hub, oldest first; `proofs` may be out of date."""
        if hub not in self._ready:
            self._ready[hub] = tuple(self.at(hub, "ready"))
        return self._ready[hub]

    def get(self, block: str) -> Holding:
        """NotFound."""
        found = self._find("id = ?", block)
        if not found:
            raise NotFound(f"there is no block {block} here")
        return found[0]

    def at(self, hub: str, *states: str) -> list[Holding]:
        """The blocks at a hub in these states, oldest first."""
        marks = ", ".join("?" * len(states))
        return self._find(f"hub = ? AND state IN ({marks}) ORDER BY born", hub, *states)

    def ready_hubs(self) -> frozenset[str]:
        """The hubs at which a block is registered."""
        sql = "SELECT DISTINCT hub FROM blocks WHERE own = 0 AND state = 'ready'"
        return frozenset(hub for (hub,) in self._database.rows(sql))

    def live(self) -> list[Holding]:
        """Every block that is no tombstone."""
        return self._find("state IN ('new', 'ready', 'stopped') ORDER BY hub, born")

    def history(self) -> list[Level]:
        """Every block that was ever ingested, oldest first."""
        return [Level(*row) for row in self._database.rows(f"SELECT {_LEVEL} FROM blocks WHERE own = 0 ORDER BY born")]

    def levels(self) -> list[Level]:
        """How full the pads of every live block are, by hub, oldest first."""
        live = "own = 0 AND state IN ('new', 'ready', 'stopped')"
        rows = self._database.rows(f"SELECT {_LEVEL} FROM blocks WHERE {live} ORDER BY hub, born")
        levels = [Level(*row) for row in rows]
        return [msgspec.structs.replace(level, ahead=self._ledger.ahead(level.id)) for level in levels]

    def make_ready(self, block: str) -> None:
        """The hub has registered the block."""
        self.forget()
        self._database.execute("UPDATE blocks SET state = 'ready' WHERE id = ? AND state = 'new'", block)

    def stop(self, block: str, *, reason: str, evidence: int) -> None:
        """Nothing is spent from this block until an operator has spoken."""
        self.forget()
        live = "state NOT IN ('retired', 'gone')"
        sql = f"UPDATE blocks SET state = 'stopped', reason = ?, evidence = ? WHERE id = ? AND {live}"
        self._database.execute(sql, reason, evidence, block)

    def resume(self, block: str) -> None:
        """The operator's word: the block is as it was before, but for all that the hub says it has seen (ADR 3)."""
        self.forget()
        holding = self.get(block)
        if holding.state != "stopped":
            raise NothingChanged(f"block {block} is not stopped")
        self.move_behind(block, holding.evidence)
        state = "new" if holding.reason == IN_USE else "ready"
        self._database.execute("UPDATE blocks SET state = ?, reason = '' WHERE id = ?", state, block)

    def move_behind(self, block: str, evidence: int) -> None:
        """Spends unused all that the hub may have seen of the block: below the evidence, and of the proofs."""
        self._ledger.skip(block, evidence)
        while self._ledger.can_prove(block):
            self._ledger.take_proof(block)

    def retire(self, block: str, *, reason: str, state: str = "retired") -> None:
        """Ends a block; it stays as a tombstone. NotFound, NothingChanged."""
        self.forget()
        holding = self.get(block)
        if holding.state in ("retired", "gone"):
            raise NothingChanged(f"block {block} is {holding.state} already")
        self._database.execute("DELETE FROM wraps WHERE block = ?", block)
        self._ledger.retire(block, state=state, reason=reason)

    def end_exhausted(self, *, now: int) -> list[str]:
        """Ends blocks that were left for others so long ago that every wrap under them has expired; returns those.

        The last block at a hub that can vouch for a new file stays.
        """
        ended = []
        for holding in self._find("state = 'ready' AND user_bytes - ? - spent < ?", PROOF_BYTES, AUTH_BYTES):
            at = self._database.value("SELECT exhausted_at FROM blocks WHERE id = ?", holding.id)
            if at is None:
                if self._is_left(holding):
                    self._database.execute("UPDATE blocks SET exhausted_at = ? WHERE id = ?", now, holding.id)
            elif now - at >= WRAPS_LIVE and len(self.at(holding.hub, "ready")) > 1:
                self.retire(holding.id, reason="spent", state="gone")
                ended.append(holding.id)
        return ended

    def _is_left(self, holding: Holding) -> bool:
        """Whether the hub has answered under another block since this one was used up, and so wraps under that one."""
        if self._ledger.room(holding.id) >= AUTH_BYTES:
            return False
        seen = sum(self._ledger.seen(other.id) for other in self.at(holding.hub, "ready") if other.id != holding.id)
        return seen > self._seen_elsewhere.setdefault(holding.id, seen)

    def _find(self, which: str, *values: Any) -> list[Holding]:
        return [
            Holding(*row)
            for row in self._database.rows(f"SELECT {_COLUMNS} FROM blocks WHERE own = 0 AND {which}", *values)
        ]


def check_name(database: Database, name: str) -> None:
    """Keeps the agent's peer name; WrongState if live blocks are registered under another."""
    known = database.get("peer")
    live = database.value("SELECT COUNT(*) FROM blocks WHERE own = 0 AND state IN ('new', 'ready', 'stopped')")
    if known not in (None, name) and live:
        raise WrongState(
            f"blocks are registered under the name {known}, and the configuration says {name}",
            remedy="change the name back, or retire the blocks first",
        )
    database.set("peer", name)
