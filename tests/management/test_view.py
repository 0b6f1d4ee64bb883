"""Views: shared by all who see the same, a difference for who knows the last one, no news where nothing is new."""

import json

import pytest
import trio

from qfagent.management import view
from qfagent.management.atlas import Atlas
from qfagent.management.network import ALL, Group, Network, Peer, Policy, Rule, put
from qfagent.management.view import REMEMBERED, Views
from tests.conftest import on_a_clock_that_jumps
from tests.management.desks import Desk
from tests.management.test_agents import LEVELS


def peer(name, *groups, **more):
    return Peer(
        id=name, name=name, address="100.64.0.1", token=name, key="k", created_at=0, groups=frozenset(groups), **more
    )


def policy(source, destination, name="p", **more):
    return Policy(
        id=name, name=name, rules=(Rule(id="r", name="r", sources=(source,), destinations=(destination,), **more),)
    )


def network(*things):
    return put(Network(), Group(ALL, "All"), Group("a", "a"), Group("b", "b"), Group("c", "c"), *things)


def links(*things):
    atlas = Atlas(network(*things))
    return {one.name: "".join(other.name for other in atlas.linked(one)) for one in atlas.peers}


PEERS = (peer("x", "a"), peer("y", "b"), peer("z", "c"))


@pytest.mark.parametrize(
    "policies, expected",
    [
        ([], {"x": "", "y": "", "z": ""}),
        ([policy("a", "b")], {"x": "y", "y": "x", "z": ""}),
        ([policy("a", "b", bidirectional=False)], {"x": "y", "y": "x", "z": ""}),
        ([policy(ALL, "c")], {"x": "z", "y": "z", "z": "xy"}),
        ([policy(ALL, ALL), policy("a", "b", "q", action="drop")], {"x": "z", "y": "z", "z": "xy"}),
        # the way back is still open
        (
            [policy(ALL, ALL), policy("a", "b", "q", action="drop", bidirectional=False)],
            {"x": "yz", "y": "xz", "z": "xy"},
        ),
        # a matter of firewalls
        ([policy("a", "b"), policy("a", "b", "q", action="drop", protocol="tcp")], {"x": "y", "y": "x", "z": ""}),
        ([policy("a", "b"), policy("a", "b", "q", action="drop", ports=("22",))], {"x": "y", "y": "x", "z": ""}),
        ([policy("a", "b", enabled=False)], {"x": "", "y": "", "z": ""}),
    ],
)
def test_two_peers_have_a_link_if_a_rule_lets_either_open_traffic_to_the_other(policies, expected):
    assert expected == links(*PEERS, *policies)


def test_peers_who_see_the_same_share_one_sight():
    atlas, views = Atlas(network(peer("x", "a"), peer("y", "a"), peer("z", "b"), policy("a", "b"))), Views()
    views.turn_to(atlas, shares_required=2)
    x, y, z = (views.view(one) for one in atlas.peers)

    assert bytes(x.peers) == bytes(y.peers) != bytes(z.peers)
    assert 2 == len(views._sights)
    assert x.version != y.version


def test_a_sight_is_worked_out_once_a_change_however_many_ask(monkeypatch):
    made, sight = [], view.Sight
    monkeypatch.setattr(view, "Sight", lambda *arguments: made.append(arguments) or sight(*arguments))
    everybody = [peer(f"p{number}", "a") for number in range(50)]
    views = Views()
    for atlas in (Atlas(network(*everybody, policy("a", "a"))), Atlas(network(*everybody[1:], policy("a", "a")))):
        views.turn_to(atlas, shares_required=2)
        for one in atlas.peers:
            views.version(one)
            views.view(one)

    assert 2 == len(made)


def test_differences_put_together_are_the_whole():
    everybody = [peer(f"p{number}", "a") for number in range(5)]
    steps = [everybody[:3], everybody[1:], [*everybody[2:4], peer("p4", "a", set_exempt=True)], everybody]
    asking, views, known, version = peer("me", "b"), Views(), {}, ""
    for step in steps:
        views.turn_to(Atlas(network(asking, *step, policy("a", "b"))), shares_required=2)
        told = views.view(asking, known=version)
        assert version == told.since
        known |= {seen["id"]: seen for seen in json.loads(bytes(told.peers))}
        known = {id_: seen for id_, seen in known.items() if id_ not in json.loads(bytes(told.gone))}
        version = told.version
        whole = json.loads(bytes(views.view(asking).peers))

        assert {seen["id"]: seen for seen in whole} == known


