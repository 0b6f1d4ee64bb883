"""The names of the protocol, and what a receiver accepts as one.

* A secret id is a random UUID of version 8 whose last two bytes are zero; key `i` has them set to `i`.
* Every rule is matched against the whole text; a trailing newline or a digit of another script never passes.
"""

import re
from collections.abc import Callable

from qfagent.errors import Invalid

PEER_NAME = r"(?!pool-)[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
POOL_NAME = r"pool-[0-9a-f]{8}"
HEX_ID = r"[0-9a-f]{32}"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SECRET_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{8}0000"  # noqa: S105  # a pattern
MAX_INDEX = 63


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is of the pattern."""
    return re.fullmatch(pattern, text, re.ASCII) is not None


def new_uuid(random: Callable[[int], bytes]) -> str:
    """A random UUID of version 4, for a client id."""
    return _dashed(_stamped(random(16), version=4))


def new_secret_id(random: Callable[[int], bytes]) -> str:
    """A random secret id."""
    return _dashed(_stamped(random(14) + bytes(2), version=8))


def key_id(secret_id: str, index: int) -> str:
    """The id of key `index` of a secret; Invalid `bad-index` outside 0 .. 63."""
    if not 0 <= index <= MAX_INDEX:
        raise Invalid("bad-index", f"expected an index from 0 to {MAX_INDEX}, got {index}")
    return f"{secret_id[:-4]}{index:04x}"


def parse_key_id(text: str) -> tuple[str, int]:
    """Secret id and index of a key id; Invalid: `malformed`, `bad-version`, `bad-variant`, `bad-index`."""
    if not matches(UUID, text):
        raise Invalid("malformed", "expected a UUID of 36 lower-case characters")
    if text[14] != "8":
        raise Invalid("bad-version", "expected a UUID of version 8")
    if text[19] not in "89ab":
        raise Invalid("bad-variant", "expected a UUID of the RFC 9562 variant")
    index = int(text[-4:], 16)
    if index > MAX_INDEX:
        raise Invalid("bad-index", f"expected a last group that ends in 0000 to {MAX_INDEX:04x}")
    return text[:-4] + "0000", index


def parse_secret_id(text: str) -> str:
    """The text, if it is a secret id; Invalid as `parse_key_id`."""
    secret_id, index = parse_key_id(text)
    if index:
        raise Invalid("bad-index", "expected a secret id, which ends in 0000")
    return secret_id


def _stamped(raw: bytes, *, version: int) -> bytes:
    data = bytearray(raw)
    data[6] = data[6] & 0x0F | version << 4
    data[8] = data[8] & 0x3F | 0x80
    return bytes(data)


def _dashed(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
