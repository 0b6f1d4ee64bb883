"""The atlas is a network worked out once: who is in which group, and which peers have a link.

* Two peers have a link if a rule lets either of them open traffic to the other: a tunnel serves both directions, and so
  does its key. Which protocols and ports may pass is a matter of firewalls, not of links.
* A rule that drops everything wins over those that accept, and the rule of the hubs over all others.
* Many peers at once are a crowd: an integer with one bit for each, in the order of the network. Peers in the same
  groups have the same neighbours, so these are worked out once per set of groups.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import compress
from operator import or_
from typing import Final, TypeVar

import msgspec

from qfagent.management.network import ALL, HUBS, Network, Peer, Rule, groups_of

Crowd = int
T = TypeVar("T")
_TRUTH: Final = bytes.maketrans(b"01", b"\0\1")


class Ways(msgspec.Struct, frozen=True):
    """Whom one is let through to and by whom, what of that is shut, and what is open whatever any rule says."""

    outwards: Crowd = 0
    outwards_shut: Crowd = 0
    inwards: Crowd = 0
    inwards_shut: Crowd = 0
    firm: Crowd = 0

    def __or__(self, other: "Ways") -> "Ways":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Ways(*(mine | yours for mine, yours in pairs))

    @property
    def beyond(self) -> Crowd:
        """Who is at the other ends."""
        return self.outwards & ~self.outwards_shut | self.inwards & ~self.inwards_shut | self.firm


class Atlas:
    """One network and what follows from it."""

    def __init__(self, network: Network) -> None:
        self.network, self.peers = network, tuple(network.peers.values())
        self.hubs = tuple(peer for peer in self.peers if peer.is_hub)
        self.members = _members(network, self.peers)
        self.sizes = {group: crowd.bit_count() for group, crowd in self.members.items()}
        self._places = {peer.id: place for place, peer in enumerate(self.peers)}
        self._ways = _ways(network, self.members)
        self._neighbours: dict[frozenset[str], tuple[Crowd, int]] = {}  # and how many they are
        self._by_token = {peer.token: peer for peer in self.peers}

    def bearer(self, token: str) -> Peer | None:
        """The peer whose token has this hash."""
        return self._by_token.get(token)

    def neighbours(self, peer: Peer) -> Crowd:
        """All peers that those in the same groups have links with; the peer itself may be among them."""
        return self._counted(peer)[0]

    def are_linked(self, one: Peer, other: Peer) -> bool:
        """Whether two peers have a link."""
        return one.id != other.id and self._has(self.neighbours(one), other)

    def linked(self, peer: Peer) -> list[Peer]:
        """All other peers that the peer has links with."""
        return [other for other in members_of(self.neighbours(peer), self.peers) if other.id != peer.id]

    def degree(self, peer: Peer) -> int:
        """How many those are."""
        neighbours, count = self._counted(peer)
        return count - self._has(neighbours, peer)

    def _counted(self, peer: Peer) -> tuple[Crowd, int]:
        groups = groups_of(peer)
        found = self._neighbours.get(groups)
        if found is None:
            ways = (self._ways[group] for group in groups if group in self._ways)
            crowd = reduce(or_, ways, Ways()).beyond
            found = self._neighbours[groups] = crowd, crowd.bit_count()
        return found

    def _has(self, crowd: Crowd, peer: Peer) -> bool:
        return bool(crowd >> self._places[peer.id] & 1)


def members_of(crowd: Crowd, everybody: Iterable[T]) -> Iterator[T]:
    """What stands for those in a crowd, out of what stands for everybody, in the order of the network."""
    digits = f"{crowd:b}".encode().translate(_TRUTH)
    return compress(everybody, reversed(digits))


def _ways(network: Network, members: dict[str, Crowd]) -> dict[str, Ways]:
    found: dict[str, Ways] = defaultdict(Ways)
    for policy in network.policies.values():
        for rule in policy.rules if policy.enabled else ():
            if rule.enabled and (rule.action == "accept" or _drops_everything(rule)):
                for group, ways in _laid(rule, members, firm=policy.id == HUBS):
                    found[group] |= ways
    return dict(found)


def _laid(rule: Rule, members: dict[str, Crowd], *, firm: bool) -> Iterator[tuple[str, Ways]]:
    """What a rule does for each of its groups."""
    sides = (rule.sources, rule.destinations)
    sources, destinations = (reduce(or_, (members[group] for group in side)) for side in sides)
    out, into = ("outwards", "inwards") if rule.action == "accept" else ("outwards_shut", "inwards_shut")
    for near, far, ways in ((rule.sources, destinations, (out, into)), (rule.destinations, sources, (into, out))):
        laid = Ways(**dict.fromkeys(ways if rule.bidirectional else ways[:1], far), firm=far if firm else 0)
        yield from ((group, laid) for group in near)


def _drops_everything(rule: Rule) -> bool:
    return rule.protocol == "all" and not rule.ports and not rule.port_ranges


def _members(network: Network, peers: tuple[Peer, ...]) -> dict[str, Crowd]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, peer in enumerate(peers):
        for group in groups_of(peer):
            places[group].append(place)
    return {group: _crowd(places[group], len(peers)) for group in {*network.groups, HUBS, ALL}}


def _crowd(places: Iterable[int], size: int) -> Crowd:
    digits = bytearray(b"0") * (size + 1)
    for place in places:
        digits[-1 - place] = ord("1")
    return int(digits, 2)