def test_who_knows_a_version_from_long_ago_is_told_everything():
    views, asking = Views(), peer("me", "b")
    versions = []
    for number in range(REMEMBERED + 1):
        others = [peer(f"p{number}-{one}", "a") for one in range(2)]
        views.turn_to(Atlas(network(asking, *others, policy("a", "b"))), shares_required=2)
        versions.append(views.view(asking).version)

    assert ("", versions[1]) == tuple(views.view(asking, known=version).since for version in versions[:2])


@pytest.mark.parametrize("known", ["", "x", "0" * 64, "é" * 40])
def test_a_version_that_nobody_gave_is_as_good_as_none(known):
    views, asking = Views(), peer("me", "b")
    views.turn_to(Atlas(network(asking)), shares_required=2)

    assert "" == views.view(asking, known=known).since


# --- long poll


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_who_waits_hears_nothing_of_what_does_not_concern_him():
    desk = Desk()
    alice, bob = await desk.enrol("alice", "bob")
    await desk.told("DELETE", "/api/policies/default")
    known = (await desk.get("/agent/v1/view", token=alice["token"]))["version"]
    answers = []

    async def wait():
        answers.append(
            (await desk.ask("GET", f"/agent/v1/view?known={known}&wait=60", token=alice["token"]), trio.current_time())
        )

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        await desk.told("PUT", f"/api/peers/{bob['id']}", {"aes_exempt": True})

    ((answer, ended),) = answers
    assert (204, b"", 60) == (answer.status, answer.body, round(ended - began))


@pytest.mark.trio(run=on_a_clock_that_jumps)
@pytest.mark.parametrize(
    "change",
    [
        lambda desk, alice, bob: desk.told("PUT", f"/api/peers/{bob['id']}", {"aes_exempt": True}),
        lambda desk, alice, bob: desk.told("PUT", f"/api/peers/{alice['id']}", {"dske_security_hub": True}),
        lambda desk, alice, bob: desk.told("DELETE", f"/api/peers/{bob['id']}"),
        lambda desk, alice, bob: desk.told("DELETE", "/api/policies/default"),
        lambda desk, alice, bob: desk.enrol("carol"),
        lambda desk, alice, bob: require(desk, 3),
    ],
)
async def test_who_waits_hears_at_once_of_what_concerns_him(change):
    desk = Desk()
    alice, bob = await desk.enrol("alice", "bob")
    known = (await desk.get("/agent/v1/view", token=alice["token"]))["version"]
    answers = []

    async def wait():
        answers.append(
            (await desk.get(f"/agent/v1/view?known={known}&wait=60", token=alice["token"]), trio.current_time())
        )

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        await change(desk, alice, bob)

    ((view, ended),) = answers
    assert (known, 1) == (view["since"], round(ended - began))


async def require(desk, shares):
    desk.mesh.require(shares)


@pytest.mark.trio(run=on_a_clock_that_jumps)
async def test_who_waits_and_is_removed_is_told_so():
    desk = Desk()
    (alice,) = await desk.enrol("alice")
    known = (await desk.get("/agent/v1/view", token=alice["token"]))["version"]
    statuses = []

    async def wait():
        statuses.append((await desk.ask("GET", f"/agent/v1/view?known={known}&wait=60", token=alice["token"])).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        await desk.told("DELETE", f"/api/peers/{alice['id']}")

    assert [401] == statuses


async def test_a_role_that_is_taken_away_and_given_back_is_the_same_view_again():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    await desk.report(hub, role="hub", hub=LEVELS)
    first = await desk.get("/agent/v1/view", token=hub["token"])
    await desk.mark(hub, hub=False)
    between = await desk.get("/agent/v1/view", token=hub["token"])
    await desk.mark(hub)
    last = await desk.get("/agent/v1/view", token=hub["token"])

    assert (["hub", "client", "hub"], [1, 0, 1]) == (
        [view["peer"]["role"] for view in (first, between, last)],
        [len(view["hubs"]) for view in (first, between, last)],
    )
    assert first["version"] == last["version"] != between["version"]
