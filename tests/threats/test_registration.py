"""Who may speak under which name: files that were copied, names that are taken, proofs that are wanting."""

import pytest
import trio

from qfagent.dske import psrd
from qfagent.errors import NothingChanged, TooFewHubs
from tests.conftest import enrol


async def settle(seconds=5):
    await trio.sleep(seconds)


def refusals(client):
    return [event["code"] for event in client.happened("psrd.not-registered")]


async def test_a_further_pool_file_joins_its_peer_by_proof(connected):
    network = await connected()
    before = await network.hubs["h1"].hub.registry.listing()
    await enrol(network, "alice", "h1")

    [alice] = [c for c in await network.hubs["h1"].hub.registry.listing() if c.peer == "alice"]
    assert 2 == alice.blocks
    assert alice.id in [c.id for c in before]
    assert 2 == len(network.clients["alice"].client.desk.holdings.at(network.hubs["h1"].address.id, "ready"))


async def test_a_name_that_another_client_holds_needs_a_proof(connected):
    network = await connected(hubs=2)
    mallory = await network.add_client("mallory")
    mallory.config = network.clients["alice"].config
    await mallory.crash()
    await mallory.boot()
    await network.carry(network.hubs["h1"], mallory)
    await settle()

    assert ["proof-required"] == refusals(mallory)[:1]
    assert not mallory.happened("psrd.registered")


async def test_a_name_whose_client_holds_no_block_is_taken(connected):
    network = await connected(hubs=2)
    await network.hubs["h1"].hub.registry.add("carol")
    carol = await network.add_client("carol")
    await network.carry(network.hubs["h1"], carol)
    await settle()

    assert ["name-taken"] == refusals(carol)[:1]


async def test_a_file_assigned_to_a_name_needs_no_proof(connected):
    network = await connected(hubs=2)
    [alice] = [c for c in await network.hubs["h1"].hub.registry.listing() if c.peer == "alice"]
    data = await network.hubs["h1"].hub.registry.assign(alice.id, user_bytes=4096, server_bytes=2048, first=False)
    network.clients["alice"].drop("assigned.json", data)
    await settle()

    assert 3 == len(network.clients["alice"].happened("psrd.registered"))
    assert ("alice", 4096, 2048) == (psrd.decode(data).name, len(psrd.decode(data).user), len(psrd.decode(data).server))


async def test_a_file_assigned_to_another_name_is_rejected_before_anything_of_it_is_kept(connected):
    network = await connected(hubs=2)
    added = await network.hubs["h1"].hub.registry.add("carol")
    data = await network.hubs["h1"].hub.registry.assign(added.id, user_bytes=1024, server_bytes=1024, first=True)
    alice = network.clients["alice"]
    alice.drop("carol.json", data)
    await settle()

    assert "expected alice or a pool name, got carol" in alice.happened("psrd.rejected")[0]["reason"]
    assert not any(psrd.decode(data).id in path for path in alice.disk.files())


async def test_first_refuses_a_client_that_has_had_psrd(connected):
    network = await connected(hubs=2)
    [alice] = [c for c in await network.hubs["h1"].hub.registry.listing() if c.peer == "alice"]

    with pytest.raises(NothingChanged):
        await network.hubs["h1"].hub.registry.assign(alice.id, user_bytes=1024, server_bytes=1024, first=True)


async def test_of_two_peers_with_the_same_file_one_registers_and_the_other_stops_it(network):
    hub = await network.add_hub("h1")
    for name in ("alice", "mallory"):
        await network.add_client(name)
    data = await network.carry(hub, network.clients["alice"])
    await settle()
    network.clients["mallory"].drop("copy.json", data)
    await settle()

    assert network.clients["alice"].happened("psrd.registered")
    assert ["file-in-use"] == [event["code"] for event in network.clients["mallory"].happened("block.stopped")]


def level_of(client, data):
    """State and reason of a file's block."""
    [level] = [level for level in client.client.desk.holdings.history() if level.id == psrd.decode(data).id]
    return level.state, level.reason


def forging(straight, seen):
    """A wire on which somebody else answers how far blocks are seen."""

    async def bend(data):
        if b"user_seen" not in data:
            return await straight(data)
        body = b'{"user_seen":%d,"registered":false,"retired":false}' % seen
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    return bend


