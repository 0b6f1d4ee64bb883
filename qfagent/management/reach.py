"""Reach is who reaches whom, for drawing: peers of the same groups are one node, a link between nodes is a line.

* It is exact: peers of the same groups have the same neighbours. What is left out for lack of room is counted.
"""

from collections import defaultdict
from typing import Final

import msgspec

from qfagent.management.atlas import Atlas
from qfagent.management.network import ALL, Peer, groups_of

MOST_NODES: Final = 40
MOST_NAMES: Final = 8


class Node(msgspec.Struct, frozen=True):
    """Peers of the same groups; `within` says whether they have links among themselves."""

    groups: tuple[str, ...]
    peers: tuple[str, ...]
    count: int
    hubs: bool
    within: bool


class Reach(msgspec.Struct, frozen=True):
    """`links` are pairs of indices into `nodes`; `left_off` peers are in nodes that are not shown."""

    nodes: tuple[Node, ...]
    links: tuple[tuple[int, int], ...]
    left_off: int


def find_reach(atlas: Atlas) -> Reach:
    """The drawing of a network: hubs first, then the nodes with the most peers."""
    alike: dict[frozenset[str], list[Peer]] = defaultdict(list)
    for peer in atlas.network.peers.values():
        alike[groups_of(peer)].append(peer)
    every = sorted(alike.values(), key=lambda peers: (not peers[0].is_hub, -len(peers)))
    shown = every[:MOST_NODES]
    links = [
        (number, other)
        for number, peers in enumerate(shown)
        for other in range(number)
        if atlas.are_linked(peers[0], shown[other][0])
    ]
    return Reach(tuple(_node(atlas, peers) for peers in shown), tuple(links), sum(map(len, every[MOST_NODES:])))


def _node(atlas: Atlas, peers: list[Peer]) -> Node:
    first, names = peers[0], atlas.network.groups
    groups = tuple(sorted(names[group].name for group in groups_of(first) - {ALL} if group in names))
    within = len(peers) > 1 and atlas.are_linked(first, peers[1])
    return Node(groups, tuple(peer.name for peer in peers[:MOST_NAMES]), len(peers), first.is_hub, within)
