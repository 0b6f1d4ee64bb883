"""The network is what has been decided: peers, groups, policies and setup keys, as one value.

* A peer carries the groups that it was put into, so no group can hold a peer that does not exist.
* Two groups have no members of their own: `All` is every peer, `DSKE Security Hubs` every peer with the flag.
* A network is never changed: an edit makes another, which shares with it whatever stays the same.
* Secrets are not in it: tokens and setup keys are SHA-256 hashes of what was handed out.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

ALL: Final = "all"
HUBS: Final = "dske-security-hubs"  # the group's id, and that of its policy
ALL_NAME: Final = "All"
HUBS_NAME: Final = "DSKE Security Hubs"
OURS: Final = frozenset({ALL, HUBS})  # groups whose members follow from the peers

Action = Literal["accept", "drop"]
Protocol = Literal["all", "tcp", "udp", "icmp", "netbird-ssh"]
KeyType = Literal["reusable", "one-off"]


class Place(msgspec.Struct, frozen=True):
    """Where a hub is found: its DSKE hub id, 32 hex digits, and `host` or `host:port`."""

    id: str
    address: str


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the mesh. `inert` names switches of the API that are kept and do nothing here."""

    id: str
    name: str
    address: str
    token: str
    key: str  # the id of the setup key that it came with
    created_at: float
    groups: frozenset[str] = frozenset()
    is_hub: bool = False
    set_exempt: bool = False
    place: Place | None = None  # as its agent says; used while it is a hub
    hostname: str = ""
    system: str = ""
    kernel: str = ""
    inert: frozenset[str] = frozenset()

    @property
    def is_exempt(self) -> bool:
        """Whether no keys are made with it; hubs are exempt by themselves."""
        return self.is_hub or self.set_exempt


class Group(msgspec.Struct, frozen=True):
    """A name for some peers."""

    id: str
    name: str


class PortRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports from `start` to `end`, both included."""

    start: int
    end: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What peers of the groups in `sources` may do to those in `destinations`."""

    id: str
    name: str
    description: str = ""
    enabled: bool = True
    action: Action = "accept"
    bidirectional: bool = True
    protocol: Protocol = "all"
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    port_ranges: tuple[PortRange, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that are switched on and off together."""

    id: str
    name: str
    description: str = ""
    enabled: bool = True
    rules: tuple[Rule, ...] = ()


class SetupKey(msgspec.Struct, frozen=True, kw_only=True):
    """Lets new peers in; times are Unix seconds, `usage_limit` 0 is no limit, `hint` how the key begins."""

    id: str
    name: str
    hash: str
    hint: str
    type: KeyType
    created_at: float
    updated_at: float
    expires_at: float | None = None
    revoked: bool = False
    used_times: int = 0
    last_used: float | None = None
    auto_groups: tuple[str, ...] = ()
    usage_limit: int = 0
    inert: frozenset[str] = frozenset()


Thing = Peer | Group | Policy | SetupKey


class Network(msgspec.Struct, frozen=True):
    """Everything by its id."""

    peers: Mapping[str, Peer] = msgspec.field(default_factory=dict)
    groups: Mapping[str, Group] = msgspec.field(default_factory=dict)
    policies: Mapping[str, Policy] = msgspec.field(default_factory=dict)
    keys: Mapping[str, SetupKey] = msgspec.field(default_factory=dict)


SHELVES: Final[dict[type[Thing], str]] = {Peer: "peers", Group: "groups", Policy: "policies", SetupKey: "keys"}


def first_network() -> Network:
    """What a new server begins with: everybody reaches everybody, until an operator says otherwise."""
    rule = Rule(id="default", name="Default", sources=(ALL,), destinations=(ALL,))
    policy = Policy(id="default", name="Default", description="all peers reach one another", rules=(rule,))
    return put(Network(), Group(ALL, ALL_NAME), policy)


def put(network: Network, *things: Thing) -> Network:
    """The network with these things, each in place of what had its id."""
    shelves: dict[str, dict[str, Thing]] = {}
    for thing in things:
        name = SHELVES[type(thing)]
        shelves.setdefault(name, dict(getattr(network, name)))[thing.id] = thing
    return msgspec.structs.replace(network, **shelves)


def drop(network: Network, thing: Thing) -> Network:
    """The network without this thing."""
    name = SHELVES[type(thing)]
    shelf = dict(getattr(network, name))
    del shelf[thing.id]
    return msgspec.structs.replace(network, **{name: shelf})


def groups_of(peer: Peer) -> frozenset[str]:
    """The ids of all groups that the peer is in."""
    return peer.groups | {ALL, HUBS} if peer.is_hub else peer.groups | {ALL}
