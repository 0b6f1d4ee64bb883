"""A view is what one peer's agent is told of the network: its own role, the hubs, and the peers that it has links with.

* Its version is a digest of what it says, so it survives a restart of the server, and what is the same is not news.
* A `Sight`, the peers that somebody has links with, is made once for all who see the same, and each peer in it is put
  into bytes once; whoever is told of it may find himself in it.
* Who knows a sight that is still remembered gets the difference only.
"""

from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec

from qfagent.http.openapi import array_of
from qfagent.management.atlas import Atlas, Crowd, members_of
from qfagent.management.network import Peer

REMEMBERED: Final = 8  # networks whose sights are still known
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


class Scene:
    """All peers as others see them, in bytes; what is the same as in the scene before is taken over from it."""

    def __init__(self, peers: tuple[Peer, ...], before: "Scene | None" = None) -> None:
        was, known = (before.peers, before.encoded) if before else ({}, {})
        self.peers: dict[str, Peer] = {peer.id: peer for peer in peers}
        self.encoded: dict[str, bytes] = {
            peer.id: known[peer.id] if was.get(peer.id) is peer else _encode(peer) for peer in peers
        }


class Sight:
    """Those of a scene that somebody has links with, and the digest of what that looks like."""

    def __init__(self, scene: Scene, crowd: Crowd) -> None:
        self._scene, self._crowd = scene, crowd
        self.version = _digest(self.whole)

    @property
    def whole(self) -> msgspec.Raw:
        """All of them."""
        return _array(members_of(self._crowd, self._scene.encoded.values()))

    @property
    def by_id(self) -> dict[str, bytes]:
        """Each of them."""
        return dict(members_of(self._crowd, self._scene.encoded.items()))


class Views:
    """The views of everybody, now; and some sights of the past."""

    def __init__(self) -> None:
        self._known: deque[dict[str, Sight]] = deque(maxlen=REMEMBERED)  # by version; those of now first
        self._scene: Scene | None = None
        self._atlas: Atlas
        self._hubs: msgspec.Raw
        self._shares_required: int
        self._sights: dict[Crowd, Sight] = {}
        self._differences: dict[tuple[str, str], tuple[msgspec.Raw, msgspec.Raw]] = {}

    def turn_to(self, atlas: Atlas, *, shares_required: int) -> None:
        """From now on views are of this network."""
        self._atlas, self._shares_required = atlas, shares_required
        self._scene = Scene(atlas.peers, self._scene)
        self._sights, self._differences = {}, {}
        self._known.appendleft({})
        hubs = (SeenHub(peer.place.id, peer.name, peer.place.address) for peer in atlas.hubs if peer.place)
        self._hubs = msgspec.Raw(msgspec.json.encode(sorted(hubs, key=lambda hub: hub.id)))

    def version(self, peer: Peer) -> str:
        """The version of the peer's view."""
        return self._version(self._own(peer), self._sight(peer))

    def view(self, peer: Peer, *, known: str = "") -> View:
        """The peer's view, as a difference to the version that it knows if that is still remembered."""
        own, sight = self._own(peer), self._sight(peer)
        version = self._version(own, sight)
        past = self._find(known[_DIGITS:])
        if past is None:
            return View(version, "", own, self._shares_required, self._hubs, sight.whole, _NOTHING)
        peers, gone = self._difference(past, sight)
        return View(version, known, own, self._shares_required, self._hubs, peers, gone)

    def remembers(self, known: str) -> bool:
        """Whether a difference to this version can be told."""
        return self._find(known[_DIGITS:]) is not None

    def _own(self, peer: Peer) -> Own:
        return Own(peer.id, peer.name, peer.address, role_of(peer), peer.is_exempt)

    def _version(self, own: Own, sight: Sight) -> str:
        rest = msgspec.json.encode((own, self._shares_required, self._hubs))
        return _digest(rest) + sight.version

    def _sight(self, peer: Peer) -> Sight:
        crowd = self._atlas.neighbours(peer)
        sight = self._sights.get(crowd)
        if sight is None:
            assert self._scene is not None, "views are of a network"
            sight = self._sights[crowd] = Sight(self._scene, crowd)
            self._known[0][sight.version] = sight
        return sight

    def _find(self, version: str) -> Sight | None:
        return next((sights[version] for sights in self._known if version in sights), None)

    def _difference(self, past: Sight, sight: Sight) -> tuple[msgspec.Raw, msgspec.Raw]:
        found = self._differences.get((past.version, sight.version))
        if found is None:
            before, after = past.by_id, sight.by_id
            changed = _array(peer for id_, peer in after.items() if before.get(id_) != peer)
            gone = msgspec.Raw(msgspec.json.encode([id_ for id_ in before if id_ not in after]))
            found = self._differences[past.version, sight.version] = (changed, gone)
        return found


def role_of(peer: Peer) -> RoleName:
    """What the peer is to run as."""
    return "hub" if peer.is_hub else "client"


_NOTHING: Final = msgspec.Raw(b"[]")


def _encode(peer: Peer) -> bytes:
    return msgspec.json.encode(SeenPeer(peer.id, peer.name, peer.address, peer.is_exempt))


def _array(encoded: Iterable[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[%b]" % b",".join(encoded))


def _digest(data: bytes | msgspec.Raw) -> str:
    return sha256(data).hexdigest()[:_DIGITS]
