"""Health: every fault by its own code, ready exactly while keys can be made, and green again by itself."""

import re

import pytest
import trio

from qfagent.client import report as client_report
from qfagent.client.report import Left, _psrd_issues
from qfagent.health import FAULTS, WARNINGS, Commits, common_issues, readiness
from qfagent.hub import report as hub_report
from qfagent.store.fence import Reason
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World
from tests.conftest import enrol
from tests.local.frames import running


async def codes(machine):
    """Whether the machine is ready, and the codes of what it says."""
    found = common_issues(machine.store, is_synchronized=lambda: True) | await client_report.issues(machine.client)
    ready = readiness(found)
    return ready.ready, [issue.code for issue in ready.issues]


async def hub_codes(machine):
    found = common_issues(machine.store, is_synchronized=lambda: True) | await hub_report.issues(machine.hub)
    found.pop("not-listening", None)  # in a network in memory nobody listens
    ready = readiness(found)
    return ready.ready, [issue.code for issue in ready.issues]


async def can_make_keys(network):
    try:
        await network.clients["alice"].client.generator.establish("bob")
    except Exception:  # noqa: BLE001  # whatever it is
        return False
    return True


def test_warnings_do_not_keep_the_agent_from_being_ready_and_faults_do():
    warning, fault = readiness({"psrd-low": "x"}), readiness({"psrd-low": "x", "store-fenced": "y"})

    assert (True, False) == (warning.ready, fault.ready)
    assert [("psrd-low", False), ("store-fenced", True)] == [(issue.code, issue.blocking) for issue in fault.issues]


def test_without_issues_it_is_ready():
    assert (True, ()) == (readiness({}).ready, readiness({}).issues)


def test_a_code_is_a_fault_or_a_warning_and_a_word():
    assert FAULTS.keys().isdisjoint(WARNINGS)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in FAULTS | WARNINGS)


def test_every_issue_comes_with_its_remedy():
    [issue] = readiness({"psrd-low": "x"}).issues

    assert WARNINGS["psrd-low"] == issue.remedy


# --- the store ------------------------------------------------------------------------------------


@pytest.fixture
def store():
    with MemoryDisk() as disk:
        yield Store(disk, "/state", machine="m", world=World())


def test_a_fence_is_a_fault_with_its_reason_and_remedy(store):
    store.fence.put_up(Reason("moved-machine", 0, "another machine", "look"))

    assert (
        "nothing is spent: moved-machine, another machine; look"
        == common_issues(store, is_synchronized=lambda: True)["store-fenced"]
    )
    assert not readiness(common_issues(store, is_synchronized=lambda: True)).ready


def test_a_store_that_stands_still_is_a_fault(store):
    store.stop(Exception("the disk"))

    assert {"store-failed", "store-fenced"} <= set(common_issues(store, is_synchronized=lambda: True))


@pytest.mark.parametrize("role", ["client", "hub"])
async def test_an_agent_whose_store_stands_still_says_so_wherever_it_is_asked(role):
    """Before, status, readiness and metrics were themselves refused, by the store's error."""
    async with running(role) as agent:
        agent.frame._store.stop(Exception("the disk"))
        status, ready, metrics = [await agent.ask("GET", path) for path in ("/v1/status", "/readyz", "/metrics")]

    assert [200, 503, 200] == [status.status, ready.status, metrics.status]
    assert {"store-failed", "store-fenced"} <= {issue["code"] for issue in status.content["issues"]}
    assert b'qfagent_health_issue{code="store-failed"} 1.0' in metrics.body


def test_a_slow_commit_is_told_for_a_while():
    commits = Commits()
    commits.took(0.9, now=0.0)
    quick = commits.issues(now=1.0, waits=0.9)
    commits.took(1.5, now=10.0)
    commits.took(0.1, now=20.0)

    assert ({}, {}) == (quick, commits.issues(now=131.0, waits=0.0))
    assert "a commit took 1.5 s" in commits.issues(now=129.0, waits=0.0)["store-slow"]


def test_a_commit_that_does_not_end_is_a_fault_of_its_own():
    ready = readiness(Commits().issues(now=0.0, waits=7.4))

    assert (False, ["store-hangs"]) == (ready.ready, [issue.code for issue in ready.issues])
    assert "under way for 7 s" in ready.issues[0].detail


def test_a_sound_store_is_none(store):
    assert common_issues(store, is_synchronized=lambda: True) == {}


