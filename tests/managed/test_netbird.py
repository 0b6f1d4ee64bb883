"""NetBird as the server; between it and the agent stands `prism`, which lets nothing pass that NetBird's own OpenAPI
document does not allow, in either direction."""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trio

from qfagent.cli.program import main
from qfagent.config import parse
from qfagent.dske.psrd import HubAddress
from qfagent.errors import InterfaceDown, ManagementRefused, ManagementUnreachable
from qfagent.managed.link import Link
from qfagent.managed.neighbours import Neighbours
from qfagent.managed.netbird import HUBS_GROUP, Api, NetBird
from qfagent.managed.netbird_setup import GroupRequest, set_up
from qfagent.testing.processes import free_port
from qfagent.world import World, at_once
from tests.managed.netbirds import TOKEN, NetBirdServer, peer, serving

SPECS = Path(os.environ.get("QFAGENT_SPECS", Path(__file__).parents[3] / "shared" / "specs"))
DOCUMENT = SPECS / "netbird-openapi.yml"
PRISM = ("npx", "--yes", "@stoplight/prism-cli@5", "proxy", "--errors", "--host", "127.0.0.1")
PATIENCE = 150  # seconds; the first time it has to be fetched


@pytest.fixture(scope="module")
def prism():
    """The port of the guard, and that of the server behind it."""
    if shutil.which("npx") is None:
        pytest.skip("npx is missing, and prism comes with it")
    if not DOCUMENT.exists():
        pytest.skip(f"NetBird's OpenAPI document is not at hand; QFAGENT_SPECS says where {DOCUMENT.name} lies")
    port, behind = free_port(), free_port()
    command = [*PRISM, "--port", str(port), str(DOCUMENT), f"http://127.0.0.1:{behind}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(process, port)
        yield port, behind
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(process, port):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/groups", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    pytest.skip("prism does not start; it comes from npm")


@pytest.fixture
def token_file(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    return tmp_path / "token"


def api_at(port, token_file):
    return Api(Link(f"http://127.0.0.1:{port}", source=str), World(in_thread=at_once), token_file=str(token_file))


# --- set up


async def test_group_and_policy_are_made_once_and_what_was_bent_is_mended(prism, token_file):
    there, api = NetBirdServer(), api_at(prism[0], token_file)
    async with serving(there, prism[1]):
        dry = await set_up(api, dry_run=True)
        unchanged = list(there.changes)
        made = await set_up(api, dry_run=False)
        again = await set_up(api, dry_run=False)
        changes = [change[:2] for change in there.changes]
        there.policies[0]["enabled"] = False
        would_mend = await set_up(api, dry_run=True)
        mended = await set_up(api, dry_run=False)

    policy = f"the policy All <-> {HUBS_GROUP}"
    assert [f"the group {HUBS_GROUP}", policy] == dry == made
    assert ([], [], [policy], [policy]) == (unchanged, again, would_mend, mended)
    assert [("POST", "/api/groups"), ("POST", "/api/policies")] == changes
    (rule,) = there.policies[0]["rules"]
    assert there.policies[0]["enabled"]
    assert (["All"], [HUBS_GROUP], True, "all", "accept") == (
        [group["name"] for group in rule["sources"]],
        [group["name"] for group in rule["destinations"]],
        rule["bidirectional"],
        rule["protocol"],
        rule["action"],
    )


async def test_a_request_that_the_document_does_not_allow_does_not_get_through(prism, token_file):
    """So that the tests here mean something."""
    there, api = NetBirdServer(), api_at(prism[0], token_file)
    async with serving(there, prism[1]):
        with pytest.raises(ManagementRefused, match="answered 422"):
            await api.ask("POST", "/api/groups", GroupRequest(7))

    assert [] == there.changes


@pytest.mark.parametrize(
    "bend",
    [
        lambda policy: policy.update(enabled=False),
        lambda policy: policy["rules"][0].update(enabled=False),
        lambda policy: policy["rules"][0].update(bidirectional=False),
        lambda policy: policy["rules"][0].update(protocol="tcp"),
        lambda policy: policy["rules"][0].update(action="drop"),
        lambda policy: policy["rules"][0].update(sources=None),
        lambda policy: policy["rules"][0]["destinations"].append({"id": "x", "name": "x"}),
        lambda policy: policy["rules"].clear(),
        lambda policy: policy["rules"].append(policy["rules"][0]),
        lambda policy: policy.update(source_posture_checks=["x"]),
    ],
)
async def test_however_a_policy_was_bent_it_is_mended_and_once_is_enough(token_file, bend):
    port, there = free_port(), NetBirdServer()
    api = api_at(port, token_file)
    async with serving(there, port):
        await set_up(api, dry_run=False)
        bend(there.policies[0])
        rounds = [await set_up(api, dry_run=False) for _ in range(2)]

    assert [[f"the policy All <-> {HUBS_GROUP}"], []] == rounds


async def test_what_is_not_ours_is_left_alone(token_file):
    port, there = free_port(), NetBirdServer()
    devs = there.add_group("devs")
    there.policies.append(
        {"id": "p0", "name": "Default", "enabled": True, "rules": [], "source_posture_checks": None, "description": ""}
    )
    before = dict(there.policies[0])
    async with serving(there, port):
        await set_up(api_at(port, token_file), dry_run=False)

    assert (devs, before) == (there.groups[1], there.policies[0])


async def test_without_a_token_that_may_it_is_refused_and_the_token_is_not_repeated(tmp_path):
    port = free_port()
    (tmp_path / "token").write_text("nbp_wrong")
    async with serving(NetBirdServer(), port):
        with pytest.raises(ManagementRefused, match="answered 401: token invalid") as caught:
            await set_up(api_at(port, tmp_path / "token"), dry_run=False)

    assert "nbp_wrong" not in str(caught.value)


def test_the_command_is_for_netbird_only(tmp_path, capsys):
    (tmp_path / "f").write_text('name = "a"\nrole = "client"\n')

    assert 6 == main("qfagent", ["netbird", "setup", "--config", str(tmp_path / "f")])
    assert 'this command is for management.kind = "netbird"' in capsys.readouterr().err


def test_the_command_says_what_it_would_do_and_does_it(tmp_path, capsys, token_file):
    port, there = free_port(), NetBirdServer()
    text = f'name = "a"\nrole = "managed"\n[management]\nkind = "netbird"\nurl = "http://127.0.0.1:{port}"\n'
    (tmp_path / "f").write_text(f'{text}token_file = "{token_file}"\n')
    command, said = ["netbird", "setup", "--config", str(tmp_path / "f")], []

    def call(*more):
        assert 0 == main("qfagent", [*command, *more])
        said.append(capsys.readouterr().out.splitlines())

    async def beside():
        async with serving(there, port):
            for more in (["--dry-run"], [], []):
                await trio.to_thread.run_sync(lambda more=more: call(*more))

    trio.run(beside)
    things = (f"the group {HUBS_GROUP}", f"the policy All <-> {HUBS_GROUP}")
    assert [f"would make {thing}" for thing in things] == said[0]
    assert [f"made {thing}" for thing in things] == said[1]
    assert [f"http://127.0.0.1:{port} has what it needs, nothing was changed"] == said[2]


# --- views


def filled():
    there = NetBirdServer()
    hubs = there.add_group(HUBS_GROUP)
    there.peers = [
        peer("alice", "100.64.0.7"),
        peer("bob", "100.64.0.8"),
        peer("h1", "100.64.0.1", hubs),
        peer("An_Old-PC!", "100.64.0.9"),
    ]
    return there


def source(api, name="alice", place="100.64.0.7", k=2):
    return NetBird(api, name=name, place=lambda: place, shares_required=lambda: k)


@pytest.mark.parametrize(
    "name, place, role", [("alice", "100.64.0.7", "client"), ("h1", "100.64.0.1", "hub"), ("alice", "", "client")]
)
async def test_a_peer_is_what_its_groups_say(prism, token_file, name, place, role):
    async with serving(filled(), prism[1]):
        view = await source(api_at(prism[0], token_file), name, place).look(None)

    assert (name, role, role == "hub") == (view.peer.name, view.peer.role, view.peer.exempt)
    assert ["h1"] == [hub.name for hub in view.hubs]
    assert {"alice": False, "bob": False, "h1": True} == {peer.name: peer.exempt for peer in view.peers}


async def test_hubs_are_recognized_by_the_hosts_of_their_files(token_file):
    port = free_port()
    async with serving(filled(), port):
        neighbours = Neighbours(await source(api_at(port, token_file)).look(None))
    hosts = ("100.64.0.1", "h1.netbird.cloud", "h1", "100.64.0.8", "bob.netbird.cloud")

    assert [True, True, True, False, False] == [neighbours.serves(HubAddress("a" * 32, host, 27277)) for host in hosts]


@pytest.mark.parametrize(
    "name, place, said",
    [
        ("alice", "100.64.0.99", "NetBird knows no peer 100.64.0.99"),
        ("carol", "", "NetBird knows no peer carol"),
        ("alice", "100.64.0.8", "NetBird calls this peer bob, the configuration alice"),
    ],
)
async def test_who_is_not_found_is_told_so(token_file, name, place, said):
    port = free_port()
    async with serving(filled(), port):
        with pytest.raises(ManagementRefused, match=said):
            await source(api_at(port, token_file), name, place).look(None)


async def test_while_the_own_address_is_not_known_nothing_is_taken(token_file):
    port = free_port()

    def nowhere():
        raise InterfaceDown("the interface wt0 is missing")

    async with serving(filled(), port):
        api = api_at(port, token_file)
        with pytest.raises(ManagementUnreachable, match="the interface wt0 is missing"):
            await NetBird(api, name="alice", place=nowhere, shares_required=lambda: 2).look(None)


async def test_it_looks_again_every_half_minute_and_what_is_the_same_is_no_news(token_file, monkeypatch):
    monkeypatch.setattr("qfagent.managed.netbird.EVERY", 0.05)
    port, there = free_port(), filled()
    async with serving(there, port):
        netbird = source(api_at(port, token_file))
        first = await netbird.look(None)
        same = await netbird.look(first)
        there.peers[0]["groups"] = [group for group in there.groups if group["name"] == HUBS_GROUP]
        then = await netbird.look(first)

    assert ("client", None, "hub") == (first.peer.role, same, then.peer.role)


def test_k_is_what_the_configuration_says():
    config = parse(
        'name = "a"\nrole = "managed"\n[management]\nkind = "netbird"\nurl = "http://x"\ntoken_file = "/t"\n'
    )

    assert 2 == config.client.shares_required
