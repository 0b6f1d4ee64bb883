"""Somebody sets clocks: no key leaves twice for it."""

import pytest
import trio

from qfagent.errors import KeyGone
from qfagent.world import World, at_once

DAY = 86_400


async def start_with_clock_ahead(machine, *, seconds):
    network = machine.network
    machine.world = World(wall=lambda: network.wall() + seconds, random=network.random, in_thread=at_once)
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