# --- a client -------------------------------------------------------------------------------------


async def test_a_client_without_psrd_says_what_is_missing(network):
    alice = await network.add_client("alice")

    assert (False, ["hubs-unreachable"]) == await codes(alice)
    assert "0 of the 2 hubs that a key needs" in (await client_report.issues(alice.client))["hubs-unreachable"]


async def test_a_client_is_ready_when_k_hubs_are_up(network):
    alice = await network.add_client("alice")
    states = []
    for name in ("h1", "h2", "h3"):
        await network.add_hub(name)
        await enrol(network, "alice", name)
        await trio.sleep(1)
        states.append(await codes(alice))

    assert [(False, ["hubs-unreachable"]), (True, []), (True, [])] == states


@pytest.mark.parametrize("gone, ready", [(1, True), (2, False), (3, False)])
async def test_hubs_that_are_gone_are_noticed_within_a_minute_and_when_they_are_back_too(connected, gone, ready):
    network = await connected()
    for name in ("h1", "h2", "h3")[:gone]:
        await network.hubs[name].crash()
    await trio.sleep(60)
    without = await codes(network.clients["alice"])
    able = await can_make_keys(network)
    for name in ("h1", "h2", "h3")[:gone]:
        await network.hubs[name].boot()
    await trio.sleep(330)

    assert ready == without[0] == able
    assert (True, []) == await codes(network.clients["alice"])


async def test_why_a_hub_can_not_be_used_is_told_by_hub(connected):
    network = await connected()
    for name in ("h1", "h2"):
        await network.hubs[name].crash()
    await trio.sleep(60)
    text = (await client_report.issues(network.clients["alice"].client))["hubs-unreachable"]

    for name in ("h1", "h2"):
        assert f"hub {network.hubs[name].address.id[:8]}: down" in text


SMALL = "[hub.provisioner]\nuser_bytes = 1024\nserver_bytes = 1024"


async def with_one_small_hub(network, *, low="20%"):
    await network.add_hub("h1", SMALL)
    for name in ("h2", "h3"):
        await network.add_hub(name)
    for name in ("alice", "bob"):
        await network.add_client(name, f'low_psrd = "{low}"')
        await enrol(network, name)
    for _ in range(20):
        await network.clients["alice"].client.generator.establish("bob")
    return network


@pytest.mark.parametrize("low", ["20%", "0%"])
async def test_an_exhausted_hub_of_three_is_a_warning_as_keys_are_made(network, low):
    """Before, it was a fault: the agent was not ready while it made keys; with `0%` it said nothing at all."""
    await with_one_small_hub(network, low=low)

    assert (True, ["psrd-low"]) == await codes(network.clients["alice"])
    assert await can_make_keys(network)


@pytest.mark.parametrize("low", ["20%", "0%"])
async def test_psrd_that_is_exhausted_with_too_many_hubs_is_a_fault(network, low):
    await with_one_small_hub(network, low=low)
    await network.hubs["h2"].crash()
    await trio.sleep(60)

    ready, found = await codes(network.clients["alice"])
    assert (False, True) == (ready, "hubs-unreachable" in found)
    assert not await can_make_keys(network)
    assert "no PSRD left" in (await client_report.issues(network.clients["alice"].client))["hubs-unreachable"]


FULL, SCARCE, EMPTY = Left(900, 900, 1000, 1000), Left(100, 900, 1000, 1000), Left(900, 95, 1000, 1000)


@pytest.mark.parametrize(
    "left, expected",
    [
        ({}, []),
        ({"a": FULL, "b": FULL}, []),
        ({"a": FULL, "b": SCARCE}, ["psrd-low"]),
        ({"a": FULL, "b": FULL, "c": EMPTY}, ["psrd-low"]),
        ({"a": FULL, "b": EMPTY}, ["psrd-low", "psrd-exhausted"]),
        ({"a": EMPTY, "b": EMPTY, "c": FULL}, ["psrd-low", "psrd-exhausted"]),
    ],
)
def test_exhausted_is_said_when_no_key_can_be_made_for_want_of_psrd(left, expected):
    empty = {hub for hub, of in left.items() if of is EMPTY}

    assert expected == list(_psrd_issues(left, empty, k=2, low=0.2))


def lying(hub):
    straight = hub.bend

    async def lie(data):
        if b"user_seen" not in data:
            return await straight(data)
        body = b'{"user_seen":99999,"registered":true,"retired":false}'
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    hub.bend = lie


