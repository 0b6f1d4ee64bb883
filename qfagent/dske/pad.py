"""A pad's bytes are spent once: the first 32 of a span authenticate one message, the others seal what it carries.

* A `Pad` is made by the ledger only, from a span that is durably spent, or on its way to be claimed.
* `draw` moves forward; no byte leaves a pad a second time, and an authenticator speaks or listens once.
* protocol.md section 3; the tag is Poly1305 of RFC 8439.
"""

from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qfagent.dske.secret import Secret, xor
from qfagent.dske.spans import Span
from qfagent.errors import OneTimeViolation

AUTH_BYTES = 32  # of every span that a message spends
MIN_PAD, MAX_PAD = 1024, 64 << 20  # bytes
PROOF_BYTES = 64  # kept at the end of a user pad
_DOMAIN = b"dske/1\0"


class Direction(IntEnum):
    """Which of a block's two pads: `USER` goes from client to hub."""

    USER = 0
    SERVER = 1

    @property
    def first(self) -> int:
        """Where spending starts: behind the block id and r_user, or behind r_server."""
        return 32 if self is Direction.USER else 16


class Pad:
    """The one-time bytes of one span, and where they stand."""

    __slots__ = ("_drawn", "_material", "_r", "block", "direction", "span")

    def __init__(self, *, block: str, direction: Direction, span: Span, r: bytes, material: bytes) -> None:
        self.block, self.direction, self.span = block, direction, span
        self._r, self._material, self._drawn = r, Secret(material), 0

    def draw(self, length: int) -> bytes:
        """The next `length` bytes; OneTimeViolation when there are no more."""
        start, self._drawn = self._drawn, self._drawn + length
        if self._drawn > len(self._material):
            raise OneTimeViolation(f"a span of {self.span.length} bytes was asked for more than it has")
        return self._material.reveal()[start : self._drawn]

    def seal(self, plain: bytes) -> bytes:
        """The plain bytes under the next bytes of the pad (one-time pad, XOR)."""
        return xor(plain, self.draw(len(plain)))

    open = seal  # the same sum, on the other side

    def authenticator(self) -> "Authenticator":
        """What makes or checks this message's tag; it takes the next 32 bytes."""
        material = self.draw(AUTH_BYTES)
        key = xor(self._r, material[:16]) + material[16:]
        return Authenticator(block=self.block, direction=self.direction, span=self.span, key=key)


class Authenticator:
    """The one-time key of one message."""

    __slots__ = ("_head", "_key")

    def __init__(self, *, block: str, direction: Direction, span: Span, key: bytes) -> None:
        where = span.offset.to_bytes(8, "big") + span.length.to_bytes(4, "big")
        self._head = _DOMAIN + bytes([direction]) + bytes.fromhex(block) + where
        self._key: Secret | None = Secret(key)

    def tag(self, *, seen: int, context: bytes, body: bytes) -> bytes:
        """The tag of the message, 16 bytes; OneTimeViolation if this key has made or checked one."""
        return Poly1305.generate_tag(self._take_key(), self._text(seen, context, body))

    def verify(self, tag: bytes, *, seen: int, context: bytes, body: bytes) -> bool:
        """Whether the tag is this message's; in constant time."""
        try:
            Poly1305.verify_tag(self._take_key(), self._text(seen, context, body), tag)
        except InvalidSignature:
            return False
        return True

    def _take_key(self) -> bytes:
        key, self._key = self._key, None
        if key is None:
            raise OneTimeViolation("a one-time key was asked for a second message")
        return key.reveal()

    def _text(self, seen: int, context: bytes, body: bytes) -> bytes:
        return self._head + seen.to_bytes(8, "big") + context + body
