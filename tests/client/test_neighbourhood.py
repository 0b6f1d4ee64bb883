"""A client that goes by a view: whose files it takes, which hubs it works with, whom it makes keys with."""

import pytest
import trio

from qfagent.client import report as client_report
from qfagent.errors import PeerExempt, PeerOutOfReach
from qfagent.managed.neighbours import Neighbours
from qfagent.neighbourhood import ANYBODY
from tests.conftest import enrol
from tests.managed.views import peer, view


def show(machine, hubs, *peers):
    """The machine goes by a view of these hubs, and of these peers besides them."""
    seen = [{"id": hub.address.id, "name": hub.name, "address": hub.name} for hub in hubs]
    others = [*peers, *(peer(hub.name, "100.64.0.1", exempt=True) for hub in hubs)]
    machine.neighbourhood = Neighbours(view(*others, hubs=seen))
    machine.client.reconfigure()


async def states(machine):
    return {hub.host: hub.state for hub in await client_report.report_hubs(machine.client)}


@pytest.fixture
async def shown(connected):
    """Three hubs, and two clients who see all of it."""
    network = await connected()
    for name, other in (("alice", "bob"), ("bob", "alice")):
        show(network.clients[name], network.hubs.values(), peer(other))
    return network


async def test_a_file_of_a_hub_that_is_not_in_the_view_is_rejected_with_the_reason(network):
    h1, h2 = await network.add_hub("h1"), await network.add_hub("h2")
    alice = await network.add_client("alice")
    show(alice, [h1])
    await network.carry(h2, alice)
    await enrol(network, "alice", "h1")
    (rejected,) = alice.happened("psrd.rejected")

    assert f"the management server lists no hub {h2.address.id}" in rejected["reason"]
    assert {"h1": "up"} == await states(alice)
    assert any("/rejected/" in path for path in alice.disk.files())


async def test_keys_are_made_with_a_peer_of_the_view(shown):
    ((key_id, key),) = await shown.clients["alice"].client.generator.establish("bob")
    found = await shown.clients["bob"].client.recoverer.recover(key_id, peer="alice", uid=0)

    assert (key_id, key) == found[1]


@pytest.mark.parametrize("name, kind", [("h1", PeerExempt), ("carol", PeerOutOfReach)])
async def test_nothing_is_spent_on_a_peer_that_is_exempt_or_out_of_reach(shown, name, kind):
    alice = shown.clients["alice"]
    before = alice.client.desk.ledger.consumed
    asked = (
        lambda: alice.client.generator.establish(name),
        lambda: alice.client.recoverer.wait_next(name, uid=0),
        lambda: alice.client.recoverer.recover("e2bcb071-ca6a-8c66-bff2-d29ac3880000", peer=name, uid=0),
    )
    for ask in asked:
        with pytest.raises(kind):
            await ask()

    assert before == alice.client.desk.ledger.consumed


async def test_a_key_of_a_generator_that_is_out_of_reach_is_not_handed_over_even_if_nobody_named_it(shown):
    ((key_id, _),) = await shown.clients["alice"].client.generator.establish("bob")
    bob = shown.clients["bob"]
    show(bob, shown.hubs.values(), peer("carol"))
    with pytest.raises(PeerOutOfReach):
        await bob.client.recoverer.recover(key_id, peer=None, uid=0)
    show(bob, shown.hubs.values(), peer("alice"))

    assert "alice" == (await bob.client.recoverer.recover(key_id, peer=None, uid=0))[0]


async def test_a_hub_that_has_left_is_asked_nothing_and_what_lies_there_waits_for_its_return(shown):
    alice, hubs = shown.clients["alice"], list(shown.hubs.values())
    show(alice, hubs[:2], peer("bob"))
    show(shown.clients["bob"], hubs[:2], peer("alice"))
    straight, said = hubs[2].bend, []

    async def overhear(data):
        said.append(data)
        return data

    hubs[2].bend = overhear
    before = next_offsets(alice)
    await alice.client.generator.establish("bob")
    await trio.sleep(600)
    moved = {hub for hub, offset in next_offsets(alice).items() if offset != before[hub]}
    left = await states(alice)
    hubs[2].bend = straight
    show(alice, hubs, peer("bob"))
    await trio.sleep(60)

    assert {"h1": "up", "h2": "up", "h3": "left"} == left
    assert {hub.address.id for hub in hubs[:2]} == moved
    assert [] == said
    assert {"h1": "up", "h2": "up", "h3": "up"} == await states(alice)


def next_offsets(machine):
    """What is spent next at each hub."""
    desk = machine.client.desk
    return {block.hub: desk.ledger.next(block.id) for block in desk.holdings.live()}


async def test_a_view_that_turns_hubs_on_and_off_makes_a_client_spend_nothing(shown):
    alice, hubs = shown.clients["alice"], list(shown.hubs.values())
    before = alice.client.desk.ledger.consumed
    for turn in range(100):
        show(alice, hubs[: turn % 4], peer("bob"))
        await trio.sleep(7)

    assert before == alice.client.desk.ledger.consumed


async def test_too_few_hubs_in_the_view_is_a_fault_that_says_why(shown):
    alice = shown.clients["alice"]
    show(alice, list(shown.hubs.values())[:1], peer("bob"))
    found = await client_report.issues(alice.client)

    assert "left the management server does not list it as a hub" in found["hubs-unreachable"]
    assert "psrd-low" not in found


async def test_a_client_on_its_own_works_with_anybody(connected):
    network = await connected()
    alice = network.clients["alice"]

    assert alice.neighbourhood is ANYBODY
    assert {"h1": "up", "h2": "up", "h3": "up"} == await states(alice)
