"""A view is what a peer was told of its network: its own role, the hubs, and the peers that it may reach.

* Valid from construction: names, ids and addresses are what they should be, none of them stands twice, `k` is 2 to 16.
* What is told is the whole, or the difference to the view that is known here; anything else is refused. However many
  differences come, a view does not outgrow what any server may have.
* Members that this agent does not know are left aside.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from qfagent.config import parse_address
from qfagent.dske import ids
from qfagent.dske.psrd import is_host

MOST_PEERS: Final = 100_000  # as many as a server takes

RoleName = Literal["client", "hub"]
Name = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.PEER_NAME}\Z")]
HubId = Annotated[str, msgspec.Meta(pattern=rf"\A({ids.HEX_ID})?\Z")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Version = Annotated[str, msgspec.Meta(max_length=128, pattern=r"\A[!-~]*\Z")]
Threshold = Annotated[int, msgspec.Meta(ge=2, le=16)]


class Own(msgspec.Struct, frozen=True):
    """What a peer is told of itself. `exempt`: no keys are made with it."""

    id: Id
    name: Name
    address: str
    role: RoleName
    exempt: bool

    def __post_init__(self) -> None:
        _check_host(self.address)


class SeenHub(msgspec.Struct, frozen=True):
    """A security hub: its DSKE hub id, its peer name, and `host` or `host:port`.

    `id` is empty where the server knows none; then `hosts` are the names and addresses that it is recognized by.
    """

    id: HubId
    name: Name
    address: str
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parse_address(self.address)


class SeenPeer(msgspec.Struct, frozen=True):
    """A peer in reach. `exempt`: no keys are made with it."""

    id: Id
    name: Name
    address: str
    exempt: bool

    def __post_init__(self) -> None:
        _check_host(self.address)


class View(msgspec.Struct, frozen=True):
    """Everything that is known of the network, as of `version`."""

    version: Version
    peer: Own
    shares_required: Threshold
    hubs: tuple[SeenHub, ...]
    peers: tuple[SeenPeer, ...]

    def __post_init__(self) -> None:
        _check_once("hubs", (hub.id for hub in self.hubs if hub.id))
        _check_once("peers", (peer.name for peer in self.peers))
        if len(self.peers) > MOST_PEERS:
            raise ValueError(f"peers: expected at most {MOST_PEERS}")


class Told(msgspec.Struct, frozen=True):
    """What a server says: `peers` is all of them, or if `since` is not empty those that have changed since then."""

    version: Version
    since: Version
    peer: Own
    shares_required: Threshold
    hubs: tuple[SeenHub, ...]
    peers: tuple[SeenPeer, ...]
    gone: tuple[Id, ...] = ()


def follow(known: View | None, told: Told) -> View:
    """The view after what was told; ValueError if that is a difference to something else."""
    peers = {peer.id: peer for peer in _before(known, told.since)}
    peers |= {peer.id: peer for peer in told.peers}
    for gone in told.gone:
        peers.pop(gone, None)
    return View(told.version, told.peer, told.shares_required, told.hubs, tuple(peers.values()))


def _before(known: View | None, since: str) -> tuple[SeenPeer, ...]:
    if not since:
        return ()
    if known is None or known.version != since:
        raise ValueError("since: expected the version that was asked with")
    return known.peers


def _check_host(text: str) -> None:
    if not is_host(text):
        raise ValueError("address: expected a host name or an IP address")


def _check_once(what: str, names: Iterable[str]) -> None:
    counted = Counter(names)
    if counted and counted.most_common(1)[0][1] > 1:
        raise ValueError(f"{what}: expected every name once, got {counted.most_common(1)[0][0]} twice")
