"""The rule of the hubs: whatever an operator does, every peer reaches every hub, and nothing of that can be changed."""

import msgspec
import pytest

from qfagent.management import hub_rule
from qfagent.management.network import ALL, HUBS, HUBS_NAME, Group, Network, put
from tests.management.desks import RULE, Desk, by_name, said

EVERYBODY = {**RULE, "sources": [ALL], "destinations": [ALL]}


async def names_in(desk, group):
    return [peer["name"] for peer in by_name(await desk.get("/api/groups"), group)["peers"]]


async def test_with_the_first_hub_come_a_group_and_a_policy_between_it_and_everybody():
    desk = Desk()
    _, hub = await desk.enrol("alice", "h1")
    before = [group["name"] for group in await desk.get("/api/groups")]
    await desk.mark(hub)

    (rule,) = by_name(await desk.get("/api/policies"), HUBS_NAME)["rules"]
    assert (["All"], ["h1"]) == (before, await names_in(desk, HUBS_NAME))
    assert (["All"], [HUBS_NAME]) == tuple(
        [group["name"] for group in rule[side]] for side in ("sources", "destinations")
    )
    assert (True, "all", "accept") == (rule["bidirectional"], rule["protocol"], rule["action"])


async def test_later_hubs_join_the_group_and_a_hub_whose_flag_is_taken_away_leaves_it():
    desk = Desk()
    first, second = await desk.enrol("h1", "h2")
    await desk.mark(first)
    await desk.mark(second)
    both = await names_in(desk, HUBS_NAME)
    await desk.mark(first, hub=False)

    assert (["h1", "h2"], ["h2"]) == (both, await names_in(desk, HUBS_NAME))


async def test_group_and_policy_stay_when_the_last_hub_is_gone():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    await desk.mark(hub, hub=False)

    policies = {policy["id"] for policy in await desk.get("/api/policies")}
    assert ([], {"default", HUBS}) == (await names_in(desk, HUBS_NAME), policies)


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("DELETE", f"/api/groups/{HUBS}", b""),
        ("PUT", f"/api/groups/{HUBS}", {"name": "mine", "peers": []}),
        ("DELETE", f"/api/groups/{ALL}", b""),
        ("PUT", f"/api/groups/{ALL}", {"name": "All", "peers": []}),
        ("DELETE", f"/api/policies/{HUBS}", b""),
        ("PUT", f"/api/policies/{HUBS}", {"name": "mine", "enabled": False, "rules": [EVERYBODY]}),
    ],
)
async def test_what_is_the_servers_is_not_to_be_changed_or_deleted(method, path, body):
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    before = desk.network
    status, why = said(await desk.ask(method, path, body))

    assert (403, True, before) == (status, "kept by the server" in why, desk.network)


@pytest.mark.parametrize("name", [HUBS_NAME, "dske security hubs", "ALL"])
async def test_nobody_else_may_use_its_names(name):
    desk = Desk()
    group = await desk.ask("POST", "/api/groups", {"name": name})
    policy = await desk.ask("POST", "/api/policies", {"name": name, "enabled": True, "rules": [EVERYBODY]})

    assert (409, 409) == (group.status, policy.status)


async def test_a_setup_key_makes_no_hub():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    body = {"name": "k", "type": "reusable", "expires_in": 0, "auto_groups": [HUBS]}
    status, why = said(await desk.ask("POST", "/api/setup-keys", body))

    assert (422, True) == (status, why.startswith("auto_groups: "))


async def test_every_peer_reaches_the_hubs_when_the_default_policy_is_gone_and_another_drops_everything():
    desk = Desk()
    alice, bob, hub = await desk.enrol("alice", "bob", "h1")
    await desk.mark(hub)
    await desk.told("DELETE", "/api/policies/default")
    await desk.policy(ALL, ALL, action="drop")
    reached = {
        name: [peer["name"] for peer in await desk.get(f"/api/peers/{peer['id']}/accessible-peers")]
        for name, peer in (("alice", alice), ("bob", bob), ("h1", hub))
    }

    assert {"alice": ["h1"], "bob": ["h1"], "h1": ["alice", "bob"]} == reached


async def test_a_hub_is_exempt_by_itself_and_not_afterwards():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    marked = await desk.mark(hub)
    said_no = await desk.told("PUT", f"/api/peers/{hub['id']}", {"aes_exempt": True, "dske_security_hub": True})
    unmarked = await desk.mark(hub, hub=False)

    assert [True, True, False] == [shown["aes_exempt"] for shown in (marked, said_no, unmarked)]


async def test_a_peer_may_be_exempt_without_being_a_hub():
    desk = Desk()
    (peer,) = await desk.enrol("printer")
    shown = await desk.told("PUT", f"/api/peers/{peer['id']}", {"aes_exempt": True})

    assert (True, False) == (shown["aes_exempt"], shown["dske_security_hub"])


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM things WHERE id = 'dske-security-hubs'",
        "DELETE FROM things WHERE id = 'dske-security-hubs' AND kind = 'groups'",
        "DELETE FROM things WHERE kind = 'policies'",
        "UPDATE things SET said = replace(said, 'accept', 'drop') WHERE id = 'dske-security-hubs'",
        "UPDATE things SET said = replace(said, 'DSKE', 'OTHER') WHERE kind = 'groups'",
        "DELETE FROM things WHERE id = 'all'",
    ],
)
async def test_damage_is_repaired_at_the_next_start_and_told(damage):
    desk = Desk()
    _, hub = await desk.enrol("alice", "h1")
    await desk.mark(hub)
    desk.archive._connection.execute(damage)
    desk.events.clear()
    await desk.restart()

    assert (hub_rule.GROUP, hub_rule.POLICY) == (desk.network.groups[HUBS], desk.network.policies[HUBS])
    assert (hub_rule.EVERYBODY, desk.network) == (desk.network.groups[ALL], desk.archive.load())
    assert {("network.changed", "server")} == {(name, fields["who"]) for name, fields in desk.events}


def test_a_network_that_has_what_it_needs_stays_the_same_one():
    network = hub_rule.enforce(put(Network(), Group("g", "g")))

    assert hub_rule.enforce(network) is network


def test_a_policy_that_somebody_switched_off_is_on_again():
    off = msgspec.structs.replace(hub_rule.POLICY, enabled=False)
    network = hub_rule.enforce(put(Network(), hub_rule.GROUP, off))

    assert hub_rule.POLICY == network.policies[HUBS]
