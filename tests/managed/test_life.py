"""The life of a managed agent: alone, restarted, removed, marked and unmarked; real servers, sockets and disks."""

import json
from contextlib import asynccontextmanager

import pytest
import trio

from qfagent.managed.allowance import CHANGES
from tests.local.frames import Running, configured, free_port, short_folder
from tests.managed.peers import Household, carry, mesh, peer_of
from tests.management.servers import SETTINGS, Serving


@asynccontextmanager
async def server_in(folder, port):
    """A management server that can be started again."""
    frame = configured(folder, "management", SETTINGS.format(port=port, more=""))
    async with frame.open_store(), frame.at_work(), frame.listening():
        yield Serving(Running(frame, folder), port)


@pytest.fixture
async def places():
    """A port, a folder for a server, and one for a peer."""
    with short_folder() as there, short_folder() as here:
        yield free_port(), there, here


@asynccontextmanager
async def enrolled(places, name="alice"):
    """A server and a household, whose agent has enrolled and stopped again."""
    port, there, here = places
    async with server_in(there, port) as server:
        key = (await server.setup_key())["key"]
        home = Household(here, name, url=f"http://127.0.0.1:{port}", key=key, address="127.0.0.2")
        async with home.living() as peer:
            await peer.until_role("client")
        yield server, home


# --- without the server


async def test_an_agent_that_was_never_let_in_waits_says_so_and_is_let_in_when_the_server_is_there(places):
    port, there, here = places
    async with server_in(there, port) as server:
        key = (await server.setup_key())["key"]
    home = Household(here, "alice", url=f"http://127.0.0.1:{port}", key=key, address="127.0.0.2")
    async with home.living() as peer:
        before = await peer.until(lambda status: status["membership"]["trouble"])
        codes = await peer.codes()
        async with server_in(there, port):
            await peer.until_role("client")
            after = await peer.codes()

    assert {"not-enrolled", "management-unreachable"} == codes
    assert ("managed", None, None, False) == tuple(before[name] for name in ("role", "client", "hub", "ready"))
    assert {"hubs-unreachable"} == after


async def test_with_the_server_away_everything_goes_on_and_a_restart_changes_nothing(places):
    async with enrolled(places) as (_, home):
        pass
    async with home.living() as peer:
        at_once = await peer.status()
        await peer.until(lambda status: status["membership"]["trouble"])
        codes, told = await peer.codes(), peer.happened("management.lost")

    assert "client" == at_once["role"]
    assert {"hubs-unreachable", "management-unreachable"} == codes
    assert 1 == len({fields["reason"] for fields in told})


async def test_the_server_may_come_back_with_news(places):
    port, there, _ = places
    async with enrolled(places) as (_, home):
        pass
    async with home.living() as peer:
        await peer.until(lambda status: status["membership"]["trouble"])
        async with server_in(there, port) as server:
            await server.mark(await peer_of(server, "alice"))
            peer.frame._role.reconfigure()
            await peer.until_role("hub")


async def test_a_view_of_another_server_is_not_gone_by(places):
    async with enrolled(places) as (_, home):
        pass
    home.change(f":{places[0]}", f":{free_port()}")
    async with home.living() as peer:
        status = await peer.status()

    assert ("managed", "") == (status["role"], status["membership"]["id"])


async def test_a_view_that_was_for_another_name_is_not_gone_by_and_the_new_name_enrols(places):
    async with enrolled(places) as (server, home):
        home.change('name = "alice"', 'name = "anna"')
        async with home.living() as peer:
            await peer.until_role("client")
        names = {peer["name"] for peer in await server.get("/api/peers")}

    assert {"alice", "anna"} == names


@pytest.mark.parametrize("damage", [b"", b"{", b'{"url": 1}', b"\xff\xfe"])
async def test_a_kept_view_that_was_damaged_is_as_good_as_none(places, damage):
    async with enrolled(places) as (_, home):
        (home.private / "view.json").write_bytes(damage)
        async with home.living() as peer:
            status = await peer.until_role("client")

    assert status["membership"]["version"]


async def test_a_kept_view_that_can_not_be_read_does_not_keep_the_agent_from_starting(places):
    async with enrolled(places) as (_, home):
        pass
    (home.private / "view.json").unlink()
    (home.private / "view.json").mkdir()
    async with home.living() as peer:
        status = await peer.status()
        codes = await peer.codes()

    assert ("managed", True) == (status["role"], "not-enrolled" in codes)


# --- removed, and let in again


async def test_a_removed_peer_is_refused_goes_on_and_does_not_come_back_by_itself(places):
    async with enrolled(places) as (server, home):
        await server.ask("DELETE", f"/api/peers/{(await peer_of(server, 'alice'))['id']}")
        async with home.living() as peer:
            await peer.until(lambda status: "401" in status["membership"]["trouble"])
            codes, peers = await peer.codes(), await server.get("/api/peers")

    assert {"hubs-unreachable", "management-refused"} == codes
    assert [] == peers


