"""Two clients get the same keys through hubs, and each key once."""

from functools import partial

import pytest
import trio

from qfagent.client.commands import KeyAnswer, Keys, NewKey
from qfagent.dske import wire
from qfagent.errors import (
    BadRequest,
    FetchLimit,
    KeyGone,
    NotFound,
    PsrdExhausted,
    ThresholdMismatch,
    TooFewHubs,
)
from tests.conftest import enrol, within


async def test_a_key_that_one_end_establishes_the_other_recovers(connected):
    network = await connected()
    alice, bob = network.clients["alice"].client, network.clients["bob"].client

    [(key_id, key)] = await alice.generator.establish("bob")

    assert ("alice", (key_id, key)) == await bob.recoverer.recover(key_id, peer=None, uid=0)
    assert len(key) == 32


@pytest.mark.parametrize("count", [1, 2, 8, 64])
async def test_all_keys_of_a_secret_arrive_in_order(connected, count):
    network = await connected()
    keys = await network.clients["alice"].client.generator.establish("bob", count=count)

    assert keys == await network.clients["bob"].client.recoverer.wait_next("alice", uid=0)
    assert count == len({key.reveal() for _, key in keys})


async def test_single_keys_of_a_secret_cost_one_fetch(connected):
    network = await connected()
    keys = await network.clients["alice"].client.generator.establish("bob", count=8)
    bob = network.clients["bob"].client
    [(_, first)] = [await bob.recoverer.recover(keys[0][0], peer="alice", uid=0)]
    spent = bob.desk.ledger.consumed

    rest = [await bob.recoverer.recover(key_id, peer="alice", uid=0) for key_id, _ in keys[1:]]

    assert keys == [first, *(key for _, key in rest)]
    assert spent == bob.desk.ledger.consumed


async def test_what_waits_comes_oldest_first_and_each_call_the_next_one(connected):
    network = await connected()
    made = [await network.clients["alice"].client.generator.establish("bob") for _ in range(5)]
    bob = network.clients["bob"].client

    assert made == [await bob.recoverer.wait_next("alice", uid=0) for _ in made]
    with pytest.raises(NotFound):
        await bob.recoverer.wait_next("alice", uid=0)


async def test_callers_that_ask_for_what_waits_at_once_get_a_secret_each(connected):
    network = await connected()
    alice, bob = network.clients["alice"].client, network.clients["bob"].client
    made, got = [], []

    async def both():
        for _ in range(6):
            made.append(await alice.generator.establish("bob", count=2))
            got.append(await bob.recoverer.wait_next("alice", uid=0))

    async with trio.open_nursery() as callers:
        for _ in range(8):
            callers.start_soon(both)

    assert sorted(made, key=str) == sorted(got, key=str)


async def test_both_peers_generate_for_each_other(connected):
    network = await connected()
    alice, bob = network.clients["alice"].client, network.clients["bob"].client
    [(one, _)] = await alice.generator.establish("bob")
    [(two, key)] = await bob.generator.establish("alice")

    assert (await bob.recoverer.recover(one, peer=None, uid=0))[0] == "alice"
    assert await alice.recoverer.recover(two, peer=None, uid=0) == ("bob", (two, key))


async def test_a_key_leaves_once(connected):
    network = await connected()
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
    bob = network.clients["bob"].client
    await bob.recoverer.recover(key_id, peer=None, uid=1)

    with pytest.raises(KeyGone):
        await bob.recoverer.recover(key_id, peer=None, uid=2)


async def test_the_same_uid_may_ask_again_for_a_minute(connected):
    network = await connected()
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    bob = network.clients["bob"].client
    await bob.recoverer.recover(key_id, peer=None, uid=1)
    await trio.sleep(59)

    assert ("alice", (key_id, key)) == await bob.recoverer.recover(key_id, peer=None, uid=1)
    await trio.sleep(2)
    with pytest.raises(KeyGone):
        await bob.recoverer.recover(key_id, peer=None, uid=1)


async def test_the_generator_does_not_hand_its_own_key_out_again(connected):
    network = await connected()
    alice = network.clients["alice"].client
    [(key_id, _)] = await alice.generator.establish("bob")

    with pytest.raises(KeyGone):
        await alice.recoverer.recover(key_id, peer="alice", uid=0)


async def test_two_callers_at_once_never_get_the_same_key(connected):
    network = await connected()
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
    bob, got = network.clients["bob"].client, []

    async def call(uid):
        try:
            got.append(await bob.recoverer.recover(key_id, peer="alice", uid=uid))
        except KeyGone:
            got.append(None)

    async with trio.open_nursery() as nursery:
        for uid in range(8):
            nursery.start_soon(call, uid)

    assert [len([g for g in got if g]), got.count(None)] == [1, 7]


