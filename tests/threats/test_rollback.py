"""Machines that were restored, reverted or cloned, and disks that lied: found out, stopped, and not reused."""

import binascii
import copy

import pytest
import trio

from qfagent.errors import HubStopped, NothingChanged, StoreError, StoreFenced, TooFewHubs
from qfagent.testing.disk import MemoryDisk
from tests.conftest import enrol


def snapshot(machine):
    """What a backup of the whole disk would hold."""
    return {path: bytes(data) for path, data in machine.disk.files().items() if not path.endswith("/lock")}


async def restore(machine, files):
    """Turns the machine's disk back to a snapshot, and starts it again."""
    await machine.crash()
    before, machine.disk = machine.disk, MemoryDisk(99)
    before.close()
    put(machine.disk, files)
    await machine.boot()


def put(disk, files):
    for path, data in files.items():
        disk.make_dir(path.rpartition("/")[0], 0o700)
        file = disk.create(path, len(data))
        file.write_at(0, data)
        file.sync()
        disk.sync_dir(path.rpartition("/")[0])


def wrapped(hub):
    """Where the shares at a hub lie in their recoverers' pads, and what they look like under them."""
    return hub.store.database.rows("SELECT start, share FROM shares WHERE share IS NOT NULL")


async def keys(network, count):
    for _ in range(count):
        [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
        await network.clients["bob"].client.recoverer.recover(key_id, peer="alice", uid=0)


async def claim_to_have_seen_more(data):
    """What becomes of an answer about a block, which nobody authenticates."""
    if b"user_seen" not in data:
        return data
    body = b'{"user_seen":99999,"registered":true,"retired":false}'
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def rolled_back_client(connected, **how):
    network = await connected(**how)
    await keys(network, 2)
    files = snapshot(network.clients["alice"])
    await keys(network, 20)
    await restore(network.clients["alice"], files)
    return network


async def test_a_restored_client_spends_nothing(connected):
    network = await rolled_back_client(connected)

    with pytest.raises((TooFewHubs, HubStopped), match=r"seen more|rolled back"):
        await network.clients["alice"].client.generator.establish("bob")
    assert 0 == network.clients["alice"].client.desk.ledger.consumed


async def test_a_restored_client_raises_an_alarm_at_every_hub(connected):
    network = await rolled_back_client(connected)
    with pytest.raises((TooFewHubs, HubStopped)):
        await network.clients["alice"].client.generator.establish("bob")

    assert "rolled-back" in [event["code"] for event in network.clients["alice"].happened("hub.stopped")]


async def test_a_stop_is_durable_when_hubs_have_kept_saying_so_for_ten_minutes(connected):
    network = await rolled_back_client(connected)
    alice = network.clients["alice"]
    with pytest.raises((TooFewHubs, HubStopped)):
        await alice.client.generator.establish("bob")
    await trio.sleep(1800)
    await alice.crash()
    await alice.boot()

    assert "stopped" in {level.state for level in alice.client.desk.holdings.levels()}
    with pytest.raises((TooFewHubs, HubStopped)):
        await alice.client.generator.establish("bob")


async def test_a_hub_that_lies_about_how_far_it_has_seen_stops_itself_only_and_not_for_good(connected):
    network = await connected()
    hub, alice = network.hubs["h1"], network.clients["alice"]
    await alice.crash()
    await alice.boot()
    straight, hub.bend = hub.bend, claim_to_have_seen_more
    await keys(network, 3)
    await trio.sleep(30)
    stopped = len(alice.happened("hub.stopped"))
    hub.bend = straight
    await trio.sleep(400)

    assert (1, 1) == (stopped, len(alice.happened("hub.resumed")))
    await keys(network, 1)


async def test_a_client_that_is_stopped_lives_on_when_its_store_fails(connected):
    """Before, the wish to keep the stop for good ended the agent."""
    network = await connected()
    hub, alice = network.hubs["h1"], network.clients["alice"]
    await alice.crash()
    await alice.boot()
    hub.bend = claim_to_have_seen_more
    await keys(network, 1)
    await trio.sleep(5)
    assert 1 == len(alice.happened("hub.stopped"))
    alice.store.stop(StoreError("a failed sync"))
    await trio.sleep(1200)

    with pytest.raises((TooFewHubs, StoreError)):
        await alice.client.generator.establish("bob")


async def test_a_client_that_meets_erased_bytes_of_its_own_is_fenced_and_lives_on(connected):
    """Before, the alarm passed through whoever carried a request, and ended the agent instead of stopping it."""
    network = await connected()
    alice = network.clients["alice"]
    for level in alice.client.desk.holdings.levels():
        file = alice.disk.open(f"{alice.config.private}/pads/{level.id}")
        file.write_at(2048, bytes(level.user_bytes - 2112))
    with pytest.raises((TooFewHubs, StoreError)):
        await keys(network, 20)
    await trio.sleep(60)

    assert alice.store.failed
    assert "reused-span" == alice.store.fence.reason.code


async def test_the_operator_lifts_a_stop_and_nothing_is_spent_twice(connected):
    network = await rolled_back_client(connected)
    alice = network.clients["alice"]
    with pytest.raises((TooFewHubs, HubStopped)):
        await alice.client.generator.establish("bob")
    await trio.sleep(2000)
    stopped = [level for level in alice.client.desk.holdings.levels() if level.state == "stopped"]
    evidence = {level.id: alice.client.desk.holdings.get(level.id).evidence for level in stopped}
    for level in stopped:
        await alice.client.resume(level.id)

    assert all(alice.client.desk.ledger.next(block) >= seen for block, seen in evidence.items())
    assert evidence


# --- proofs, which are spent from the end of a block


async def proofs(network, name="alice"):
    """How many bytes for proofs are spent of each of a client's blocks at the first hub, oldest first."""
    desk = network.clients[name].client.desk
    return [holding.proofs for holding in desk.holdings.at(network.hubs["h1"].address.id, "new", "ready", "stopped")]


async def proven_and_restored(connected, spent):
    """A block has vouched for a file and been spent from; then the machine is set back to before that."""
    network = await connected()
    alice = network.clients["alice"]
    files = snapshot(alice)
    await keys(network, spent)
    await enrol(network, "alice", "h1")
    await restore(alice, files)
    return network


@pytest.mark.parametrize("spent", [0, 20])
async def test_a_restored_client_proves_nothing_with_bytes_that_have_proven_something_else(connected, spent):
    network = await proven_and_restored(connected, spent)
    alice = network.clients["alice"]
    await network.carry(network.hubs["h1"], alice)
    await trio.sleep(30)

    assert [0, 0] == await proofs(network)
    assert ["rolled-back"] == [event["code"] for event in alice.happened("hub.stopped")]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_block_that_was_resumed_proves_nothing_any_more(connected, durable):
    network = await proven_and_restored(connected, 0)
    hub, alice = network.hubs["h1"].address.id, network.clients["alice"]
    await keys(network, 1)
    await trio.sleep(2000 if durable else 1)
    [block] = alice.client.desk.holdings.at(hub, "stopped" if durable else "ready")
    await alice.client.resume(block.id)
    await network.carry(network.hubs["h1"], alice)
    await trio.sleep(30)

    assert [64, 0] == await proofs(network)
    assert {"proof-required"} == {event["code"] for event in alice.happened("psrd.not-registered")}


async def test_a_block_that_its_hub_has_retired_is_not_waited_for_to_prove_something(connected):
    network = await connected()
    hub, alice = network.hubs["h1"], network.clients["alice"]
    [block] = alice.client.desk.holdings.at(hub.address.id, "ready")
    hub.store.run(lambda: hub.hub.books.deposits.retire(block.id, reason="test"))
    await alice.crash()
    await alice.boot()
    await network.carry(hub, alice)
    await trio.sleep(30)

    assert "name-taken" in [event["code"] for event in alice.happened("psrd.not-registered")]


async def test_what_is_not_stopped_can_not_be_resumed(connected):
    network = await connected(hubs=2)
    alice = network.clients["alice"].client

    with pytest.raises(NothingChanged):
        await alice.resume(alice.desk.holdings.levels()[0].id)


async def test_a_restored_hub_retires_the_blocks_that_clients_have_seen_further(connected):
    network = await connected()
    files = snapshot(network.hubs["h1"])
    await keys(network, 5)
    await restore(network.hubs["h1"], files)
    await keys(network, 3)

    retired = {event["block"] for event in network.hubs["h1"].happened("block.retired")}
    assert 2 == len(retired)


async def test_a_share_under_a_rolled_back_block_never_leaves(connected):
    """The hub is restored to before it wrapped a share; then it wraps another under the same bytes."""
    network = await connected()
    hub, alice, bob = network.hubs["h1"], network.clients["alice"].client, network.clients["bob"].client
    carol = (await network.add_client("carol")).client  # the hub has seen nothing of her since the snapshot
    await enrol(network, "carol")
    files = snapshot(hub)
    [(key_id, _)] = await alice.generator.establish("bob")
    await trio.sleep(1)  # the third share is under way when k have arrived
    [(start, first)] = wrapped(hub)
    await bob.recoverer.recover(key_id, peer="alice", uid=0)
    await restore(hub, files)
    [(key_id, key)] = await carol.generator.establish("bob")
    await trio.sleep(1)
    [(again, second)] = wrapped(hub)
    left = []

    async def overhear(data):
        left.append(data)
        return data

    hub.bend = overhear
    recovered = await bob.recoverer.recover(key_id, peer="carol", uid=0)
    await trio.sleep(1)

    assert (start, True) == (again, first != second)
    assert (key_id, key) == recovered[1]
    assert b"errors/retired" in b"".join(left)
    assert binascii.b2a_base64(second, newline=False) not in b"".join(left)
    assert [] == wrapped(hub)


async def test_a_store_on_another_machine_opens_fenced(connected):
    network = await connected(hubs=2)
    clone = copy.copy(network.clients["alice"])
    files = snapshot(network.clients["alice"])
    await network.clients["alice"].crash()
    clone.name, clone.disk, clone._life = "another-machine", MemoryDisk(5), trio.CancelScope()
    network.machines.append(clone)
    put(clone.disk, files)
    await clone.boot()

    assert "moved-machine" == clone.store.fence.reason.code
    with pytest.raises(StoreFenced):
        await clone.client.generator.establish("bob")


async def test_a_clone_on_the_same_machine_id_is_stopped_by_what_the_hubs_have_seen(connected):
    network = await connected()
    files = snapshot(network.clients["alice"])
    await keys(network, 20)
    await restore(network.clients["alice"], files)  # the clone: same id, older marks, while the first has gone on

    with pytest.raises((TooFewHubs, HubStopped)):
        await network.clients["alice"].client.generator.establish("bob")


async def test_a_clone_that_runs_at_the_same_time_is_found_out_at_the_first_byte_that_both_have_spent(connected):
    """Both have asked about their blocks long before: `pad-spent` makes the second ask again, and stop."""
    network = await connected()
    alice, clone = network.clients["alice"], copy.copy(network.clients["alice"])
    files = snapshot(alice)
    clone.disk, clone.events, clone._life = MemoryDisk(5), [], trio.CancelScope()
    network.machines.append(clone)
    put(clone.disk, files)
    await clone.boot()
    for _ in range(10):
        await clone.client.generator.establish("bob")
    with pytest.raises((TooFewHubs, HubStopped)):
        await keys(network, 20)
    await trio.sleep(5)

    stops = alice.happened("hub.stopped")
    assert {"rolled-back"} == {event["code"] for event in stops}
    assert 2 <= len({event["hub"] for event in stops})  # as many as a key needs: nothing is spent anywhere
    assert not clone.happened("hub.stopped")
