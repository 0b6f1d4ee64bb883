"""The ledger is what makes one-time material one-time: a block comes in once, a byte is given out once.

* `take` spends bytes of the agent's own pad, `claim` accepts bytes of the other side's; both only inside a transaction.
  What they return may leave the process when that transaction is durable, and nothing gives a byte back.
* Marks only grow. Bytes may be reserved ahead in steps; after a crash spending goes on behind the whole reservation.
* Only this module makes a `Pad`. Bytes of the own pad are doomed as soon as they are reserved: their one copy is here.
* protocol.md section 4; operations.md, State.
"""

import hashlib
from typing import Final

from qfagent.dske.pad import AUTH_BYTES, PROOF_BYTES, Direction, Pad
from qfagent.dske.psrd import Block
from qfagent.dske.shamir import MAX_KEYS, secret_size
from qfagent.dske.spans import Span
from qfagent.dske.wire import MAX_ENTRIES
from qfagent.errors import OneTimeViolation, PsrdContradiction, PsrdExhausted, PsrdPreviouslyInserted, Refusal
from qfagent.store.database import Database
from qfagent.store.fence import Fence
from qfagent.store.marks import Facts, Marks
from qfagent.store.pads import Pads

MAX_SPAN: Final = AUTH_BYTES + MAX_ENTRIES * secret_size(MAX_KEYS)  # bytes, of any message that can be valid
READ_AHEAD: Final = 1024  # bytes
CLIENT_STEP: Final = 1024  # bytes reserved ahead: a commit for some ten requests instead of one for each
HUB_STEP: Final = 1  # a hub commits with every request anyway, and serves many blocks
_HELD_BLOCKS: Final = 4096  # whose marks are kept in memory
_ENDED: Final = ("retired", "gone")


