"""A setup key of the API: how it is asked for, made, revoked, used and shown.

* The key itself is shown once, when it is made; later only how it begins.
* A key that was revoked stays so. One that is revoked, expired or used up lets nobody in.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from qfagent.errors import NotFound, Unacceptable
from qfagent.management import groups
from qfagent.management.groups import Name
from qfagent.management.network import OURS, KeyType, Network, SetupKey, drop, put
from qfagent.management.tokens import HINT, hashed

MOST_KEYS: Final = 2000
LONGEST: Final = 31_536_000  # seconds; a year
NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)

State = Literal["valid", "revoked", "expired", "overused"]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class SetupKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key as an operator wants it; `expires_in` in seconds, 0 for never."""

    name: Name
    type: KeyType
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=LONGEST)]
    auto_groups: tuple[str, ...] = ()
    usage_limit: Count = 0
    ephemeral: bool = False
    allow_extra_dns_labels: bool = False


class SetupKeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be changed of a key."""

    revoked: bool
    auto_groups: tuple[str, ...]


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key; `key` is the secret when it has just been made."""

    id: str
    key: str
    name: str
    expires: datetime
    type: KeyType
    valid: bool
    revoked: bool
    used_times: int
    last_used: datetime
    state: State
    auto_groups: tuple[str, ...]
    updated_at: datetime
    usage_limit: int
    ephemeral: bool
    allow_extra_dns_labels: bool


INERT: Final = ("ephemeral", "allow_extra_dns_labels")


def create(network: Network, request: SetupKeyRequest, *, secret: str, new_id: str, now: float) -> Network:
    """With a new key. Unacceptable."""
    if len(network.keys) >= MOST_KEYS:
        raise Unacceptable(f"there are {MOST_KEYS} setup keys already")
    key = SetupKey(
        id=new_id,
        name=request.name,
        hash=hashed(secret),
        hint=secret[:HINT],
        type=request.type,
        created_at=now,
        updated_at=now,
        expires_at=now + request.expires_in if request.expires_in else None,
        auto_groups=_auto_groups(network, request.auto_groups),
        usage_limit=1 if request.type == "one-off" else request.usage_limit,
        inert=frozenset(name for name in INERT if getattr(request, name)),
    )
    return put(network, key)


def change(network: Network, key_id: str, request: SetupKeyChange, *, now: float) -> Network:
    """With a key that is revoked, or puts peers into other groups. NotFound, Unacceptable."""
    key = find(network, key_id)
    if key.revoked and not request.revoked:
        raise Unacceptable("revoked: a key that was revoked stays so; make a new one")
    auto_groups = _auto_groups(network, request.auto_groups)
    changed = msgspec.structs.replace(key, revoked=request.revoked, auto_groups=auto_groups)
    return network if changed == key else put(network, msgspec.structs.replace(changed, updated_at=now))


def remove(network: Network, key_id: str) -> Network:
    """Without the key; who came with it stays. NotFound."""
    return drop(network, find(network, key_id))


def find(network: Network, key_id: str) -> SetupKey:
    """The key of this id; NotFound."""
    key = network.keys.get(key_id)
    if key is None:
        raise NotFound(f"there is no setup key {key_id!r}")
    return key


def find_secret(network: Network, secret: str) -> SetupKey | None:
    """The key that this is."""
    digest = hashed(secret)
    return next((key for key in network.keys.values() if key.hash == digest), None)


def state(key: SetupKey, now: float) -> State:
    """Whether the key lets somebody in, or why not."""
    if key.revoked:
        return "revoked"
    if key.expires_at is not None and now >= key.expires_at:
        return "expired"
    return "overused" if 0 < key.usage_limit <= key.used_times else "valid"


def use(key: SetupKey, now: float) -> SetupKey:
    """The key, used once more."""
    return msgspec.structs.replace(key, used_times=key.used_times + 1, last_used=now)


def show(key: SetupKey, *, now: float, secret: str = "") -> ShownKey:
    """The key; with its secret only if that is given."""
    return ShownKey(
        id=key.id,
        key=secret or f"{key.hint}****",
        name=key.name,
        expires=moment(key.expires_at),
        type=key.type,
        valid=state(key, now) == "valid",
        revoked=key.revoked,
        used_times=key.used_times,
        last_used=moment(key.last_used),
        state=state(key, now),
        auto_groups=key.auto_groups,
        updated_at=moment(key.updated_at),
        usage_limit=key.usage_limit,
        **{name: name in key.inert for name in INERT},
    )


def moment(seconds: float | None) -> datetime:
    """Unix seconds as the API shows them; the year 1 for never."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else NEVER


def _auto_groups(network: Network, group_ids: tuple[str, ...]) -> tuple[str, ...]:
    for group_id in group_ids:
        if group_id in OURS:
            raise Unacceptable(f"auto_groups: group {group_id!r} is kept by the server")
    return groups.check_all(network, group_ids, "auto_groups")
