"""A view is what one peer's agent is told of the network: its own role, the hubs, and the peers that it has links with.

* Its version is a digest of what it says, so it survives a restart of the server, and what is the same is not news.
* A `Sight`, the peers that somebody has links with, is made once per outlook, not once per agent, and all who see the
  same share its bytes; whoever is told of it may find himself in it.
* Who knows a sight that is still remembered gets the difference only.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec

from qfagent.http.openapi import array_of
from qfagent.management.atlas import Atlas, Outlook
from qfagent.management.network import Peer

REMEMBERED: Final = 200_000  # peers in all remembered sights together, some 100 bytes each
_DIGITS: Final = 32  # of each half of a version

RoleName = Literal["client", "hub"]


class Own(msgspec.Struct, frozen=True):
    """What the peer is told of itself. `exempt`: no keys are made with it."""

    id: str
    name: str
    address: str
    role: RoleName
    exempt: bool


class SeenHub(msgspec.Struct, frozen=True):
    """A security hub that has said who it is: DSKE hub id, peer name, `host` or `host:port`."""

    id: str
    name: str
    address: str


class SeenPeer(msgspec.Struct, frozen=True):
    """A peer as others see it."""

    id: str
    name: str
    address: str
    exempt: bool


Hubs = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=array_of(SeenHub))]
Peers = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=array_of(SeenPeer))]
Ids = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=array_of(str))]


class View(msgspec.Struct, frozen=True):
    """`since` is the version that `peers` and `gone` are the difference to; empty: `peers` is all of them."""

    version: str
    since: str
    peer: Own
    shares_required: int
    hubs: Hubs
    peers: Peers
    gone: Ids


class Sight:
    """Some peers, as others see them, and the digest of that."""

    def __init__(self, atlas: Atlas, ids: Iterable[str]) -> None:
        self.peers = {id_: _seen(atlas.network.peers[id_]) for id_ in sorted(ids)}
        self.encoded = msgspec.Raw(msgspec.json.encode(list(self.peers.values())))
        self.version = _digest(bytes(self.encoded))


class Views:
    """The views of everybody, now; and some sights of the past."""

    def __init__(self) -> None:
        self._past: OrderedDict[str, Mapping[str, SeenPeer]] = OrderedDict()
        self._past_size = 0
        self._atlas: Atlas
        self._hubs: msgspec.Raw
        self._shares_required: int
        self._sights: dict[Outlook, Sight] = {}
        self._differences: dict[tuple[str, str], tuple[msgspec.Raw, msgspec.Raw]] = {}

    def turn_to(self, atlas: Atlas, *, shares_required: int) -> None:
        """From now on views are of this network."""
        self._atlas, self._shares_required = atlas, shares_required
        self._sights, self._differences = {}, {}
        hubs = (SeenHub(peer.place.id, peer.name, peer.place.address) for peer in atlas.hubs if peer.place)
        self._hubs = msgspec.Raw(msgspec.json.encode(sorted(hubs, key=lambda hub: hub.id)))

    def version(self, peer: Peer) -> str:
        """The version of the peer's view."""
        return self._version(self._own(peer), self._sight(peer))

    def view(self, peer: Peer, *, known: str = "") -> View:
        """The peer's view, as a difference to the version that it knows if that is still remembered."""
        own, sight = self._own(peer), self._sight(peer)
        version = self._version(own, sight)
        past = known[_DIGITS:]
        if past in self._past:
            peers, gone = self._difference(past, sight)
            return View(version, known, own, self._shares_required, self._hubs, peers, gone)
        return View(version, "", own, self._shares_required, self._hubs, sight.encoded, _NOTHING)

    def _own(self, peer: Peer) -> Own:
        return Own(peer.id, peer.name, peer.address, role_of(peer), peer.is_exempt)

    def _version(self, own: Own, sight: Sight) -> str:
        rest = msgspec.json.encode((own, self._shares_required, self._hubs))
        return _digest(rest) + sight.version

    def _sight(self, peer: Peer) -> Sight:
        outlook = self._atlas.outlook(peer)
        sight = self._sights.get(outlook)
        if sight is None:
            sight = self._sights[outlook] = Sight(self._atlas, self._atlas.neighbours(outlook))
            self._remember(sight)
        return sight

    def _remember(self, sight: Sight) -> None:
        if sight.version in self._past:
            self._past.move_to_end(sight.version)
            return
        self._past[sight.version] = sight.peers
        self._past_size += len(sight.peers)
        while self._past_size > REMEMBERED and len(self._past) > 1:
            self._past_size -= len(self._past.popitem(last=False)[1])

    def _difference(self, past: str, sight: Sight) -> tuple[msgspec.Raw, msgspec.Raw]:
        found = self._differences.get((past, sight.version))
        if found is None:
            before, after = self._past[past], sight.peers
            changed = [peer for id_, peer in after.items() if before.get(id_) != peer]
            gone = [id_ for id_ in before if id_ not in after]
            found = (msgspec.Raw(msgspec.json.encode(changed)), msgspec.Raw(msgspec.json.encode(gone)))
            self._differences[past, sight.version] = found
        return found


def role_of(peer: Peer) -> RoleName:
    """What the peer is to run as."""
    return "hub" if peer.is_hub else "client"


_NOTHING: Final = msgspec.Raw(b"[]")


def _seen(peer: Peer) -> SeenPeer:
    return SeenPeer(peer.id, peer.name, peer.address, peer.is_exempt)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:_DIGITS]
