"""Neighbours: what a view makes of hubs and peers, and of what the configuration leaves open."""

import pytest

from qfagent.config import parse
from qfagent.dske.psrd import HubAddress
from qfagent.errors import PeerExempt, PeerOutOfReach, PsrdRejected
from qfagent.managed.neighbours import Neighbours
from tests.managed.views import HUB, OTHER_HUB, peer, view

CONFIG = (
    'name = "alice"\nrole = "managed"\n{top}[management]\nurl = "http://100.64.0.1:1"\nsetup_key_file = "/k"\n{more}'
)


def test_a_hub_of_the_view_is_taken_wherever_its_file_says_that_it_is():
    neighbours = Neighbours(view())

    assert neighbours.serves(HubAddress(HUB, "h1.mesh", 1))
    assert neighbours.check_hub(HubAddress(HUB, "100.64.0.1", 27277)) is None


def test_another_hub_is_refused_with_its_id_also_at_a_hubs_address():
    with pytest.raises(PsrdRejected, match=f"the management server lists no hub {OTHER_HUB} at 100.64.0.1"):
        Neighbours(view()).check_hub(HubAddress(OTHER_HUB, "100.64.0.1", 27277))


def test_where_the_server_knows_no_hub_ids_the_host_decides():
    hub = {"id": "", "name": "h1", "address": "100.64.0.1", "hosts": ["100.64.0.1", "h1.mesh"]}
    neighbours = Neighbours(view(hubs=[hub]))
    hosts = ("100.64.0.1", "h1.mesh", "H1.mesh", "100.64.0.2", "h2.mesh")

    assert [True, True, True, False, False] == [neighbours.serves(HubAddress(HUB, host, 27277)) for host in hosts]


@pytest.mark.parametrize(
    "name, kind", [("h1", PeerExempt), ("carol", PeerOutOfReach), ("alice", PeerOutOfReach), ("x", PeerOutOfReach)]
)
def test_no_keys_with_who_is_exempt_or_out_of_reach(name, kind):
    with pytest.raises(kind, match=name):
        Neighbours(view()).check_peer(name)


def test_keys_with_who_is_in_reach():
    assert Neighbours(view()).check_peer("bob") is None


def test_an_exempt_machine_makes_no_keys_with_anybody():
    own = {**peer("alice", exempt=True), "role": "client"}
    with pytest.raises(PeerExempt, match="this machine is exempt"):
        Neighbours(view(peer=own)).check_peer("bob")


@pytest.mark.parametrize(
    "name, seen, calls, there",
    [
        ("bob", "100.64.0.9", "100.64.0.9", True),
        ("bob", "100.64.0.9", "100.64.0.8", False),
        ("bob", "fd00::9", "fd00:0:0::9", True),
        ("carol", "100.64.0.9", "100.64.0.9", False),
        ("bob", "bob.mesh", "100.64.0.9", False),
    ],
)
def test_a_peer_is_where_the_view_has_it_and_nowhere_else(name, seen, calls, there):
    assert there == Neighbours(view(peer("bob", seen))).is_at(name, calls)


@pytest.mark.parametrize(
    "host, port, moved", [("100.64.0.1", 27277, False), ("100.64.0.2", 27277, True), ("100.64.0.1", 1, True)]
)
def test_a_hub_that_the_view_has_elsewhere_is_noticed(host, port, moved):
    assert moved == (Neighbours(view()).moved(HubAddress(HUB, host, port)) is not None)


@pytest.mark.parametrize("local, told, k", [(2, 2, 2), (2, 3, 3), (4, 3, 4), (2, 16, 16)])
def test_the_configured_k_is_a_floor_that_no_server_can_go_below(local, told, k):
    config = parse(CONFIG.format(top="", more=f"[client]\nshares_required = {local}\n"))

    assert k == Neighbours(view(shares_required=told)).complete(config).client.shares_required


def test_where_a_hub_is_found_is_what_the_view_says_unless_the_configuration_does():
    open_, set_ = (
        parse(CONFIG.format(top='interface = ""\n', more=more))
        for more in ("", '[hub]\nfqdn = "h1.mesh"\nlisten = "127.0.0.1:5"\n')
    )
    completed = [Neighbours(view()).complete(config).hub for config in (open_, set_)]

    assert [("100.64.0.7", "100.64.0.7:27277"), ("h1.mesh", "127.0.0.1:5")] == [
        (hub.fqdn, hub.listen) for hub in completed
    ]


def test_a_hub_with_an_interface_listens_on_that():
    assert "" == Neighbours(view()).complete(parse(CONFIG.format(top="", more=""))).hub.listen
