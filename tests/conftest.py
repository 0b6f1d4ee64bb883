"""What tests of the whole conversation start from: a network in one process, on a clock that jumps."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import settings

from qfagent.testing.liar import LyingHub
from qfagent.testing.network import Network

settings.register_profile("patient", deadline=None)  # a machine that is busy fails no test
settings.load_profile("patient")


def pytest_collection_modifyitems(items):
    """Whoever uses the network, or says so, runs on a clock that jumps: its sleeps take no time."""
    for item in items:
        said = [mark.kwargs["run"] for mark in item.iter_markers("trio") if "run" in mark.kwargs]
        if "network" in getattr(item, "fixturenames", ()):
            said = [on_a_clock_that_jumps]
        if said:  # in front of what trio's mode adds, which knows of no clock
            item.add_marker(pytest.mark.trio(run=said[0]), append=False)


def on_a_clock_that_jumps(main, *, clock=None, instruments=()):
    return trio.run(main, clock=clock or trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


@pytest.fixture
async def network(nursery):
    made = Network(nursery)
    yield made
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):  # whatever is under way ends before its disk does
        await trio.testing.wait_all_tasks_blocked()
    made.close()


@pytest.fixture
def connected(network):
    """Builds `hubs` hubs, h1 .., and two clients, alice and bob, who are registered with all of them."""

    async def build(hubs=3, settings="", kind=LyingHub):
        for number in range(1, hubs + 1):
            await network.add_hub(f"h{number}", kind=kind)
        for name in ("alice", "bob"):
            await network.add_client(name, settings)
            await enrol(network, name)
        return network

    return build


async def enrol(network, name, *hubs):
    """Carries a file from each of the hubs (all, if none is named) to a client, and waits until it is registered."""
    client = network.clients[name]
    for hub in hubs or network.hubs:
        before = len(client.happened("psrd.registered"))
        await network.carry(network.hubs[hub], client)
        with trio.fail_after(60):
            while len(client.happened("psrd.registered")) == before:
                await trio.sleep(0.1)


@asynccontextmanager
async def within(seconds):
    """The block takes at most so long, by the clock of the test."""
    began = trio.current_time()
    yield
    assert trio.current_time() - began <= seconds
