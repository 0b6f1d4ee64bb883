"""Limits are what one server grants to all of its peers together, and to one of them."""

import msgspec

HEAD_BYTES = 8_192
FIELDS = 64
BODY_BYTES = 262_144


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, counts and seconds; `each` is for one peer, and 0 there means that only `connections` counts.

    `head_seconds` and `request_seconds` both count from a request's first byte. The latter goes on to the last
    byte of the answer, and may be a second late. `queue` connections of one peer may wait for a place,
    `queue_seconds` at most.
    """

    head: int = HEAD_BYTES
    fields: int = FIELDS
    body: int = BODY_BYTES
    head_seconds: float = 10
    request_seconds: float = 30
    idle_seconds: float = 75
    farewell_seconds: float = 1
    connections: int = 256
    each: int = 0
    queue: int = 16
    queue_seconds: float = 1

    def __post_init__(self) -> None:
        if min(self.head, self.fields, self.connections) < 1:
            raise ValueError("a server without heads, headers or connections serves nobody")