async def test_many_at_once_all_succeed(connected):
    network = await connected()
    alice, bob, same = network.clients["alice"].client, network.clients["bob"].client, []

    async def both():
        [(key_id, key)] = await alice.generator.establish("bob")
        same.append(await bob.recoverer.recover(key_id, peer="alice", uid=0) == ("alice", (key_id, key)))

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(both)

    assert same == [True] * 40


async def test_a_released_key_stays_released_across_power_loss(connected):
    network = await connected()
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
    bob = network.clients["bob"]
    await bob.client.recoverer.recover(key_id, peer="alice", uid=0)
    await bob.crash()
    await bob.boot()

    with pytest.raises(KeyGone):
        await bob.client.recoverer.recover(key_id, peer="alice", uid=0)


async def test_keys_that_were_not_handed_over_survive_power_loss(connected):
    network = await connected()
    keys = await network.clients["alice"].client.generator.establish("bob", count=3)
    bob = network.clients["bob"]
    await bob.client.recoverer.recover(keys[0][0], peer="alice", uid=0)
    await bob.crash()
    await bob.boot()

    assert keys[1:] == [(await bob.client.recoverer.recover(key_id, peer="alice", uid=0))[1] for key_id, _ in keys[1:]]


async def test_an_acknowledged_key_survives_power_loss_at_every_hub(connected):
    network = await connected()
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    for hub in network.hubs.values():
        await hub.crash()
        await hub.boot()

    assert (key_id, key) == (await network.clients["bob"].client.recoverer.recover(key_id, peer="alice", uid=0))[1]


async def test_a_key_nobody_made_is_not_found(connected):
    network = await connected()
    with pytest.raises(NotFound, match="no hub knows"):
        await network.clients["bob"].client.recoverer.recover("685d6b4b-c7b2-8711-901c-257774930000", peer=None, uid=0)


async def test_an_id_is_fetched_three_times_at_most(connected):
    network = await connected()
    bob = network.clients["bob"].client.recoverer
    for _ in range(3):
        with pytest.raises(NotFound):
            await bob.recover("685d6b4b-c7b2-8711-901c-257774930000", peer=None, uid=0)

    with pytest.raises(FetchLimit):
        await bob.recover("685d6b4b-c7b2-8711-901c-257774930001", peer=None, uid=0)


async def test_asking_in_vain_is_limited_to_sixty_times_an_hour(connected):
    network = await connected()
    bob = network.clients["bob"].client.recoverer
    for _ in range(60):
        with pytest.raises(NotFound):
            await bob.wait_next("alice", uid=0)

    with pytest.raises(FetchLimit):
        await bob.wait_next("alice", uid=0)
    await trio.sleep(3601)
    with pytest.raises(NotFound):
        await bob.wait_next("alice", uid=0)


@pytest.mark.parametrize(
    "peer, count", [("Bob", 1), ("", 1), ("pool-x", 1), ("alice", 1), ("bob", 0), ("bob", 65), ("bob\n", 1)]
)
async def test_nonsense_is_refused_before_anything_is_spent(connected, peer, count):
    network = await connected()
    alice = network.clients["alice"].client
    before = alice.desk.ledger.consumed

    with pytest.raises(BadRequest):
        await alice.generator.establish(peer, count=count)
    assert before == alice.desk.ledger.consumed


async def test_different_thresholds_at_the_two_ends_are_named_as_the_reason(network):
    for name in ("h1", "h2", "h3"):
        await network.add_hub(name)
    for name, k in (("alice", 2), ("bob", 3)):
        await network.add_client(name, f"shares_required = {k}")
        await enrol(network, name)
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")

    with pytest.raises(ThresholdMismatch, match="shares_required = 2, this agent has 3"):
        await network.clients["bob"].client.recoverer.recover(key_id, peer="alice", uid=0)
    assert network.clients["bob"].happened("key.mismatch")


async def test_a_peer_that_no_hub_knows_is_named_as_the_reason(connected):
    network = await connected()

    with pytest.raises(TooFewHubs, match="not registered with it"):
        await network.clients["alice"].client.generator.establish("carol")


async def test_without_psrd_the_error_says_so(network):
    await network.add_hub("h1")
    client = await network.add_client("alice")

    with pytest.raises(TooFewHubs, match="2 hubs are needed, 0 did their part"):
        await client.client.generator.establish("bob")


