"""What agents are told: enrolment, views by long poll, reports."""

import pytest
import trio

from tests.conftest import on_a_clock_that_jumps
from tests.management.desks import Desk, wish
from tests.management.servers import serving

REPORT = {"name": "h1", "role": "hub", "version": "1"}
LEVELS = {
    "id": "a" * 32,
    "address": "100.64.0.1:27277",
    "pool_files": 5,
    "pool_target": 5,
    "handed_out": 0,
    "clients_bound": 1,
    "clients_unbound": 0,
    "shares": 0,
}


async def test_a_machine_with_a_setup_key_becomes_a_peer_and_sees_the_network():
    async with serving() as server:
        alice, bob = await server.enrol("alice", "bob")
        view = await server.get("/agent/v1/view", token=alice["token"])

    own = {"id": alice["id"], "name": "alice", "address": "127.0.0.1", "role": "client", "exempt": False}
    assert own == view["peer"]
    assert {alice["id"], bob["id"]} == {peer["id"] for peer in view["peers"]}
    assert (2, [], [], "") == (view["shares_required"], view["hubs"], view["gone"], view["since"])


async def test_who_waits_is_told_at_once_that_a_peer_is_a_hub():
    async with serving() as server:
        alice, hub = await server.enrol("alice", "h1")
        before = await server.get("/agent/v1/view", token=alice["token"])
        told = []

        async def wait():
            target = f"/agent/v1/view?known={before['version']}&wait=60"
            told.append(await server.get(target, token=alice["token"]))

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.sleep(0.1)
                await server.mark(hub)

    exempt = {"id": hub["id"], "name": "h1", "address": "127.0.0.1", "exempt": True}
    assert [(before["version"], [exempt])] == [(view["since"], view["peers"]) for view in told]


async def test_a_hub_is_in_the_view_as_soon_as_it_has_said_where_it_is():
    async with serving() as server:
        alice, hub = await server.enrol("alice", "h1")
        await server.mark(hub)
        without = await server.get("/agent/v1/view", token=alice["token"])
        said = await server.ask("PUT", "/agent/v1/report", {**REPORT, "hub": LEVELS}, token=hub["token"])
        view = await server.get("/agent/v1/view", token=alice["token"])

    assert (204, []) == (said.status, without["hubs"])
    assert [{"id": "a" * 32, "name": "h1", "address": "100.64.0.1:27277"}] == view["hubs"]


async def test_what_a_newer_agent_says_beside_what_is_known_here_is_left_aside():
    desk = Desk()
    key = (await desk.key())["key"]
    hub = await desk.told("POST", "/agent/v1/enrol", wish(key, "h1", mood="fine"), token="")
    await desk.mark(hub)
    level = {"hub": "b" * 32, "state": "up", "user_left": 1, "server_left": 1, "user_fraction": 1, "server_fraction": 1}
    await desk.report(hub, role="hub", hub={**LEVELS, "new": 1}, psrd=[{**level, "new": 1}], new=1)

    assert ["a" * 32] == [found.place.id for found in desk.atlas.hubs]
    desk.close()


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_a_hub_that_is_found_elsewhere_all_the_time_is_followed_once_a_minute_and_drowns_no_audit():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    for port in range(1001, 1100):
        await desk.report(hub, role="hub", hub={**LEVELS, "address": f"100.64.0.1:{port}"})
    first = desk.network.peers[hub["id"]].place.address
    await trio.sleep(60)
    await desk.report(hub, role="hub", hub={**LEVELS, "address": "100.64.0.1:1100"})
    told = [event for event in await desk.get("/api/events/audit") if event["activity_code"] == "peer.update"]

    assert "100.64.0.1:1001" == first
    assert "100.64.0.1:1100" == desk.network.peers[hub["id"]].place.address
    assert ["peer h1", "peer h1"] == [event["initiator_name"] for event in told]
    desk.close()


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_who_asks_for_the_whole_view_again_and_again_waits_and_who_knows_it_does_not():
    desk, told_at = Desk(), []
    alice, bob = await desk.enrol("alice", "bob")
    began = trio.current_time()

    async def ask():
        await desk.get("/agent/v1/view", token=alice["token"])
        told_at.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(ask)
    known = (await desk.get("/agent/v1/view", token=bob["token"]))["version"]
    again = trio.current_time()
    for _ in range(20):
        await desk.ask("GET", f"/agent/v1/view?known={known}", token=bob["token"])

    assert [0] * 8 + [10, 20, 30, 40] == [round(at) for at in told_at]
    assert again == trio.current_time()
    desk.close()
