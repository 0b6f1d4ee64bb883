"""Marks say how far a block is spent and accepted; in memory they run ahead of the database by one transaction.

* `spent` only grows. `accepted` only grows. A block that is retired has no secrets left.
* What has changed is written once, at the end of the transaction, whatever happened in it.
"""

import struct
from collections.abc import Iterator

import msgspec

from qfagent.dske.pad import PROOF_BYTES, Direction
from qfagent.dske.spans import Span, Spans

_INTERVAL = struct.Struct(">II")


class Facts(msgspec.Struct, frozen=True):
    """What never changes of a block. `own` is the pad that this agent spends, `other` the other; sizes in bytes."""

    id: str
    own: Direction
    other: Direction
    hub: str
    client: str
    name: str
    user_bytes: int
    server_bytes: int

    def size(self, direction: Direction) -> int:
        """Bytes of one pad."""
        return self.user_bytes if direction is Direction.USER else self.server_bytes

    def limit(self, direction: Direction) -> int:
        """Where ordinary spending of one pad ends: the user pad keeps bytes for proofs."""
        return self.user_bytes - PROOF_BYTES if direction is Direction.USER else self.server_bytes

    def at(self, direction: Direction, offset: int) -> int:
        """Where a byte of a pad lies in the block's file."""
        return offset if direction is Direction.USER else self.user_bytes + offset


class Marks:
    """The marks of one block. `next` is the first byte not handed out; `ahead` holds the bytes from there on."""

    __slots__ = ("accepted", "ahead", "facts", "next", "proofs", "r", "retired", "spent")

    def __init__(
        self, facts: Facts, *, spent: int, proofs: int, accepted: bytes, retired: bool, r: tuple[bytes, bytes]
    ) -> None:
        self.facts, self.retired, self.r = facts, retired, r
        self.spent = self.next = spent
        self.proofs, self.accepted = proofs, Spans(_INTERVAL.iter_unpack(accepted))
        self.ahead = b""

    @property
    def seen(self) -> int:
        """The end of the highest byte accepted from the other side, below the bytes kept for proofs."""
        other = self.facts.other
        return self.accepted.highest(below=self.facts.limit(other), default=other.first)

    @property
    def proofs_seen(self) -> int:
        """How many of the bytes kept for proofs end with the highest that was accepted of them."""
        first = self.facts.limit(self.facts.other)
        return max(0, self.accepted.highest(below=self.facts.size(self.facts.other), default=0) - first)

    def packed(self) -> bytes:
        """The accepted intervals, as the database has them."""
        return b"".join(_INTERVAL.pack(start, stop) for start, stop in self.accepted)

    def spent_spans(self) -> Iterator[tuple[int, int]]:
        """Offset in the block's file, and length, of everything that was spent of the own pad."""
        first = self.facts.own.first
        yield self.facts.at(self.facts.own, first), self.spent - first
        yield self.facts.user_bytes - PROOF_BYTES, self.proofs

    def accepted_spans(self) -> Iterator[Span]:
        """Everything that was accepted of the other side's pad."""
        for start, stop in self.accepted:
            yield Span(start, stop - start)