async def test_a_used_up_pad_is_named_as_the_reason(network):
    for name in ("h1", "h2"):
        await network.add_hub(name, "[hub.provisioner]\nuser_bytes = 1024\nserver_bytes = 4096")
    for name in ("alice", "bob"):
        await network.add_client(name)
        await enrol(network, name)
    alice, bob = network.clients["alice"].client, network.clients["bob"].client

    with pytest.raises(PsrdExhausted, match="is used up"):
        for _ in range(20):
            [(key_id, _)] = await alice.generator.establish("bob")
            await bob.recoverer.recover(key_id, peer=None, uid=0)


async def test_it_costs_96_bytes_of_each_pad_and_hub(connected):
    network = await connected()
    alice, bob = network.clients["alice"].client, network.clients["bob"].client
    hubs = [hub.hub.books.ledger for hub in network.hubs.values()]
    before = [ledger.consumed for ledger in (alice.desk.ledger, bob.desk.ledger, *hubs)]
    for _ in range(10):
        [(key_id, _)] = await alice.generator.establish("bob")
        await bob.recoverer.recover(key_id, peer=None, uid=0)
    after = [ledger.consumed for ledger in (alice.desk.ledger, bob.desk.ledger, *hubs)]

    # generator 96 user bytes, recoverer 32, each at 3 hubs; a hub 32 to the generator and 96 to the recoverer
    assert [b - a for a, b in zip(before, after, strict=True)] == [96 * 30, 32 * 30, 1280, 1280, 1280]


async def test_a_client_works_as_soon_as_k_hubs_have_registered_it(connected):
    network = await connected(hubs=2)
    late = await network.add_hub("h3")
    late.reachable = False
    for name in ("alice", "bob"):
        await network.carry(late, network.clients[name])
    async with within(1):
        [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
        assert (key_id, key) == (await network.clients["bob"].client.recoverer.recover(key_id, peer=None, uid=0))[1]


async def test_two_callers_at_once_each_get_their_own_key_of_a_secret(connected):
    network = await connected()
    bob, got = network.clients["bob"].client, []

    async def call(key_id, key):
        got.append((await bob.recoverer.recover(key_id, peer="alice", uid=0))[1] == (key_id, key))

    for _ in range(10):
        async with trio.open_nursery() as callers:
            for key_id, key in await network.clients["alice"].client.generator.establish("bob", count=2):
                callers.start_soon(call, key_id, key)

    assert [True] * 20 == got


def test_an_answer_with_a_key_does_not_show_it():
    answers = [NewKey("one", b"secret"), KeyAnswer("one", b"secret", "alice"), Keys((NewKey("one", b"secret"),))]

    assert not any("secret" in repr(answer) for answer in answers)


@pytest.mark.parametrize("peer", ["alice", None])
async def test_a_share_that_comes_when_its_key_is_out_leaves_no_byte_of_pad_behind(connected, peer):
    network = await connected(hubs=5)
    for number, hub in enumerate(network.hubs.values()):
        hub.bend = partial(_after, number / 10)
    bob = network.clients["bob"]
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
    await trio.sleep(5)

    await bob.client.recoverer.recover(key_id, peer=peer, uid=0)
    await trio.sleep(5)

    for hub in network.hubs.values():
        [(block, start, size)] = hub.store.database.rows("SELECT block, start, 32 * m + 32 FROM shares")
        at = bob.client.desk.ledger.facts(block).user_bytes + start
        assert bytes(size) == bob.disk.files()[f"{bob.config.private}/pads/{block}"][at : at + size]
        assert 0 == bob.client.desk.keys.wraps_under(block)


async def test_a_key_under_a_block_that_is_used_up_is_in_reach_however_many_wait(connected, monkeypatch):
    monkeypatch.setattr(wire, "MAX_ENTRIES", 2)
    network = await connected(hubs=2)
    for _ in range(3):
        await enrol(network, "bob")
    bob = network.clients["bob"].client
    with pytest.raises(NotFound):  # under the oldest block, which the hubs wrap under from now on
        await bob.recoverer.wait_next("alice", uid=0)
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    for hub in bob.hubs():
        await bob.desk.committer.run(partial(_use_up, bob.desk, bob.desk.holdings.ready(hub.id)[0].id))

    assert ("alice", (key_id, key)) == await bob.recoverer.recover(key_id, peer="alice", uid=0)


def _use_up(desk, block):
    desk.ledger.take(block, desk.ledger.room(block))


async def _after(seconds, data):
    await trio.sleep(seconds)
    return data