async def test_a_copied_file_is_retired_when_the_hub_says_under_a_tag_that_it_is_somebody_elses(network):
    hub = await network.add_hub("h1")
    for name in ("alice", "mallory"):
        await network.add_client(name)
    data = await network.carry(hub, network.clients["alice"])
    await settle()
    hub.bend = forging(hub.bend, 32)
    network.clients["mallory"].drop("copy.json", data)
    await settle(60)

    assert ("retired", "file-in-use") == level_of(network.clients["mallory"], data)


async def test_a_forged_answer_about_a_fresh_file_destroys_nothing(network):
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")
    straight = hub.bend
    hub.bend = forging(straight, 99_999)
    data = await network.carry(hub, alice)
    await settle()
    assert (("new", ""), 0) == (level_of(alice, data), alice.client.desk.ledger.consumed)
    hub.bend = straight
    await settle(60)

    assert ("ready", "") == level_of(alice, data)
    assert [1, 1, 0] == [len(alice.happened(f"block.{what}")) for what in ("stopped", "resumed", "retired")]


async def stopped_for_good(connected):
    """A third file of alice's, of which its hub says for more than ten minutes that it is in use."""
    network = await connected(hubs=2)
    hub, alice = network.hubs["h1"], network.clients["alice"]
    straight = hub.bend
    hub.bend = forging(straight, 4_096)
    data = await network.carry(hub, alice)
    await settle(7_200)
    hub.bend = straight
    return network, alice, data


async def test_when_a_hub_has_kept_saying_so_for_ten_minutes_a_file_is_stopped_for_good_and_its_hub_is_not(connected):
    _, alice, data = await stopped_for_good(connected)
    await alice.crash()
    await alice.boot()
    await settle(60)

    assert ("stopped", "file-in-use") == level_of(alice, data)
    assert await alice.client.generator.establish("bob")


async def test_the_operator_lifts_the_stop_of_a_file_and_it_registers_behind_what_the_hub_had_seen(connected):
    _, alice, data = await stopped_for_good(connected)
    block = psrd.decode(data).id
    await alice.client.resume(block)
    await settle(60)

    assert ("ready", "") == level_of(alice, data)
    assert 4_096 + 32 == alice.client.desk.ledger.next(block)


async def test_a_lost_answer_costs_a_register_again_and_no_second_proof(connected):
    network = await connected(hubs=2)
    hub, alice = network.hubs["h1"], network.clients["alice"]
    straight = hub.bend

    async def lose(data):
        return b"" if b"username" in data else data

    hub.bend = lose
    await network.carry(hub, alice)
    await settle(2)
    hub.bend = straight
    await settle(60)
    proofs = [holding.proofs for holding in alice.client.desk.holdings.at(hub.address.id, "ready")]

    assert 3 == len(alice.happened("psrd.registered"))
    assert [32, 0] == proofs


async def test_with_manual_binding_nobody_comes_in_without_approval(network):
    hub = await network.add_hub("h1", 'binding = "manual"')
    alice = await network.add_client("alice")
    await network.carry(hub, alice)
    await settle()
    [waiting] = [client for client in await hub.hub.registry.listing() if client.state == "waiting"]

    assert ["binding-refused"] == refusals(alice)
    assert "alice" == waiting.wanted
    assert not alice.happened("psrd.registered")


async def test_an_approved_registration_goes_through(network):
    hub = await network.add_hub("h1", 'binding = "manual"')
    alice = await network.add_client("alice")
    await network.carry(hub, alice)
    await settle()
    [waiting] = [client for client in await hub.hub.registry.listing() if client.state == "waiting"]
    await hub.hub.registry.approve(waiting.id)
    await settle(7200)

    assert alice.happened("psrd.registered")
    assert "bound" == next(c.state for c in await hub.hub.registry.listing() if c.id == waiting.id)


async def test_waiting_for_approval_costs_no_psrd(network):
    hub = await network.add_hub("h1", 'binding = "manual"')
    alice = await network.add_client("alice")
    await network.carry(hub, alice)
    await settle()
    spent = alice.client.desk.ledger.consumed
    await settle(86_400)

    assert spent == alice.client.desk.ledger.consumed


async def test_the_operator_approves_the_name_that_they_saw_and_no_other(network):
    """The file's holder takes another name as soon as the operator has looked."""
    hub = await network.add_hub("h1", 'binding = "manual"')
    mallory = await network.add_client("bob")
    await network.carry(hub, mallory)
    await settle()
    [seen] = [client for client in await hub.hub.registry.listing() if client.state == "waiting"]
    await mallory.crash()
    mallory.config = (await network.add_client("alice")).config
    await mallory.boot()
    await settle()
    await hub.hub.registry.approve(seen.id)
    await settle(7200)

    assert "bob" == seen.wanted
    assert ["bob"] == [client.peer for client in await hub.hub.registry.listing() if client.peer is not None]
    assert not mallory.happened("psrd.registered")


