"""A PSRD file carries one block of Pre-Shared Random Data from a hub to a client, by hand.

* protocol.md section 2. `decode` takes arbitrary bytes and gives a valid `Block` or says which member is wrong.
* A file that ends too early is told from one that is wrong: the inbox waits for the first, and rejects the other.
* No error repeats a value, or a name that is not ours: it might be a piece of pad.
* Zeros are what erasing leaves: a run of them is no PSRD, and a store that met it later would stand still.
"""

import binascii
import ipaddress
from collections.abc import Callable
from typing import Any, Final

import msgspec

from qfagent.dske import ids, strict_json
from qfagent.dske.pad import MAX_PAD, MIN_PAD
from qfagent.dske.secret import Secret
from qfagent.errors import PsrdIncomplete, PsrdRejected

VERSION: Final = 2
DEFAULT_PORT: Final = 27277
MAX_FILE: Final = (2 * MAX_PAD + 2) // 3 * 4 + 65536  # bytes: two pads in base64, and room for the other members
_ERASED = bytes(16)  # in a pad of 64 MiB by chance once in 2^102 files
_HOST = (
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)


class HubAddress(msgspec.Struct, frozen=True):
    """A hub as its files name it: 32 hex digits, a host name or address inside the mesh, and a TCP port."""

    id: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """`host:port`, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Block(msgspec.Struct, frozen=True):
    """The PSRD of one file. `id` is 32 hex digits; each pad is 1 KiB to 64 MiB."""

    hub: HubAddress
    client_id: str
    name: str
    user: Secret
    server: Secret

    @property
    def id(self) -> str:
        """The block id: the first 16 bytes of the user pad, public, in hex."""
        return self.user.reveal()[:16].hex()


def encode(block: Block) -> bytes:
    """The bytes of the block's PSRD file: one JSON object, UTF-8."""
    psrd = binascii.b2a_base64(block.user.reveal() + block.server.reveal(), newline=False).decode()
    members = {
        "version": VERSION,
        "security_hub_fqdn": block.hub.host,
        "security_hub_id": block.hub.id,
        "security_hub_port": block.hub.port,
        "dske_client_id": block.client_id,
        "dske_client_username": block.name,
        "user_bytes": len(block.user),
        "server_bytes": len(block.server),
        "psrd": psrd,
    }
    return msgspec.json.encode(members) + b"\n"


def decode(data: bytes) -> Block:
    """The block of a PSRD file; PsrdRejected names the member and what was expected, PsrdIncomplete a cut file."""
    members = _members(data)
    for name, expected, fits in _RULES:
        if name not in members:
            raise PsrdRejected(f"{name}: missing, expected {expected}")
        if not fits(members[name]):
            raise PsrdRejected(f"{name}: expected {expected}")
    psrd = _base64(members["psrd"])
    if _ERASED in psrd:
        raise PsrdRejected(f"psrd: expected random bytes, found {len(_ERASED)} zeros in a row")
    split = _split(members, len(psrd))
    return Block(
        hub=HubAddress(members["security_hub_id"], members["security_hub_fqdn"], members["security_hub_port"]),
        client_id=members["dske_client_id"],
        name=members["dske_client_username"],
        user=Secret(psrd[:split]),
        server=Secret(psrd[split:]),
    )


def _members(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE:
        raise PsrdRejected(f"expected at most {MAX_FILE} bytes")
    try:
        members = strict_json.loads(data)
    except strict_json.Incomplete as error:
        raise PsrdIncomplete(f"the file ends too early: {error}") from error
    except strict_json.Repeated as error:
        member = error.member if error.member in _NAMES else "a member"
        raise PsrdRejected(f"{member}: expected once, found again") from error
    except ValueError as error:
        raise PsrdRejected(f"expected one JSON object in UTF-8: {error}") from error
    if not isinstance(members, dict):
        raise PsrdRejected("expected a JSON object")
    return members


def _is_int(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_text(*patterns: str) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and any(ids.matches(pattern, value) for pattern in patterns)


def is_host(value: Any) -> bool:
    """Whether the value is a host name or an IP address."""
    return type(value) is str and (ids.matches(_HOST, value) or _is_address(value))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


_RULES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("version", "the number 2", _is_int(VERSION, VERSION)),
    ("security_hub_fqdn", "a host name or an IP address", is_host),
    ("security_hub_id", "32 lower-case hex digits", _is_text(ids.HEX_ID)),
    ("security_hub_port", "a number from 1 to 65535", _is_int(1, 65535)),
    ("dske_client_id", "a UUID of 36 lower-case characters", _is_text(ids.UUID)),
    (
        "dske_client_username",
        "a peer name or `pool-` and 8 hex digits",
        _is_text(ids.PEER_NAME, ids.POOL_NAME),
    ),
    ("psrd", "a string of padded base64", lambda value: type(value) is str),
)
_NAMES = frozenset({"user_bytes", "server_bytes", *(name for name, _, _ in _RULES)})


def _base64(text: str) -> bytes:
    try:
        return strict_json.base64(text)
    except ValueError as error:
        raise PsrdRejected("psrd: expected standard base64, padded, with unused bits zero") from error


def _split(members: dict[str, Any], total: int) -> int:
    given = [name for name in ("user_bytes", "server_bytes") if name in members]
    if not given:
        return _halves(total)
    for name in ("user_bytes", "server_bytes"):
        if name not in given:
            raise PsrdRejected(f"{name}: missing, expected both parts of the split or neither")
        if not _is_int(MIN_PAD, MAX_PAD)(members[name]):
            raise PsrdRejected(f"{name}: expected a number from {MIN_PAD} to {MAX_PAD}")
    user, server = members["user_bytes"], members["server_bytes"]
    if user + server != total:
        raise PsrdRejected(f"psrd: expected user_bytes + server_bytes = {user + server} bytes, found {total}")
    return int(user)


def _halves(total: int) -> int:
    if total % 2 or not MIN_PAD <= total // 2 <= MAX_PAD:
        raise PsrdRejected(f"psrd: expected two equal pads of {MIN_PAD} to {MAX_PAD} bytes, found {total} in all")
    return total // 2