async def test_a_removed_peer_comes_back_with_another_setup_key(places):
    async with enrolled(places) as (server, home):
        before = await peer_of(server, "alice")
        await server.ask("DELETE", f"/api/peers/{before['id']}")
        (home.private.parent.parent / "setup-key").write_text((await server.setup_key())["key"])
        async with home.living() as peer:
            await peer.until(lambda status: status["membership"]["id"] not in ("", before["id"]))
            await peer.until(lambda status: not status["membership"]["trouble"])


@pytest.mark.parametrize(
    "key, said",
    [("", "expected one word"), ("two words", "expected one word"), ("WRONG", "answered 401"), (None, "can't be read")],
)
async def test_who_has_no_good_key_is_told_so_and_no_key_is_repeated(places, key, said):
    port, there, here = places
    async with server_in(there, port):
        home = Household(here, "alice", url=f"http://127.0.0.1:{port}", key=key or "", address="127.0.0.2")
        if key is None:
            (home.private.parent.parent / "setup-key").unlink()
        async with home.living() as peer:
            status = await peer.until(lambda status: status["membership"]["trouble"])

    assert said in status["membership"]["trouble"]
    assert not key or key not in json.dumps(status)


async def test_two_peers_with_one_name_are_not_let_in(places):
    port = places[0]
    with short_folder() as elsewhere:
        async with enrolled(places) as (server, _):
            key = (await server.setup_key())["key"]
            url = f"http://127.0.0.1:{port}"
            async with Household(elsewhere, "alice", url=url, key=key, address="127.0.0.3").living() as other:
                status = await other.until(lambda status: status["membership"]["trouble"])

    assert "answered 409" in status["membership"]["trouble"]


# --- roles


