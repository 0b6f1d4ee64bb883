"""The messages of the protocol.

* protocol.md section 6. A message is valid from construction, on both sides; `decode` takes arbitrary bytes.
* Binary members are canonical base64, ids of blocks and hubs hex, numbers JSON integers, unknown members ignored.
* Failure is `Invalid`; what a hub answers to it is the hub's business.
"""

from collections.abc import Collection, Hashable
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec

from qfagent.dske import ids, strict_json
from qfagent.dske.shamir import MAX_KEYS, MAX_SHARES, MIN_SHARES, secret_size
from qfagent.errors import Invalid

REGISTER: Final = "/dske/v1/register"
DEPOSIT: Final = "/dske/v1/secrets"
FETCH: Final = "/dske/v1/secrets/fetch"
BLOCKS: Final = "/dske/v1/blocks/"
HEALTH: Final = "/dske/v1/health"
MAX_BODY: Final = 256 << 10  # bytes
MAX_ENTRIES: Final = 64  # secrets, done or seen, in one message
MAX_EXPIRES: Final = 86_400  # seconds
STORED: Final = "stored"
DUPLICATE: Final = "duplicate"


class Base64(bytes):
    """Bytes that travel as canonical base64, and show their length only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


HexId = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.HEX_ID}\Z")]
Uuid = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.UUID}\Z")]
SecretId = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.SECRET_UUID}\Z")]
PeerName = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.PEER_NAME}\Z")]
Threshold = Annotated[int, msgspec.Meta(ge=MIN_SHARES, le=MAX_SHARES)]
Keys = Annotated[int, msgspec.Meta(ge=1, le=MAX_KEYS)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=999_999_999)]
Hubs = Annotated[tuple[HexId, ...], msgspec.Meta(min_length=MIN_SHARES, max_length=MAX_SHARES)]


class Register(msgspec.Struct, frozen=True):
    """The first message under a new block: who speaks, and the file's own names again."""

    peer: PeerName
    client_id: Uuid
    block: HexId


class Registered(msgspec.Struct, frozen=True):
    """The hub's answer to it."""

    hub_id: HexId
    username: PeerName


class Sharing(msgspec.Struct, frozen=True):
    """What everybody must know of a secret to rebuild it: `x` of a hub is its place in `hubs`, counted from 1."""

    secret_id: SecretId
    hubs: Hubs
    k: Threshold
    m: Keys
    o: Base64
    share: Base64

    def __post_init__(self) -> None:
        _check_once(self.hubs, "hub")
        if self.k > len(self.hubs):
            raise ValueError("expected k of at most the number of hubs")
        if len(self.o) != 16:
            raise ValueError("expected o of 16 bytes")
        if len(self.share) != secret_size(self.m):
            raise ValueError(f"expected a share of 32m + 32 = {secret_size(self.m)} bytes")


class Deposit(Sharing, frozen=True, kw_only=True):
    """One hub's share, under the generator's user pad; `expires_in` in seconds."""

    recoverer: PeerName
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=MAX_EXPIRES)]


class Deposits(msgspec.Struct, frozen=True):
    """1 to 64 deposits, sealed in this order."""

    deposits: Annotated[tuple[Deposit, ...], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)]

    def __post_init__(self) -> None:
        _check_once([deposit.secret_id for deposit in self.deposits], "secret id")

    @property
    def ciphertext(self) -> int:
        """Bytes of the span that seal shares."""
        return sum(len(deposit.share) for deposit in self.deposits)


class Result(msgspec.Struct, frozen=True):
    """What became of one deposit: `stored`, `duplicate`, `unknown-recoverer`, `recoverer-exhausted`, `quota`."""

    secret_id: SecretId
    status: str


class Results(msgspec.Struct, frozen=True):
    """The results of a deposit message, in its order."""

    results: Annotated[tuple[Result, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret to fetch: by id, by generator (all that wait from it, oldest first), or by both."""

    generator: PeerName | msgspec.UnsetType = msgspec.UNSET
    secret_id: SecretId | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.generator is msgspec.UNSET and self.secret_id is msgspec.UNSET:
            raise ValueError("expected a generator or a secret id")

    def covers(self, generator: str, secret_id: str) -> bool:
        """Whether it asks for this generator's secret."""
        return self.generator in (generator, msgspec.UNSET) and self.secret_id in (secret_id, msgspec.UNSET)


class Done(msgspec.Struct, frozen=True):
    """A secret that its recoverer needs no more."""

    generator: PeerName
    secret_id: SecretId


class Seen(msgspec.Struct, frozen=True):
    """How far the client has seen the server pad of a block; an offset in bytes."""

    block: HexId
    seen: Offset


class Fetch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Up to 64 secrets wanted, up to 64 done, and the other blocks that the client holds at this hub."""

    secrets: Annotated[tuple[Wanted, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    done: Annotated[tuple[Done, ...], msgspec.Meta(max_length=MAX_ENTRIES)] = ()
    seen: Annotated[tuple[Seen, ...], msgspec.Meta(max_length=MAX_ENTRIES)] = ()

    def __post_init__(self) -> None:
        _check_once(self.secrets, "wanted secret")
        _check_once(self.done, "done secret")
        _check_once([entry.block for entry in self.seen], "block")


class Wrapped(Sharing, frozen=True, kw_only=True):
    """One hub's share under the recoverer's server pad, at `offset` of `block`; `expires_at` in Unix seconds."""

    generator: PeerName
    expires_at: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    block: HexId
    offset: Offset


class Shares(msgspec.Struct, frozen=True):
    """What a fetch brings."""

    shares: Annotated[tuple[Wrapped, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class BlockState(msgspec.Struct, frozen=True):
    """What a hub tells anybody about a block; `user_seen` is an offset, `proofs_seen` counts bytes of the last 64."""

    user_seen: Offset
    registered: bool
    retired: bool
    proofs_seen: Offset = 0  # a hub of another make may not tell


class Health(msgspec.Struct, frozen=True):
    """That a hub is there."""

    hub_id: HexId
    version: str


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457 problem details; the last path segment of `type` is the slug."""

    type: str
    title: str = ""
    status: int = 0
    detail: str = ""

    @property
    def slug(self) -> str:
        """The stable name of what went wrong."""
        return self.type.rpartition("/")[2]


M = TypeVar("M", bound=msgspec.Struct)


def encode(message: msgspec.Struct) -> bytes:
    """The body of a message."""
    return _encoder.encode(message)


def decode(kind: type[M], body: bytes) -> M:
    """The message in a body; Invalid `malformed` says what was expected, and where."""
    try:
        message: M = _decoder(kind).decode(body)
        if encode(message) != body:  # not as we spell it: then every rule of spelling has to be looked at
            message = msgspec.convert(strict_json.loads(body), kind, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        raise Invalid("malformed", _lower(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise Invalid("malformed", f"expected a JSON object: {_lower(str(error))}") from None
    return message


@cache
def _decoder(kind: type[M]) -> msgspec.json.Decoder[M]:
    return msgspec.json.Decoder(kind, dec_hook=_from_text)


def _from_text(kind: type, value: Any) -> Any:
    if kind is not Base64 or type(value) is not str:
        raise ValueError("expected base64")
    try:
        return Base64(strict_json.base64(value))
    except ValueError:
        raise ValueError("expected canonical base64") from None


def _check_once(values: Collection[Hashable], what: str) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"expected every {what} once")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


_encoder: Final = msgspec.json.Encoder(enc_hook=bytes)
