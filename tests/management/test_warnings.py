"""What an operator should see to is told, the gravest first, and goes away by itself; and who reaches whom is drawn."""

import pytest

from qfagent.management.atlas import Atlas
from qfagent.management.network import ALL, Group, Network, Place, put
from qfagent.management.presence import HubLevels, Presence, PsrdLevel, Report
from qfagent.management.reach import MOST_NODES, find_reach
from qfagent.management.warnings import warnings
from tests.management.desks import NOON
from tests.management.test_agents import LEVELS
from tests.management.test_view import network, peer, policy

HUB_ID = "a" * 32


def hub(name, number, **more):
    return peer(name, is_hub=True, place=Place(f"{number}" * 32, "100.64.0.1:27277"), **more)


HUBS = (hub("h1", "a"), hub("h2", "b"), hub("h3", "c"))


def heard(**reports):
    presence = Presence({})
    for name, report in reports.items():
        presence.hear(name, address="100.64.0.1", now=NOON)
        if report is not None:
            presence.report(name, report, now=NOON)
    return presence


def report(name, role="client", **more):
    return Report(name=name, role=role, version="1", **more)


def pool(files):
    return HubLevels(**{**LEVELS, "id": HUB_ID, "pool_files": files})


def level(user, server):
    return PsrdLevel(HUB_ID, "ready", 1000, 1000, user, server)


def told(things, presence, *, now=NOON, shares_required=2):
    found = warnings(Atlas(network(*things)), presence, shares_required=shares_required, now=now)
    return [(warning.code, warning.peer) for warning in found]


FINE = {f"h{n}": report(f"h{n}", "hub") for n in (1, 2, 3)}


def test_a_network_in_which_all_is_well_has_none():
    presence = heard(**FINE, x=report("x", psrd=(level(0.5, 0.2),)))

    assert [] == told([*HUBS, peer("x")], presence)


@pytest.mark.parametrize("count, expected", [(0, "hubs-not-enough"), (1, "hubs-not-enough"), (2, "hubs-not-spare")])
def test_too_few_hubs_or_none_to_spare_come_first(count, expected):
    code, *_ = told([*HUBS[:count], peer("x")], heard())

    assert (expected, "") == code


@pytest.mark.parametrize(
    "reports, expected",
    [
        ({"h1": report("h1", "hub", hub=pool(4))}, ("pool-low", "h1")),
        ({"h1": report("h1", "client")}, ("role-differs", "h1")),
        ({"x": report("x", psrd=(level(0.19, 1), level(1, 1)))}, ("psrd-low", "x")),
        ({"x": report("x", psrd=(level(1, 0),))}, ("psrd-low", "x")),
        ({"x": report("y")}, ("name-differs", "x")),
        ({"x": report("x", issues=("interface-down",))}, ("agent-issues", "x")),
    ],
)
def test_what_a_peer_reports_may_be_a_warning(reports, expected):
    assert [expected] == told([*HUBS, peer("x")], heard(**(FINE | {"x": report("x")} | reports)))


def test_psrd_of_a_hub_that_is_none_any_more_is_no_matter():
    presence = heard(h2=FINE["h2"], h3=FINE["h3"], h4=report("h4", "hub"), x=report("x", psrd=(level(0, 0),)))

    assert [] == told([*HUBS[1:], hub("h4", "d"), peer("x")], presence)


def test_silence_is_told_of_hubs_at_once_and_of_peers_that_were_heard_before():
    presence = heard(**FINE, x=report("x"))
    silent = [("hub-silent", name) for name in ("h1", "h2", "h3")] + [("peer-silent", "x")]

    assert silent == told([*HUBS, peer("x"), peer("new")], presence, now=NOON + 121)


def test_a_hub_that_has_not_said_where_it_listens_is_not_ready():
    assert [("hub-not-ready", "h4")] == told([*HUBS, peer("h4", is_hub=True)], heard(**FINE, h4=report("h4", "hub")))


def test_a_peer_that_calls_from_elsewhere_is_told():
    presence = heard(**FINE)
    presence.hear("x", address="192.0.2.7", now=NOON)
    presence.report("x", report("x"), now=NOON)

    assert [("address-differs", "x")] == told([*HUBS, peer("x")], presence)


# --- the drawing


def test_peers_of_the_same_groups_are_one_node_and_links_are_lines():
    drawn = find_reach(Atlas(network(*HUBS[:1], peer("x", "a"), peer("y", "a"), peer("z", "b"), policy("a", "b"))))
    seen = [(node.groups, node.peers, node.count, node.hubs, node.within) for node in drawn.nodes]

    assert [
        (("h1",), True, False),
        (("x", "y"), False, False),
        (("z",), False, False),
    ] == [(peers, hubs, within) for _, peers, _, hubs, within in seen]
    assert ((2, 1),) == drawn.links  # this network has no policy for hubs yet
    assert 0 == drawn.left_off


def test_peers_that_reach_one_another_are_drawn_so():
    (node,) = find_reach(Atlas(network(peer("x", "a"), peer("y", "a"), policy("a", "a")))).nodes

    assert (2, True) == (node.count, node.within)


def test_what_is_left_off_for_lack_of_room_is_counted():
    groups = [Group(f"g{number}", f"g{number}") for number in range(MOST_NODES + 5)]
    everybody = [peer(f"p{number}", f"g{number}") for number in range(MOST_NODES + 5)]
    drawn = find_reach(Atlas(put(Network(), Group(ALL, "All"), *groups, *everybody)))

    assert (MOST_NODES, 5) == (len(drawn.nodes), drawn.left_off)
