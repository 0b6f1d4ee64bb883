"""The overview: a line for each peer, names for hub ids, and news for who waits."""

import pytest
import trio

from tests.conftest import on_a_clock_that_jumps
from tests.management.desks import Desk, by_name
from tests.management.test_agents import LEVELS


async def test_it_has_a_line_for_each_peer_with_what_was_decided_and_what_it_reports():
    desk = Desk()
    alice, hub = await desk.enrol("alice", "h1")
    await desk.told("POST", "/api/groups", {"name": "lab", "peers": [alice["id"], hub["id"]]})
    await desk.mark(hub)
    await desk.report(hub, role="hub", hub=LEVELS)
    overview = await desk.get("/api/overview")
    names = ("role", "runs_as", "exempt", "connected", "groups", "reaches", "hub")
    lines = {line["name"]: tuple(line[name] for name in names) for line in overview["peers"]}

    assert {
        "alice": ("client", "", False, False, ["lab"], 1, None),
        "h1": ("hub", "hub", True, True, ["DSKE Security Hubs", "lab"], 1, LEVELS),
    } == lines
    assert {"a" * 32: "h1"} == overview["hub_names"]


async def answered_after(desk, target, act):
    """The answer, and the seconds until it came; after one second something happens."""
    answers = []

    async def wait():
        answers.append((await desk.get(target), trio.current_time()))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        await act()
    ((answer, ended),) = answers
    return answer, round(ended - began)


async def nothing():
    pass


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_who_waits_for_the_next_gets_it_when_a_peer_reports_or_something_was_decided():
    desk = Desk()
    (alice,) = await desk.enrol("alice")
    known = (await desk.get("/api/overview"))["version"]
    reported, first = await answered_after(desk, f"/api/overview?known={known}&wait=30", lambda: desk.report(alice))
    known = reported["version"]
    marked, second = await answered_after(desk, f"/api/overview?known={known}&wait=30", lambda: desk.mark(alice))

    assert (1, 1) == (first, second)
    assert ("client", "hub") == tuple(by_name(answer["peers"], "alice")["role"] for answer in (reported, marked))


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_silence_is_news_when_the_wait_is_over():
    desk = Desk()
    known = (await desk.get("/api/overview"))["version"]
    answer, seconds = await answered_after(desk, f"/api/overview?known={known}&wait=30", nothing)

    assert (known, 30) == (answer["version"], seconds)


async def test_peers_are_found_by_a_part_of_the_name_or_by_the_address():
    desk = Desk()
    alice, *_ = await desk.enrol("alice", "bob", "alicia")
    await desk.told("PUT", f"/api/peers/{alice['id']}", {"ip": "100.64.0.77"})
    found = [await desk.get(f"/api/peers?{query}") for query in ("name=ali", "ip=100.64.0.77", "ip=100.64.0.7")]

    assert [["alice", "alicia"], ["alice"], []] == [[peer["name"] for peer in peers] for peers in found]
