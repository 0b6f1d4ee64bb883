"""A lane: nothing waits for company, what waits goes together, and a batch shares its fate."""

import pytest
import trio
import trio.testing

from qfagent.client.lane import Lane
from qfagent.errors import HubUnavailable


class Road:
    """Where a lane leads: what has arrived, and when it is answered."""

    def __init__(self, nursery, *, width=2, most=3):
        self.batches, self.gates = [], []
        self.lane = Lane(nursery, self.send, width=width, most=most)

    async def send(self, batch):
        self.batches.append(list(batch))
        self.gates.append(trio.Event())
        await self.gates[len(self.batches) - 1].wait()
        return [item * 10 for item in batch]

    async def open(self, *numbers):
        for number in numbers:
            self.gates[number].set()
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def road(nursery):
    return Road(nursery)


async def carry(road, nursery, *items):
    results = {}

    async def one(item):
        results[item] = await road.lane.carry(item)

    for item in items:
        nursery.start_soon(one, item)
        await trio.testing.wait_all_tasks_blocked()
    return results


async def test_while_a_place_is_free_an_item_goes_at_once(road, nursery):
    await carry(road, nursery, 1, 2)

    assert [[1], [2]] == road.batches
    nursery.cancel_scope.cancel()


async def test_what_waits_goes_together_when_a_place_is_free(road, nursery):
    await carry(road, nursery, 1, 2, 3, 4, 5, 6, 7)
    await road.open(0)
    assert [[1], [2], [3, 4, 5]] == road.batches
    await road.open(2)

    assert [[1], [2], [3, 4, 5], [6, 7]] == road.batches
    nursery.cancel_scope.cancel()


async def test_items_keep_their_order_and_get_their_own_results(road, nursery):
    results = await carry(road, nursery, 1, 2, 3, 4, 5)
    await road.open(0, 1)
    await road.open(2)

    assert {item: item * 10 for item in (1, 2, 3, 4, 5)} == results


async def test_an_error_reaches_every_item_of_its_batch_and_no_other(nursery):
    failed = []

    async def send(batch):
        await trio.lowlevel.checkpoint()
        if 2 in batch:
            raise HubUnavailable("gone")
        return batch

    lane, gate = Lane(nursery, send, width=1, most=2), trio.Event()

    async def one(item):
        try:
            assert item == await lane.carry(item)
        except HubUnavailable:
            failed.append(item)

    async with trio.open_nursery() as callers:
        for item in range(6):
            callers.start_soon(one, item)
    gate.set()

    assert 2 in failed
    assert len(failed) <= 2


async def test_after_an_error_the_lane_goes_on(nursery):
    async def send(batch):
        if batch == ["bad"]:
            raise HubUnavailable("gone")
        return batch

    lane = Lane(nursery, send, width=1, most=2)
    with pytest.raises(HubUnavailable):
        await lane.carry("bad")

    assert ["good"] * 3 == [await lane.carry("good") for _ in range(3)]


async def test_an_item_goes_on_when_its_caller_is_gone(road, nursery):
    with trio.move_on_after(0):
        await road.lane.carry(1)
    await trio.testing.wait_all_tasks_blocked()
    results = await carry(road, nursery, 2)
    await road.open(0, 1)

    assert [[1], [2]] == road.batches
    assert {2: 20} == results


async def test_places_are_given_back(road, nursery):
    for round_ in range(5):
        results = await carry(road, nursery, 1, 2)
        await road.open(2 * round_, 2 * round_ + 1)
        assert {1: 10, 2: 20} == results

    assert 0 == road.lane._under_way
