"""The envelope is the header that authenticates a message, and what its tag covers besides the body.

* protocol.md section 3; section 6, Canonical forms: the header occurs once and matches as a whole.
* Seen in a request is the end of the highest server byte accepted in the block; in an answer it is 0.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from qfagent.dske.spans import Span
from qfagent.errors import Invalid

AUTH_HEADER: Final = "DSKE-Auth"
PROOF_HEADER: Final = "DSKE-Proof"


class Auth(msgspec.Struct, frozen=True):
    """The header that authenticates a message: which span of which block its tag (16 bytes) was made with."""

    block: str
    offset: int
    length: int
    seen: int
    tag: bytes

    @property
    def span(self) -> Span:
        """The span that the message spends."""
        return Span(self.offset, self.length)

    def __str__(self) -> str:
        where = f"block={self.block}; offset={self.offset}; length={self.length}; seen={self.seen}"
        return f"{where}; tag={self.tag.hex()}"


_NUMBER = rb"(0|[1-9][0-9]{0,8})"
_AUTH = re.compile(
    rb"block=([0-9a-f]{32}); offset=%b; length=%b; seen=%b; tag=([0-9a-f]{32})" % (_NUMBER, _NUMBER, _NUMBER)
)


def parse_auth(values: Sequence[bytes]) -> Auth:
    """The one canonical header among the values that arrived; Invalid `bad-header`."""
    match = _AUTH.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise Invalid("bad-header", "expected DSKE-Auth once, in its canonical form")
    block, offset, length, seen, tag = match.groups()
    return Auth(block.decode(), int(offset), int(length), int(seen), bytes.fromhex(tag.decode()))


def request_context(method: str, target: str) -> bytes:
    """What a request's tag covers besides its body: `u16 length ‖ "METHOD SP target"`."""
    line = f"{method} {target}".encode("ascii")
    return len(line).to_bytes(2, "big") + line


def answer_context(request_tag: bytes, status: int) -> bytes:
    """What an answer's tag covers besides its body: the request's tag (16 bytes) and the HTTP status as u16."""
    return request_tag + status.to_bytes(2, "big")
