"""What must hold of a server after every request, worked out anew and in another way than the server does."""

import json

from qfagent.management import hub_rule
from qfagent.management.network import ALL, HUBS, groups_of


def check(desk):
    network = desk.network
    _check_references(network)
    _check_names(network)
    _check_hubs(desk)
    assert network == desk.archive.load(), "what is kept is what is so"


def check_links(desk):
    """Dear: looks at every pair of peers."""
    for one in desk.atlas.peers:
        expected = {other.id for other in desk.atlas.peers if are_linked(desk.network, one, other)}
        assert expected == {other.id for other in desk.atlas.linked(one)}
        assert len(expected) == desk.atlas.degree(one)
        assert expected == {seen["id"] for seen in json.loads(bytes(desk.mesh.view(one).peers))} - {one.id}


def _check_references(network):
    known = set(network.groups)
    assert all(peer.groups <= known - {ALL, HUBS} for peer in network.peers.values())
    assert all(set(key.auto_groups) <= known - {ALL, HUBS} for key in network.keys.values())
    for policy in network.policies.values():
        assert policy.rules
        for rule in policy.rules:
            assert rule.sources
            assert rule.destinations
            assert {*rule.sources, *rule.destinations} <= known


def _check_names(network):
    for things in (network.peers, network.groups):
        names = [thing.name for thing in things.values()]
        assert len(names) == len(set(names))
    places = [peer.place.id for peer in network.peers.values() if peer.place]
    assert len(places) == len(set(places))


def _check_hubs(desk):
    network, hubs = desk.network, desk.atlas.hubs
    assert hub_rule.EVERYBODY == network.groups[ALL]
    if hubs:
        assert (hub_rule.GROUP, hub_rule.POLICY) == (network.groups[HUBS], network.policies[HUBS])
    for hub in hubs:
        assert hub.is_exempt
        assert len(network.peers) - 1 == desk.atlas.degree(hub)


def are_linked(network, one, other):
    """Straight from the rules, pair by pair."""
    if one.id == other.id:
        return False
    return one.is_hub or other.is_hub or _may_open(network, one, other) or _may_open(network, other, one)


def _may_open(network, one, other):
    accepted = False
    for policy in network.policies.values():
        for rule in policy.rules:
            if policy.enabled and rule.enabled and _is_about(rule, one, other):
                if rule.action == "accept":
                    accepted = True
                elif rule.protocol == "all" and not rule.ports and not rule.port_ranges:
                    return False
    return accepted


def _is_about(rule, one, other):
    forth = groups_of(one) & set(rule.sources) and groups_of(other) & set(rule.destinations)
    back = rule.bidirectional and groups_of(one) & set(rule.destinations) and groups_of(other) & set(rule.sources)
    return bool(forth or back)
