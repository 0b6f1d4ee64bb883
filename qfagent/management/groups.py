"""A group of the API: how it is asked for, made, changed, removed and shown.

* Its members are asked for by peer id, all at once: what is left out of the list leaves the group.
* What a policy or a setup key names can't be removed.
* Resources of the API have no meaning here, and groups of them are refused.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec

from qfagent.errors import BadRequest, NameTaken, NotFound, Unacceptable
from qfagent.management import hub_rule
from qfagent.management.atlas import Atlas, members_of
from qfagent.management.network import OURS, Group, Network, Peer, drop, put

MOST_GROUPS: Final = 2000
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f-\x9f]+\Z")]
Text = Annotated[str, msgspec.Meta(max_length=1024, pattern=r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z")]
Nothing = Annotated[tuple[Any, ...], msgspec.Meta(max_length=0)]


class GroupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group as an operator wants it."""

    name: Name
    peers: tuple[str, ...] | None = None
    resources: Nothing | None = None


class PeerMinimum(msgspec.Struct, frozen=True):
    """A peer, where others are shown."""

    id: str
    name: str


class GroupMinimum(msgspec.Struct, frozen=True):
    """A group, where others are shown."""

    id: str
    name: str
    peers_count: int
    resources_count: int
    issued: Literal["api", "integration"]


class ShownGroup(GroupMinimum, frozen=True):
    """A group, with everybody in it."""

    peers: tuple[PeerMinimum, ...]
    resources: tuple[Any, ...] = ()


def create(network: Network, request: GroupRequest, *, new_id: str) -> Network:
    """With a new group. NameTaken, Unacceptable."""
    if len(network.groups) >= MOST_GROUPS:
        raise Unacceptable(f"there are {MOST_GROUPS} groups already")
    return _put(network, Group(new_id, request.name), request)


def change(network: Network, group_id: str, request: GroupRequest) -> Network:
    """With another name and other members. NotFound, NotPermitted, NameTaken, Unacceptable."""
    find(network, group_id)
    hub_rule.check_group(group_id)
    return _put(network, Group(group_id, request.name), request)


def remove(network: Network, group_id: str) -> Network:
    """Without the group. NotFound, NotPermitted, BadRequest if something names it."""
    group = find(network, group_id)
    hub_rule.check_group(group_id)
    for user in _users(network, group_id):
        raise BadRequest(f"group {group.name!r} can't be removed: {user} names it")
    leaving = [_without(peer, group_id) for peer in network.peers.values() if group_id in peer.groups]
    return drop(put(network, *leaving), group)


def find(network: Network, group_id: str) -> Group:
    """The group of this id; NotFound."""
    group = network.groups.get(group_id)
    if group is None:
        raise NotFound(f"there is no group {group_id!r}")
    return group


def check_all(network: Network, group_ids: Iterable[str], path: str) -> tuple[str, ...]:
    """The ids, each once; Unacceptable, with the path, if there is no such group."""
    unique = tuple(dict.fromkeys(group_ids))
    for group_id in unique:
        if group_id not in network.groups:
            raise Unacceptable(f"{path}: there is no group {group_id!r}")
    return unique


def show_minimum(atlas: Atlas, group_id: str) -> GroupMinimum:
    """The group, in short."""
    return GroupMinimum(*_minimum(atlas, group_id))


def show(atlas: Atlas, group_id: str) -> ShownGroup:
    """The group, with its members in the order in which they came."""
    members = members_of(atlas.members[group_id], atlas.peers)
    return ShownGroup(*_minimum(atlas, group_id), tuple(PeerMinimum(peer.id, peer.name) for peer in members))


def _minimum(atlas: Atlas, group_id: str) -> tuple[str, str, int, int, Literal["api", "integration"]]:
    name, count = atlas.network.groups[group_id].name, atlas.sizes[group_id]
    return group_id, name, count, 0, "integration" if group_id in OURS else "api"


def _put(network: Network, group: Group, request: GroupRequest) -> Network:
    hub_rule.check_name(group.name)
    if any(other.name == group.name and other.id != group.id for other in network.groups.values()):
        raise NameTaken(f"name: there is a group {group.name!r} already")
    wanted = frozenset(request.peers or ())
    for peer_id in wanted - network.peers.keys():
        raise Unacceptable(f"peers: there is no peer {peer_id!r}")
    moving = [peer for peer in network.peers.values() if (peer.id in wanted) != (group.id in peer.groups)]
    moved = [_with(peer, group.id) if peer.id in wanted else _without(peer, group.id) for peer in moving]
    return put(network, group, *moved)


def _with(peer: Peer, group_id: str) -> Peer:
    return msgspec.structs.replace(peer, groups=peer.groups | {group_id})


def _without(peer: Peer, group_id: str) -> Peer:
    return msgspec.structs.replace(peer, groups=peer.groups - {group_id})


def _users(network: Network, group_id: str) -> Iterable[str]:
    for policy in network.policies.values():
        if any(group_id in (*rule.sources, *rule.destinations) for rule in policy.rules):
            yield f"policy {policy.name!r}"
    for key in network.keys.values():
        if group_id in key.auto_groups:
            yield f"setup key {key.name!r}"