async def test_a_request_under_way_is_answered_before_the_role_changes():
    async with connected() as (server, alice, _), silence() as silent:
        hub = (await alice.get("/v1/hubs"))[0]
        await alice.ask("PUT", f"/v1/hubs/{hub['id']}/address", {"address": silent})
        answers = []

        async def establish():
            answers.append(await alice.ask("POST", "/v1/keys", {"peer": "bob"}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(establish)  # it waits for a hub that says nothing
            await server.mark(await peer_of(server, "alice"))
            await alice.wait_for("view.changed", role="hub")
            while_it_waits = await alice.ask("POST", "/v1/keys", {"peer": "bob"})
            role_then, ready = (await alice.status())["role"], await alice.ask("GET", "/readyz")
        await alice.until_role("hub")
        afterwards = await alice.ask("POST", "/v1/keys", {"peer": "bob"})

    assert ["too-few-hubs"] == [answer.slug for answer in answers]
    assert ("role-changing", "client") == (while_it_waits.slug, role_then)
    assert (503, "role-changing") == (ready.status, ready.content["issues"][-1]["code"])
    assert "peer-exempt" == afterwards.slug


@asynccontextmanager
async def connected():
    """Alice and bob, registered with two hubs."""
    async with mesh("alice", "bob", "h1", "h2", hubs=("h1", "h2")) as (server, peers):
        clients = peers["alice"], peers["bob"]
        for client in clients:
            for hub in ("h1", "h2"):
                await carry(peers[hub], client)
        for client in clients:
            await client.until(lambda status: status["client"]["hubs_usable"] == 2)
        yield server, *clients


@asynccontextmanager
async def silence():
    """A place where whoever connects waits for ever."""

    async def hold(_):
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hold, listeners)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_a_hub_that_was_a_client_is_a_client_again_with_its_psrd_and_spends_none_of_it_twice():
    async with connected() as (server, alice, bob):
        parts = list(map(type, alice.frame._store._parts))
        first = (await alice.ask("POST", "/v1/keys", {"peer": "bob"})).content["keys"][0]
        before = await alice.get("/v1/ledger")

        await server.mark(await peer_of(server, "alice"))
        hub_id = (await alice.until(lambda status: status["hub"] and status["hub"]["listen"]))["hub"]["id"]
        await bob.until(lambda status: status["membership"]["hubs"] == 3)
        await carry(alice, bob)
        await bob.until(lambda status: status["client"]["hubs_usable"] == 3)
        exempt = await bob.ask("POST", "/v1/keys", {"peer": "alice"})
        await server.mark(await peer_of(server, "alice"), hub=False)
        await alice.until(lambda status: status["client"] and status["client"]["hubs_usable"] == 2)
        await bob.until(lambda status: status["membership"]["hubs"] == 2)
        after = await alice.get("/v1/ledger")
        parts_then = list(map(type, alice.frame._store._parts))
        second = (await alice.ask("POST", "/v1/keys", {"peer": "bob"})).content["keys"][0]
        found = [(await bob.ask("GET", f"/v1/keys/{key['key_id']}")).content["key"] for key in (first, second)]

        await server.mark(await peer_of(server, "alice"))
        again = (await alice.until(lambda status: status["hub"] and status["hub"]["listen"]))["hub"]

    assert "peer-exempt" == exempt.slug
    assert (before, parts) == (after, parts_then)
    assert [first["key"], second["key"]] == found
    assert (hub_id, 1) == (again["id"], again["clients"]["bound"])


async def test_a_role_that_changes_all_the_time_is_held_and_the_agent_says_so(places):
    async with enrolled(places) as (server, home), home.living() as peer:
        await peer.until_role("client")
        alice = await peer_of(server, "alice")
        for turn in range(CHANGES):
            await server.mark(alice, hub=turn % 2 == 0)
            await peer.until_role("hub" if turn % 2 == 0 else "client")
        await server.mark(alice)
        status = await peer.until(lambda status: "role-held" in {issue["code"] for issue in status["issues"]})

    assert "client" == status["role"]


async def test_a_role_that_can_not_begin_is_a_fault_and_is_tried_again(places):
    async with enrolled(places) as (server, home):
        (home.private.parent / "psrd-out").write_text("in the way")
        async with home.living() as peer:
            await peer.until_role("client")
            await server.mark(await peer_of(server, "alice"))
            await peer.until(lambda status: "role-failed" in {issue["code"] for issue in status["issues"]})
            (home.private.parent / "psrd-out").unlink()
            await peer.until_role("hub")


async def test_a_server_does_not_make_a_running_hub_call_itself_something_else_in_its_files():
    async with mesh("h1", hubs=("h1",)) as (server, peers):
        hub, known = peers["h1"], await peer_of(server, "h1")
        await server.ask("PUT", f"/api/peers/{known['id']}", {"ip": "127.0.0.77"})
        await hub.until(lambda status: status["membership"]["address"] == "127.0.0.77")
        hub.pool[0].unlink()
        with trio.fail_after(15):
            while not hub.pool:
                await trio.sleep(0.02)
        named = json.loads(hub.pool[0].read_text())["security_hub_fqdn"]

    assert known["ip"] == named


async def test_a_file_is_bound_to_who_calls_from_its_address_and_to_nobody_else():
    async with mesh("alice", "h1", hubs=("h1",)) as (_, peers):
        await carry(peers["h1"], peers["alice"])
        await peers["alice"].until(lambda status: status["client"]["hubs_usable"] == 1)
        (bound,) = [client["peer"] for client in await peers["h1"].get("/v1/clients") if client["peer"]]

    assert "alice" == bound


async def test_a_file_is_not_bound_to_a_name_that_calls_from_elsewhere(places):
    async with mesh("h1", hubs=("h1",)) as (server, peers):
        url, key = f"http://127.0.0.1:{server.port}", (await server.setup_key())["key"]
        home = Household(places[2], "alice", url=url, key=key, address="127.0.0.8")
        async with home.living() as alice:
            await alice.until(lambda status: status["membership"]["hubs"] == 1)
        home.change('"127.0.0.8"', '"127.0.0.9"')
        async with home.living() as alice:
            await alice.until_role("client")
            await carry(peers["h1"], alice)
            (refused,) = await alice.wait_for("psrd.not-registered")
            (waiting,) = await peers["h1"].wait_for("client.waiting")

    assert "binding-refused" == refused["code"]
    assert ("alice", "127.0.0.9") == (waiting["peer"], waiting["source"])


async def test_policies_say_with_whom_keys_are_made():
    async with mesh("alice", "bob", "h1", hubs=("h1",)) as (server, peers):
        for policy in await server.get("/api/policies"):
            if policy["name"] == "Default":
                await server.ask("DELETE", f"/api/policies/{policy['id']}")
        await peers["alice"].until(lambda status: status["membership"]["peers"] == 1)
        apart = await peers["alice"].ask("POST", "/v1/keys", {"peer": "bob"})

    assert (409, "peer-out-of-reach") == (apart.status, apart.slug)


async def test_the_server_learns_levels_and_codes_and_no_content():
    async with mesh("alice", "h1", hubs=("h1",)) as (server, peers):
        await carry(peers["h1"], peers["alice"])
        status = await peers["alice"].until(lambda status: status["client"]["hubs_usable"] == 1)
        with trio.fail_after(15):
            while not (lines := await lines_of(server))["alice"]["psrd"]:
                await trio.sleep(0.1)
        hub = (await peers["h1"].status())["hub"]

    (level,) = lines["alice"]["psrd"]
    left = status["client"]["hubs"][0]["user_left"]
    assert (hub["id"], "up", left) == (level["hub"], level["state"], level["user_left"])
    told = [lines["h1"]["hub"][name] for name in ("id", "address", "pool_target")]
    assert [hub["id"], hub["address"], 1] == told


async def lines_of(server):
    return {line["name"]: line for line in (await server.get("/api/overview"))["peers"]}
