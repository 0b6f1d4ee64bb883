"""Managed agents and a real server: enrolled, marked, carried to, asked for keys, unmarked, alone, and back."""

import json
import stat

from tests.managed.peers import carry, mesh, peer_of


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
