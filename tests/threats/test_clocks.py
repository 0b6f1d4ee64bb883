"""Somebody sets clocks: no key leaves twice for it."""

import pytest
import trio

from qfagent.errors import KeyGone, NotFound
from qfagent.world import World, at_once

DAY = 86_400


async def start_with_clock_ahead(machine, *, seconds):
    await start_by(machine, lambda: machine.network.wall() + seconds)


async def start_by(machine, wall):
    """Starts a machine anew that goes by this clock."""
    machine.world = World(wall=wall, random=machine.network.random, in_thread=at_once)
    await machine.crash()
    await machine.boot()
    await trio.sleep(60)


async def test_a_clock_that_was_ahead_for_a_minute_brings_no_key_back(connected):
    """Found by a mesh of ten clients (seed 2): hubs that were away get their shares when the others have done."""
    network = await connected(hubs=4)
    alice, bob = network.clients["alice"].client, network.clients["bob"]
    for late in ("h3", "h4"):
        await network.hubs[late].crash()
    [(key_id, key)] = await alice.generator.establish("bob")
    assert (key_id, key) == (await bob.client.recoverer.recover(key_id, peer="alice", uid=0))[1]

    for seconds in (30 * DAY, 0):
        await start_with_clock_ahead(bob, seconds=seconds)
    for late in ("h3", "h4"):
        await network.hubs[late].boot()
    await trio.sleep(600)

    with pytest.raises(KeyGone):
        await bob.client.recoverer.recover(key_id, peer="alice", uid=1)


async def test_with_a_clock_that_is_set_back_nothing_fetched_outlives_the_log_of_what_is_out(connected):
    """Shares went by the wall clock alone: after days, a key that was out could be rebuilt with no hub asked."""
    network, back = await connected(), [0]
    bob, hub = network.clients["bob"], network.hubs["h1"]
    await start_by(bob, lambda: network.wall() - back[0])
    [(first, _), _] = await network.clients["alice"].client.generator.establish("bob", count=2)
    await bob.client.recoverer.recover(first, peer="alice", uid=0)
    back[0] = 5 * DAY
    await trio.sleep(3 * DAY)
    before = hub.store.ledger.consumed

    with pytest.raises((KeyGone, NotFound)):
        await bob.client.recoverer.recover(first, peer="alice", uid=1)
    assert before < hub.store.ledger.consumed
