"""Managed agents and a real server: enrolled, marked, carried to, asked for keys, unmarked, alone, and back."""

import json
import stat

import trio

from qfagent.cli.program import main
from tests.local.frames import free_port, short_folder
from tests.managed.peers import Household, carry, mesh, peer_of
from tests.management.servers import serving


async def test_a_peer_enrols_and_is_a_client_until_it_is_marked():
    async with mesh("alice") as (server, peers):
        status = await peers["alice"].status()
        known = await peer_of(server, "alice")

    assert ("client", known["id"], "127.0.0.2") == (
        status["role"],
        status["membership"]["id"],
        status["membership"]["address"],
    )


async def test_its_token_is_for_its_owner_only_and_in_no_event():
    async with mesh("alice") as (_, peers):
        badge = peers["alice"].home.private / "management-badge.json"
        token = json.loads(badge.read_text())["token"]
        key = (peers["alice"].home.private / ".." / ".." / "setup-key").read_text().strip()
        told = json.dumps(list(peers["alice"].frame.bus.recent)) + json.dumps(await peers["alice"].status())

        assert 0o600 == stat.S_IMODE(badge.stat().st_mode)
    assert token not in told
    assert key not in told
    assert token not in (str(badge), repr(badge))


async def test_a_marked_peer_becomes_a_hub_without_a_restart_and_fills_its_pool():
    async with mesh("alice", "h1") as (server, peers):
        pid_of_store = id(peers["h1"].frame._store)
        await server.mark(await peer_of(server, "h1"))
        status = await peers["h1"].until(lambda status: status["role"] == "hub" and status["hub"]["listen"])
        seen = await peers["alice"].until(lambda status: status["membership"]["hubs"] == 1)

        assert pid_of_store == id(peers["h1"].frame._store)
        assert 1 == len(peers["h1"].pool)
    assert "127.0.0.3" == status["hub"]["address"].partition(":")[0]
    assert "client" == seen["role"]


async def test_keys_are_made_through_marked_hubs_and_the_network_follows_when_one_is_unmarked():
    async with mesh("alice", "bob", "h1", "h2", "h3", hubs=("h1", "h2", "h3")) as (server, peers):
        alice, bob = peers["alice"], peers["bob"]
        for client in (alice, bob):
            for hub in ("h1", "h2", "h3"):
                await carry(peers[hub], client)
        for client in (alice, bob):
            await client.until(lambda status: status["client"]["hubs_usable"] == 3)
        made = (await alice.ask("POST", "/v1/keys", {"peer": "bob"})).content["keys"][0]
        found = (await bob.ask("GET", f"/v1/keys/{made['key_id']}")).content

        await server.mark(await peer_of(server, "h3"), hub=False)
        await peers["h3"].until_role("client")
        left = await alice.until(lambda status: status["membership"]["hubs"] == 2)
        again = await alice.ask("POST", "/v1/keys", {"peer": "bob"})

    assert made["key"] == found["key"]
    assert {"left": 1, "up": 2} == {
        state: [hub["state"] for hub in left["client"]["hubs"]].count(state) for state in ("left", "up")
    }
    assert 200 == again.status


async def test_a_hub_that_the_server_has_elsewhere_is_told_until_an_operator_says_where_it_is():
    async def moves(address):
        assert 200 == (await alice.ask("PUT", f"/v1/hubs/{hub['id']}/address", {"address": address})).status

    async with mesh("alice", "h1", hubs=("h1",)) as (_, peers):
        alice = peers["alice"]
        await carry(peers["h1"], alice)
        hub = (await alice.until(lambda status: status["client"]["hubs_usable"] == 1))["client"]["hubs"][0]
        before = await alice.codes()
        await moves(f"{hub['host']}:{free_port()}")
        meanwhile = await alice.codes()
        await moves(f"{hub['host']}:{hub['port']}")
        after = await alice.codes()

    assert "hub-moved" in meanwhile - before
    assert "hub-moved" not in after


async def test_with_an_interface_a_peer_calls_from_its_address_and_stays_on_it():
    async with serving() as server:
        url, key = f"http://127.0.0.1:{server.port}", (await server.setup_key())["key"]
        with short_folder() as folder:
            home = Household(folder, "alice", url=url, key=key, address="127.0.0.2")
            home.change('interface = ""', 'interface = "lo"')
            home.change('\naddress = "127.0.0.2"', "")
            async with home.living() as peer:
                status = await peer.until_role("client")

    assert "127.0.0.1" == status["membership"]["address"]


async def test_without_its_interface_a_peer_calls_nobody_and_says_so():
    async with serving() as server:
        url, key = f"http://127.0.0.1:{server.port}", (await server.setup_key())["key"]
        with short_folder() as folder:
            home = Household(folder, "alice", url=url, key=key, address="127.0.0.2")
            home.change('interface = ""', 'interface = "wg-missing"')
            home.change('\naddress = "127.0.0.2"', "")
            async with home.living() as peer:
                status = await peer.until(lambda status: status["membership"]["trouble"])
                calls = await server.get("/api/peers")

    assert "the interface wg-missing is missing" in status["membership"]["trouble"]
    assert [] == calls


async def test_the_shell_is_told_who_manages_it(capsys):
    async with mesh("alice") as (server, peers):
        known = await peer_of(server, "alice")
        await trio.to_thread.run_sync(main, "qfagent", ["status", "--socket", peers["alice"].path])
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line.strip())

    told = {name: lines[name].strip() for name in ("name", "managed by", "known as", "in reach")}
    assert {
        "name": "alice, client",
        "managed by": f"http://127.0.0.1:{server.port}",
        "known as": f"{known['id']}, at 127.0.0.2",
        "in reach": "hubs 0, peers 1",
    } == told
