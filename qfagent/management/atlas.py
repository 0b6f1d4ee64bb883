"""The atlas is a network worked out once: who is in which group, and which peers have a link.

* Two peers have a link if a rule lets either of them open traffic to the other: a tunnel serves both directions, and so
  does its key. Which protocols and ports may pass is a matter of firewalls, not of links.
* A rule that drops everything wins over those that accept, and the rule of the hubs over all others.
* Peers in the same groups have the same neighbours, so these are worked out per set of groups, not per peer.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from qfagent.management.network import ALL, HUBS, Network, Peer, Rule, groups_of

Ids = frozenset[str]


class Lane(msgspec.Struct, frozen=True):
    """One direction of a rule, from groups to groups; `firm`: nothing shuts it."""

    sources: Ids
    destinations: Ids
    opens: bool
    firm: bool


class Touch(msgspec.Struct, frozen=True):
    """The groups that a set of groups is let through to, one way, and those that are shut to it."""

    open: Ids
    shut: Ids


Outlook = tuple[Touch, Touch, Ids]
"""Outwards, inwards, and what is open whatever any rule says."""


class Atlas:
    """One network and what follows from it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.hubs = tuple(peer for peer in network.peers.values() if peer.is_hub)
        self.members = _members(network)
        self._lanes = tuple(lanes(network))
        self._outlooks: dict[tuple[Ids, bool], Outlook] = {}
        self._neighbours: dict[Outlook, Ids] = {}
        self._by_token = {peer.token: peer for peer in network.peers.values()}

    def bearer(self, token: str) -> Peer | None:
        """The peer whose token has this hash."""
        return self._by_token.get(token)

    def outlook(self, peer: Peer) -> Outlook:
        """What the peer's groups touch; peers with the same outlook have the same neighbours."""
        key = (peer.groups, peer.is_hub)
        found = self._outlooks.get(key)
        if found is None:
            found = self._outlooks[key] = _outlook(self._lanes, groups_of(peer))
        return found

    def neighbours(self, outlook: Outlook) -> Ids:
        """The ids of all peers that this outlook has links with; whoever has it may be among them."""
        found = self._neighbours.get(outlook)
        if found is None:
            outwards, inwards, firm = outlook
            found = self._neighbours[outlook] = self._beyond(outwards) | self._beyond(inwards) | self._all_in(firm)
        return found

    def linked(self, peer: Peer) -> Ids:
        """The ids of all other peers that the peer has links with."""
        return self.neighbours(self.outlook(peer)) - {peer.id}

    def degree(self, peer: Peer) -> int:
        """How many those are."""
        neighbours = self.neighbours(self.outlook(peer))
        return len(neighbours) - (peer.id in neighbours)

    def _beyond(self, touch: Touch) -> Ids:
        return self._all_in(touch.open) - self._all_in(touch.shut)

    def _all_in(self, groups: Ids) -> Ids:
        if ALL in groups:
            return self.members[ALL]
        return frozenset().union(*(self.members[group] for group in groups))


def lanes(network: Network) -> Iterator[Lane]:
    """The directions of all rules that are in force and say something about links."""
    for policy in network.policies.values():
        for rule in policy.rules if policy.enabled else ():
            if rule.enabled and (rule.action == "accept" or _drops_everything(rule)):
                sources, destinations = frozenset(rule.sources), frozenset(rule.destinations)
                opens, firm = rule.action == "accept", policy.id == HUBS
                yield Lane(sources, destinations, opens, firm)
                if rule.bidirectional:
                    yield Lane(destinations, sources, opens, firm)


def _drops_everything(rule: Rule) -> bool:
    return rule.protocol == "all" and not rule.ports and not rule.port_ranges


def _outlook(every: Iterable[Lane], groups: Ids) -> Outlook:
    outwards = [(lane, lane.destinations) for lane in every if lane.sources & groups]
    inwards = [(lane, lane.sources) for lane in every if lane.destinations & groups]
    firm = frozenset().union(*(far for lane, far in (*outwards, *inwards) if lane.firm))
    return _touch(outwards), _touch(inwards), firm


def _touch(met: Iterable[tuple[Lane, Ids]]) -> Touch:
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for lane, far in met:
        found[lane.opens] |= far
    return Touch(*(frozenset(found[opens]) for opens in (True, False)))


def _members(network: Network) -> dict[str, Ids]:
    members: dict[str, list[str]] = defaultdict(list)
    for peer in network.peers.values():
        for group in peer.groups:
            members[group].append(peer.id)
    members[HUBS] = [peer.id for peer in network.peers.values() if peer.is_hub]
    members[ALL] = list(network.peers)
    return {group: frozenset(members.get(group, ())) for group in {*network.groups, HUBS}}