@pytest.mark.parametrize(
    "liars, expected", [(1, (True, ["hub-stopped"])), (2, (False, ["hubs-unreachable", "rolled-back"]))]
)
async def test_one_hub_that_says_that_the_client_was_rolled_back_is_a_warning_and_k_of_them_a_fault(
    connected, liars, expected
):
    """Before, one lying hub of three was enough to make every client call itself not ready."""
    network = await connected()
    alice = network.clients["alice"]
    await alice.crash()
    for name in ("h1", "h2")[:liars]:
        lying(network.hubs[name])
    await alice.boot()
    await trio.sleep(5)
    able = await can_make_keys(network)
    await trio.sleep(5)

    assert expected == await codes(alice)
    assert able == expected[0]


async def test_where_k_of_many_hubs_say_so_nothing_is_spent_and_the_agent_is_not_ready(connected):
    network = await connected(hubs=5)
    alice = network.clients["alice"]
    await alice.crash()
    for name in ("h1", "h2"):
        lying(network.hubs[name])
    await alice.boot()
    await can_make_keys(network)
    await trio.sleep(5)

    assert (False, ["rolled-back"]) == await codes(alice)
    assert not await can_make_keys(network)


async def test_what_waits_in_the_inbox_is_a_warning(connected):
    network = await connected(hubs=2)
    alice = network.clients["alice"]
    alice.drop("cut.json", b"{")
    await trio.sleep(60)

    assert (True, ["inbox-incomplete"]) == await codes(alice)


async def test_a_fenced_client_is_not_ready(connected):
    network = await connected(hubs=2)
    alice = network.clients["alice"]
    alice.store.fence.put_up(Reason("moved-machine", 0, "", "look"))
    fenced = await codes(alice)
    alice.store.lift_fence("alice")

    assert (False, ["store-fenced"]) == fenced
    assert (True, []) == await codes(alice)


# --- a hub ----------------------------------------------------------------------------------------


async def test_a_hub_with_a_full_pool_has_nothing_to_say(network):
    assert (True, []) == await hub_codes(await network.add_hub("h1"))


async def test_a_registration_that_waits_for_approval_is_named(network):
    hub = await network.add_hub("h1", 'binding = "manual"')
    alice = await network.add_client("alice")
    await network.carry(hub, alice)
    await trio.sleep(5)
    [waiting] = [client for client in await hub.hub.registry.listing() if client.state == "waiting"]

    assert (True, ["approval-waiting"]) == await hub_codes(hub)
    assert f"alice ({waiting.id})" in (await hub_report.issues(hub.hub))["approval-waiting"]
    await hub.hub.registry.approve(waiting.id)
    assert (True, []) == await hub_codes(hub)


@pytest.mark.parametrize("most", [6, 5, 3])
async def test_a_pool_that_may_not_be_filled_because_too_many_files_are_out_is_named(network, most):
    """Before, it was named only when as many files were out as may be, and the pool had stopped filling long before."""
    hub = await network.add_hub("h1", f"[hub.provisioner]\npool_size = 5\nmax_handed_out = {most}")
    for _ in range(3):
        await hub.hub.provisioner.take()
        await trio.sleep(1)
    pool = await hub_report.report_pool(hub.hub)

    assert len(pool.files) + pool.handed_out <= most
    assert (True, ["handed-out-limit"]) == await hub_codes(hub)
    assert "3 pool files" in (await hub_report.issues(hub.hub))["handed-out-limit"]


@pytest.mark.parametrize("report", [hub_report.report, hub_report.issues])
async def test_what_a_hub_says_of_itself_waits_for_the_store_once(network, monkeypatch, report):
    """A round of the store may wait for the disk; before, the hub's status waited for four of them."""
    hub, rounds = await network.add_hub("h1"), []
    run = hub.hub.run
    monkeypatch.setattr(hub.hub, "run", lambda operation: rounds.append(operation) or run(operation))
    await report(hub.hub)

    assert 1 == len(rounds)


async def test_a_pool_that_can_not_be_filled_is_named_until_it_can(network):
    hub = await network.add_hub("h1")
    hub.disk.fail("create", 28, times=10**9)
    await hub.hub.provisioner.take()
    await trio.sleep(30)
    full = await hub_codes(hub)
    hub.disk.heal()
    await trio.sleep(11)

    assert (True, ["pool-problem"]) == full
    assert (True, []) == await hub_codes(hub)
