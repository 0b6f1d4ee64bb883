"""An independent client of NetBird's API works against ours; and our answers are of the shape of its document."""

import os
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.management.servers import serving

netbird = pytest.importorskip("netbird", reason="the netbird package is not installed")
models = pytest.importorskip("netbird.models")

SPECS = Path(os.environ.get("QFAGENT_SPECS", Path(__file__).parents[3] / "shared" / "specs"))
SUBSET = SPECS / "netbird-subset.yml"


async def run(function, *arguments, **more):
    return await trio.to_thread.run_sync(partial(function, *arguments, **more))


@pytest.fixture
def client_of():
    made = []

    def make(server, token=None):
        made.append(netbird.APIClient(host=f"http://127.0.0.1:{server.port}", api_token=token or server.token))
        return made[-1]

    yield make
    for client in made:
        client.client.close()


async def test_peers_are_listed_shown_changed_and_removed(client_of):
    async with serving() as server:
        api = client_of(server)
        alice, bob = await server.enrol("alice", "bob")
        listed = await run(api.peers.list)
        named = await run(api.peers.list, name="ali")
        changed = await run(api.peers.update, bob["id"], models.PeerUpdate(name="robert", ssh_enabled=True))
        reached = await run(api.peers.get_accessible_peers, alice["id"])
        await run(api.peers.delete, alice["id"])
        left = await run(api.peers.list)

    assert (["alice", "bob"], ["alice"], ["robert"]) == tuple(
        [peer["name"] for peer in peers] for peers in (listed, named, reached)
    )
    assert (["robert"], True) == ([models.Peer(**peer).name for peer in left], changed["ssh_enabled"])


async def test_groups_are_made_changed_and_removed(client_of):
    async with serving() as server:
        api = client_of(server)
        (alice,) = await server.enrol("alice")
        made = await run(api.groups.create, models.GroupCreate(name="lab", peers=[alice["id"]]))
        renamed = await run(api.groups.update, made["id"], models.GroupUpdate(name="rooms", peers=[]))
        listed = [models.Group(**group).name for group in await run(api.groups.list)]
        await run(api.groups.delete, made["id"])
        with pytest.raises(netbird.exceptions.NetBirdNotFoundError):
            await run(api.groups.get, made["id"])

    assert ([1, 0], ["All", "rooms"]) == ([group["peers_count"] for group in (made, renamed)], listed)


async def test_policies_are_made_changed_and_removed(client_of):
    sides = {"sources": ["all"], "destinations": ["all"]}
    said = {"name": "web", "enabled": True, "action": "accept", "bidirectional": False}
    rule = models.PolicyRule(**said, **sides, protocol="tcp", ports=["443"])
    async with serving() as server:
        api = client_of(server)
        made = await run(api.policies.create, models.PolicyCreate(name="web", enabled=True, rules=[rule]))
        off = models.PolicyUpdate(name="web", enabled=False, rules=[rule])
        changed = await run(api.policies.update, made["id"], off)
        listed = [models.Policy(**policy).enabled for policy in await run(api.policies.list)]
        await run(api.policies.delete, made["id"])
        left = await run(api.policies.list)

    assert ([True, False], ["443"]) == (listed, changed["rules"][0]["ports"])
    assert ["Default"] == [policy["name"] for policy in left]


async def test_setup_keys_are_made_revoked_and_removed(client_of):
    async with serving() as server:
        api = client_of(server)
        wish = models.SetupKeyCreate(name="lab", type="reusable", expires_in=86400, auto_groups=[], usage_limit=3)
        made = models.SetupKey(**await run(api.setup_keys.create, wish))
        revoked = await run(api.setup_keys.update, made.id, models.SetupKeyUpdate(revoked=True, auto_groups=[]))
        await run(api.setup_keys.delete, made.id)
        left = await run(api.setup_keys.list)

    assert (True, "revoked", []) == (made.valid, revoked["state"], left)


async def test_events_tell_who_did_what(client_of):
    async with serving() as server:
        api = client_of(server)
        (alice,) = await server.enrol("alice")
        await run(api.peers.update, alice["id"], models.PeerUpdate(name="alicia"))
        renamed, *_ = await run(api.events.get_audit_events)

    assert ("peer.rename", "operator", alice["id"]) == tuple(
        renamed[name] for name in ("activity_code", "initiator_name", "target_id")
    )
    assert ('{"name":"alice"}', '{"name":"alicia"}') == (renamed["meta"]["before"], renamed["meta"]["after"])


async def test_refusals_are_the_clients_own_errors(client_of):
    async with serving() as server:
        (alice,) = await server.enrol("alice")
        wrong, api = client_of(server, "wrong"), client_of(server)
        with pytest.raises(netbird.exceptions.NetBirdAuthenticationError):
            await run(wrong.peers.list)
        with pytest.raises(netbird.exceptions.NetBirdValidationError, match="peer name"):
            await run(api.peers.update, alice["id"], models.PeerUpdate(name="Not A Name"))


# --- the document


@pytest.fixture(scope="module")
def subset():
    yaml = pytest.importorskip("yaml", reason="there is no YAML reader here")
    if not SUBSET.exists():
        pytest.skip(f"NetBird's document is not at hand; QFAGENT_SPECS says where {SUBSET.name} lies")
    return yaml.safe_load(SUBSET.read_text())


def required(doc, schema, prefix=""):
    """The paths of everything that an answer must have."""
    if "$ref" in schema:
        return required(doc, doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]], prefix)
    if "allOf" in schema:
        return set().union(*(required(doc, one, prefix) for one in schema["allOf"]))
    if schema.get("type") == "array":
        return required(doc, schema["items"], prefix)
    names = {f"{prefix}{name}" for name in schema.get("required", [])}
    inner = schema.get("properties", {})
    return names.union(
        *(required(doc, inner[name], f"{prefix}{name}.") for name in schema.get("required", []) if name in inner)
    )


def missing(answer, paths):
    return {path for path in paths if not _has(answer, path.split("."))}


def _has(value, names):
    if isinstance(value, list):
        return all(_has(one, names) for one in value)
    return not names or (names[0] in value and _has(value[names[0]], names[1:]))


async def test_answers_have_every_field_that_netbirds_document_requires(subset):
    async with serving() as server:
        alice, hub = await server.enrol("alice", "h1")
        await server.mark(hub)
        paths = {
            "/api/peers": "/api/peers",
            "/api/peers/{peerId}": f"/api/peers/{alice['id']}",
            "/api/peers/{peerId}/accessible-peers": f"/api/peers/{alice['id']}/accessible-peers",
            "/api/groups": "/api/groups",
            "/api/policies": "/api/policies",
            "/api/setup-keys": "/api/setup-keys",
            "/api/events/audit": "/api/events/audit",
        }
        for described, path in paths.items():
            operation = subset["paths"][described]["get"]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            answer, wanted = await server.get(path), required(subset, schema)

            assert answer
            assert (path, set()) == (path, missing(answer, wanted))