async def test_what_a_hub_refuses_for_good_costs_little(connected):
    network = await connected(hubs=2)
    await network.hubs["h1"].hub.registry.add("carol")
    carol = await network.add_client("carol")
    await network.carry(network.hubs["h1"], carol)
    await settle(86_400)

    assert carol.client.desk.ledger.consumed < 32 * 80


async def test_a_removed_client_is_told_to_use_other_hubs(connected):
    network = await connected()
    [alice] = [c for c in await network.hubs["h1"].hub.registry.listing() if c.peer == "alice"]
    await network.hubs["h1"].hub.registry.remove(alice.id)
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    await settle(60)
    [(second, _)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == (await network.clients["bob"].client.recoverer.recover(key_id, peer="alice", uid=0))[1]
    assert second != key_id
    assert "retired" in [event["code"] for event in network.clients["alice"].happened("block.doubted")]


async def test_a_removed_client_leaves_no_bytes_at_the_hub(connected):
    network = await connected(hubs=2)
    hub = network.hubs["h1"]
    [alice] = [c for c in await hub.hub.registry.listing() if c.peer == "alice"]
    [block] = hub.hub.books.clients.blocks(alice.id)
    await hub.hub.registry.remove(alice.id)

    assert not any(block in path for path in hub.disk.files())
    assert alice.id not in [client.id for client in await hub.hub.registry.listing()]


async def test_a_peer_that_was_removed_enrols_anew_with_a_new_file(connected):
    network = await connected(hubs=2)
    hub = network.hubs["h1"]
    [known] = [c for c in await hub.hub.registry.listing() if c.peer == "alice"]
    await hub.hub.registry.remove(known.id)
    await enrol(network, "alice", "h1")

    assert 1 == len([c for c in await hub.hub.registry.listing() if c.peer == "alice"])


async def test_a_hub_is_pinned_by_its_first_file(connected):
    network = await connected(hubs=2)
    genuine = psrd.decode(await network.hubs["h1"].hub.provisioner.take())
    moved = psrd.Block(
        psrd.HubAddress(genuine.hub.id, "elsewhere", 27277),
        genuine.client_id,
        genuine.name,
        genuine.user,
        genuine.server,
    )
    network.clients["alice"].drop("moved.json", psrd.encode(moved))
    await settle()

    assert "hub-mismatch" in network.clients["alice"].happened("psrd.rejected")[0]["reason"]


async def test_another_hub_at_a_pinned_address_is_refused(connected):
    network = await connected(hubs=2)
    genuine = psrd.decode(await network.hubs["h1"].hub.provisioner.take())
    other = psrd.Block(
        psrd.HubAddress("f" * 32, "h1", 27277), genuine.client_id, genuine.name, genuine.user, genuine.server
    )
    network.clients["alice"].drop("other.json", psrd.encode(other))
    await settle()

    assert "hub-mismatch" in network.clients["alice"].happened("psrd.rejected")[0]["reason"]


async def test_only_listed_hubs_are_accepted(network):
    hub = await network.add_hub("h1")
    alice = await network.add_client("alice", f'hubs = ["{"a" * 32}"]')
    await network.carry(hub, alice)
    await settle()

    assert "not in client.hubs" in alice.happened("psrd.rejected")[0]["reason"]


async def test_a_moved_hub_is_followed_when_the_operator_says_so(connected):
    network = await connected()
    hub = network.hubs.pop("h1")
    network.hubs["new-home"] = hub
    for name in ("alice", "bob"):
        await network.clients[name].client.move(psrd.HubAddress(hub.address.id, "new-home", 27277))
    network.hubs["h2"].reachable = False
    await settle()
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == (await network.clients["bob"].client.recoverer.recover(key_id, peer=None, uid=0))[1]


async def test_another_hub_answering_at_the_address_is_not_spoken_to(connected):
    network = await connected(hubs=2)
    network.hubs["h1"], network.hubs["h2"] = network.hubs["h2"], network.hubs["h1"]
    for machine in network.clients.values():
        await machine.crash()
        await machine.boot()
    await settle(60)

    with pytest.raises(TooFewHubs, match="another hub"):
        await network.clients["alice"].client.generator.establish("bob")