class Ledger:
    """The blocks of one agent, whichever role it plays; which pad of a block is its own never changes."""

    def __init__(self, database: Database, pads: Pads, fence: Fence, *, step: int) -> None:
        """`step`: how many bytes of a user pad are reserved at once; 1 reserves what is asked for."""
        self._database, self._pads, self._fence = database, pads, fence
        self._steps = {Direction.USER: step, Direction.SERVER: HUB_STEP}
        self._held: dict[str, Marks] = {}
        self._changed: dict[str, Marks] = {}  # in the transaction that is under way
        self.moves = 0  # counts every move of a mark, also of those that only memory knows
        self.consumed = 0  # bytes of own pads that were given out since start

    # --- blocks

    def check_new(self, block: Block) -> None:
        """PsrdPreviouslyInserted if the block is known; PsrdContradiction if it is, with other content."""
        row = self._database.row("SELECT digest, state FROM blocks WHERE id = ?", block.id)
        if row is None:
            return
        if row[0] != digest(block) or not self._unspent_bytes_agree(block, state=row[1]):
            raise PsrdContradiction(f"block {block.id} is known with other content")
        raise PsrdPreviouslyInserted(f"PsrdPreviouslyInserted: block {block.id} was ingested before")

    def ingest(self, block: Block, *, own: Direction, owner: str | None = None) -> None:
        """Takes a block in; its pad file is durable already. Raises as `check_new`, and StoreFenced."""
        self._fence.check()
        self.check_new(block)
        born = self._database.value("SELECT COALESCE(MAX(born), 0) + 1 FROM blocks")
        self._database.execute(
            "INSERT INTO blocks"
            " (id, born, own, hub, client, name, user_bytes, server_bytes, spent, seen, state, owner, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'new', ?, ?)",
            *(block.id, born, int(own), block.hub.id, block.client_id, block.name),
            *(len(block.user), len(block.server), own.first, Direction(1 - own).first, owner, digest(block)),
        )

    def without_pads(self) -> list[str]:
        """The live blocks whose pad file is missing, or is not the one that came."""
        live = "SELECT id, user_bytes, server_bytes, digest FROM blocks WHERE state NOT IN ('retired', 'gone')"
        return [
            block
            for block, user, server, known in self._database.rows(live)
            if known != _digest(self._pads.reserved(block, user=user, server=server), user, server)
        ]

    def retire(self, block: str, *, state: str, reason: str) -> None:
        """Ends a block for good: its bytes are erased, its row stays as a tombstone."""
        self.flush()
        self._database.execute(
            "UPDATE blocks SET state = ?, reason = ?, touched = 0 WHERE id = ?", state, reason, block
        )
        self._pads.remove(block)
        self._held.pop(block, None)

    def facts(self, block: str) -> Facts:
        """The block's facts; Refusal `unknown-block`."""
        return self._known(block, ended_too=True).facts

    # --- the own pad

    def next(self, block: str) -> int:
        """The offset that would be spent next."""
        return self._marks(block).next

    def spent(self, block: str) -> int:
        """The end of what was spent or reserved of the own pad."""
        return self._marks(block).spent

    def ahead(self, block: str) -> int:
        """Bytes that are reserved and not yet given out; they are lost when the agent stops."""
        marks = self._held.get(block)
        return 0 if marks is None else marks.spent - marks.next

    def room(self, block: str, *, limit: int | None = None) -> int:
        """Bytes of the own pad that can still be spent below `limit` (default: where ordinary spending ends)."""
        marks = self._marks(block)
        end = marks.facts.limit(marks.facts.own) if limit is None else limit
        return 0 if marks.retired else max(0, end - marks.next)

    def take(self, block: str, length: int) -> Pad:
        """The next `length` bytes of the own pad, spent; PsrdExhausted if it has no such room, StoreFenced."""
        self._fence.check()
        marks = self._marks(block)
        if self.room(block) < length:
            raise PsrdExhausted(f"block {block} has no {length} bytes left to spend")
        span = Span(marks.next, length)
        if len(marks.ahead) < length:
            self._read_ahead(marks, length)
        if span.end > marks.spent:
            self._reserve(marks, span.end)
        material, marks.ahead = marks.ahead[:length], marks.ahead[length:]
        marks.next = span.end
        self.moves += 1
        self.consumed += length
        return _pad(marks, marks.facts.own, span, material)

    def can_prove(self, block: str) -> bool:
        """Whether `take_proof` has something to take."""
        marks = self._marks(block)
        return not marks.retired and marks.proofs + AUTH_BYTES <= PROOF_BYTES

    def take_proof(self, block: str) -> Pad:
        """32 of the last 64 bytes of the user pad, spent; PsrdExhausted when both are, StoreFenced."""
        self._fence.check()
        if not self.can_prove(block):
            raise PsrdExhausted(f"block {block} has no proof left")
        marks = self._marks(block)
        span = Span(marks.facts.user_bytes - PROOF_BYTES + marks.proofs, AUTH_BYTES)
        material = self._pads.read(block, span.offset, span.length)
        marks.proofs += AUTH_BYTES
        self._moved(marks)
        self._pads.doom(block, span.offset, span.length)
        return _pad(marks, Direction.USER, span, material)

    def skip(self, block: str, offset: int) -> None:
        """Spends everything below `offset` unused; never moves back."""
        marks = self._marks(block)
        end = min(offset, marks.facts.limit(marks.facts.own))
        if end > marks.next:
            self.take(block, end - marks.next)

    # --- the other side's pad

    def look(self, block: str, span: Span, *, least: int = AUTH_BYTES) -> Pad:
        """The pad of a span that a message names, before anything is known of it. Nothing is accepted yet.

        Of a span longer than any message needs only so much is read that its tag can be checked.
        Refusal: `unknown-block`, `retired`, `bad-span`, `pad-spent`.
        """
        marks = self._known(block)
        self._check_span(marks, span, least)
        if marks.accepted.overlaps(span):
            raise Refusal("pad-spent", f"a byte of the span at {span.offset} was accepted before")
        return self._look(marks, span)

    def look_again(self, block: str, span: Span) -> Pad:
        """The pad of a span that was accepted before and is kept, to open the same bytes again."""
        return self._look(self._known(block), span)

    def claim(self, pad: Pad, *, keep: bool = False) -> None:
        """Accepts the span of a message that verified, and dooms its bytes unless they are to be kept.

        OneTimeViolation if a byte of it has been accepted since `look`.
        """
        marks = self._marks(pad.block)
        if marks.accepted.overlaps(pad.span):
            raise OneTimeViolation("a span was claimed twice")
        marks.accepted.add(pad.span)
        self._moved(marks)
        if not keep:
            self.erase(pad.block, pad.span)

    def erase(self, block: str, span: Span) -> None:
        """Dooms bytes of the other side's pad that nobody needs any more; after a crash that is done again."""
        marks = self._marks(block)
        self._moved(marks)
        self._pads.doom(block, marks.facts.at(marks.facts.other, span.offset), span.length)

    def seen(self, block: str) -> int:
        """The end of the highest byte accepted from the other side, below the bytes kept for proofs."""
        return self._marks(block).seen

    def proofs_seen(self, block: str) -> int:
        """As `seen`, for the bytes that are kept for proofs: how many of them are behind it."""
        return self._marks(block).proofs_seen

    # --- the transaction

    def flush(self) -> None:
        """Writes the marks that have moved; the transaction ends with it."""
        for block, marks in self._changed.items():
            self._database.execute(
                "UPDATE blocks SET spent = ?, proofs = ?, accepted = ?, seen = ?, touched = 1 WHERE id = ?",
                *(marks.spent, marks.proofs, marks.packed(), marks.seen, block),
            )
        self._changed.clear()
        while len(self._held) > _HELD_BLOCKS:
            del self._held[next(iter(self._held))]

    def forget(self) -> None:
        """Drops what memory holds, after a transaction that failed. What was reserved there is lost, not reused."""
        self._held.clear()
        self._changed.clear()

    # --- at start and stop

    def erase_touched(self, kept: dict[str, list[Span]]) -> None:
        """Erases again what an unclean stop may have left: all that is spent or accepted, but for spans in `kept`."""
        for (block,) in self._database.rows("SELECT id FROM blocks WHERE touched"):
            self._erase_again(block, kept.get(block, []))

    def settle(self) -> None:
        """Marks every block as erased, when that has been done durably."""
        self._database.execute("UPDATE blocks SET touched = 0 WHERE touched")

    # --- inside

    def _reserve(self, marks: Marks, least: int) -> None:
        facts = marks.facts
        end = min(max(least, marks.spent + self._steps[facts.own]), facts.limit(facts.own))
        assert marks.spent < least <= end <= facts.size(facts.own), "a mark only grows, inside its pad"
        self._read_ahead(marks, end - marks.next)
        self._pads.doom(facts.id, facts.at(facts.own, marks.spent), end - marks.spent)
        marks.spent = end
        self._moved(marks)

    def _read_ahead(self, marks: Marks, least: int) -> None:
        """Brings the next bytes into memory before they are doomed, and a few more to save the next reading."""
        facts, have = marks.facts, len(marks.ahead)
        if have < least:
            end = min(marks.next + max(least, READ_AHEAD), facts.limit(facts.own))
            start = marks.next + have
            marks.ahead += self._pads.read(facts.id, facts.at(facts.own, start), end - start)

    def _moved(self, marks: Marks) -> None:
        self._changed[marks.facts.id] = marks
        self.moves += 1

    def _look(self, marks: Marks, span: Span) -> Pad:
        facts, length = marks.facts, min(span.length, MAX_SPAN)
        material = self._pads.read(facts.id, facts.at(facts.other, span.offset), length)
        return _pad(marks, facts.other, span, material)

    def _check_span(self, marks: Marks, span: Span, least: int) -> None:
        other, size = marks.facts.other, marks.facts.size(marks.facts.other)
        if span.length < least or span.offset < other.first or span.end > size:
            raise Refusal("bad-span", f"expected at least {least} bytes between {other.first} and {size}")

    def _known(self, block: str, *, ended_too: bool = False) -> Marks:
        try:
            marks = self._marks(block)
        except KeyError:
            raise Refusal("unknown-block", f"there is no block {block} here") from None
        if marks.retired and not ended_too:
            raise Refusal("retired", f"block {block} is retired")
        return marks

    def _marks(self, block: str) -> Marks:
        marks = self._held.get(block)
        if marks is None:
            marks = self._held[block] = self._load(block)
        return marks

    def _load(self, block: str) -> Marks:
        row = self._database.row(
            "SELECT own, hub, client, name, user_bytes, server_bytes, spent, proofs, accepted, state"
            " FROM blocks WHERE id = ?",
            block,
        )
        if row is None:
            raise KeyError(block)
        own, hub, client, name, user_bytes, server_bytes, spent, proofs, accepted, state = row
        facts = Facts(block, Direction(own), Direction(1 - own), hub, client, name, user_bytes, server_bytes)
        ended = state in _ENDED
        r = (b"", b"") if ended else (self._pads.read(block, 16, 16), self._pads.read(block, user_bytes, 16))
        return Marks(facts, spent=spent, proofs=proofs, accepted=accepted, retired=ended, r=r)

    def _unspent_bytes_agree(self, block: Block, *, state: str) -> bool:
        """Compares with what is left of a live block; what was spent is nowhere, not even as a digest (ADR 2)."""
        if state in _ENDED:
            return True
        marks = self._marks(block.id)
        facts, start = marks.facts, marks.spent
        given = (block.user if facts.own is Direction.USER else block.server).reveal()[start : facts.limit(facts.own)]
        return not given or given == self._pads.read(block.id, facts.at(facts.own, start), len(given))

    def _erase_again(self, block: str, kept: list[Span]) -> None:
        marks = self._marks(block)
        for at, length in marks.spent_spans():
            self._pads.doom(block, at, length)
        for accepted in marks.accepted_spans():
            for span in _without(accepted, kept):
                self.erase(block, span)


def digest(block: Block) -> bytes:
    """Tells blocks of one id apart by the bytes that are never spent, so that it says nothing of those that are."""
    reserved = block.user.reveal()[:32] + block.server.reveal()[:16]
    return _digest(reserved, len(block.user), len(block.server))


def _digest(reserved: bytes, user: int, server: int) -> bytes:
    return hashlib.sha256(reserved + f"{user}:{server}".encode()).digest()


def _pad(marks: Marks, direction: Direction, span: Span, material: bytes) -> Pad:
    return Pad(block=marks.facts.id, direction=direction, span=span, r=marks.r[direction], material=material)


def _without(span: Span, kept: list[Span]) -> list[Span]:
    rest = [span]
    for hole in kept:
        rest = [piece for part in rest for piece in _cut(part, hole)]
    return rest


def _cut(span: Span, hole: Span) -> list[Span]:
    if not span.overlaps(hole):
        return [span]
    pieces = [Span(span.offset, hole.offset - span.offset), Span(hole.end, span.end - hole.end)]
    return [piece for piece in pieces if piece.length > 0]
