"""How machines become peers: keys that are good once, for a while, or not any more; names; lost answers."""

import pytest

from tests.management.desks import Desk, by_name, said, wish
from tests.management.test_agents import REPORT


async def enrol(desk, key, name, **more):
    return await desk.ask("POST", "/agent/v1/enrol", wish(key["key"], name), token="", **more)


async def test_a_key_that_is_good_once_lets_in_one():
    desk = Desk()
    key = await desk.key(type="one-off")
    first, second = await enrol(desk, key, "alice"), await enrol(desk, key, "bob")
    shown = await desk.get(f"/api/setup-keys/{key['id']}")

    assert (200, (403, "setup_key: this setup key is overused")) == (first.status, said(second))
    assert ("overused", 1, False) == (shown["state"], shown["used_times"], shown["valid"])


async def test_a_reusable_key_lets_in_as_many_as_its_limit_says():
    desk = Desk()
    limited, endless = await desk.key(usage_limit=2), await desk.key()
    statuses = [(await enrol(desk, limited, name)).status for name in ("a", "b", "c")]

    assert [200, 200, 403] == statuses
    assert [200] * 3 == [(await enrol(desk, endless, name)).status for name in ("d", "e", "f")]


async def test_a_key_expires():
    desk = Desk()
    key = await desk.key(expires_in=60)
    desk.now += 59
    before = await enrol(desk, key, "alice")
    desk.now += 1

    assert (200, (403, "setup_key: this setup key is expired")) == (before.status, said(await enrol(desk, key, "bob")))


async def test_a_key_that_was_revoked_lets_nobody_in_and_stays_revoked():
    desk = Desk()
    key = await desk.key()
    path, back = f"/api/setup-keys/{key['id']}", {"revoked": False, "auto_groups": []}
    await desk.told("PUT", path, {"revoked": True, "auto_groups": []})

    assert (403, "setup_key: this setup key is revoked") == said(await enrol(desk, key, "alice"))
    assert 422 == (await desk.ask("PUT", path, back)).status


async def test_a_key_that_nobody_made_is_not_known():
    status, why = said(await enrol(Desk(), {"key": "7F3A0000-0000-4000-8000-000000000000"}, "alice"))

    assert (401, "setup_key: there is no such setup key") == (status, why)


async def test_a_peer_comes_into_the_groups_of_its_key():
    desk = Desk()
    group = await desk.told("POST", "/api/groups", {"name": "lab"})
    await enrol(desk, await desk.key(auto_groups=[group["id"]]), "alice")

    assert ["alice"] == [peer["name"] for peer in by_name(await desk.get("/api/groups"), "lab")["peers"]]


async def test_two_peers_do_not_have_one_name():
    desk = Desk()
    await desk.enrol("alice", "bob")
    key = await desk.key()
    bob = by_name(await desk.get("/api/peers"), "bob")
    renamed = await desk.ask("PUT", f"/api/peers/{bob['id']}", {"name": "alice"})

    assert (409, 409) == ((await enrol(desk, key, "alice")).status, renamed.status)


async def test_a_machine_whose_answer_was_lost_may_ask_again_until_it_was_heard():
    desk = Desk()
    key = await desk.key(type="one-off")
    lost = await desk.told("POST", "/agent/v1/enrol", wish(key["key"], "alice"), token="")
    again = await desk.told("POST", "/agent/v1/enrol", wish(key["key"], "alice"), token="")
    old = await desk.ask("GET", "/agent/v1/view", token=lost["token"])
    await desk.get("/agent/v1/view", token=again["token"])
    late = await enrol(desk, key, "alice")

    assert (lost["id"], True) == (again["id"], lost["token"] != again["token"])
    assert (401, 403) == (old.status, late.status)


async def test_however_often_a_machine_asks_again_the_audit_has_it_once():
    desk = Desk()
    key = await desk.key(type="one-off")
    statuses = {(await enrol(desk, key, "alice")).status for _ in range(20)}
    codes = [event["activity_code"] for event in await desk.get("/api/events/audit")]

    assert ({200}, ["peer.setupkey.add", "setupkey.add"]) == (statuses, codes[:2])


async def test_another_machine_does_not_get_the_name_of_one_that_was_not_heard_yet():
    desk = Desk()
    key = await desk.key()
    await enrol(desk, key, "alice")
    other_key = await desk.key()

    assert 409 == (await enrol(desk, key, "alice", address="100.64.0.77")).status
    assert 409 == (await enrol(desk, other_key, "alice")).status


async def test_a_revoked_key_gives_no_new_token_for_a_lost_answer():
    desk = Desk()
    key = await desk.key()
    await enrol(desk, key, "alice")
    await desk.told("PUT", f"/api/setup-keys/{key['id']}", {"revoked": True, "auto_groups": []})

    assert 403 == (await enrol(desk, key, "alice")).status


async def test_a_name_that_was_given_up_is_free():
    desk = Desk()
    (alice,) = await desk.enrol("alice")
    await desk.told("DELETE", f"/api/peers/{alice['id']}")

    assert 200 == (await enrol(desk, await desk.key(), "alice")).status


async def test_a_peer_is_shown_with_what_it_said_and_when_it_was_heard():
    desk = Desk()
    key, more = await desk.key(), {"hostname": "alice.lan", "os": "Debian 12", "kernel_version": "6.1"}
    peer = await desk.told("POST", "/agent/v1/enrol", wish(key["key"], "alice", **more), token="")
    silent = await desk.get(f"/api/peers/{peer['id']}")
    await desk.told("PUT", "/agent/v1/report", {**REPORT, "name": "alice", "role": "client"}, token=peer["token"])
    heard = await desk.get(f"/api/peers/{peer['id']}")
    desk.now += 120
    lost = await desk.get(f"/api/peers/{peer['id']}")

    assert ("alice.lan", "Debian 12", "6.1", "100.64.0.9") == tuple(
        heard[name] for name in ("hostname", "os", "kernel_version", "ip")
    )
    assert [False, True, False] == [shown["connected"] for shown in (silent, heard, lost)]
    assert ("", "client") == (silent["dske_role"], heard["dske_role"])


@pytest.mark.parametrize(
    "asked, status",
    [
        ({"ip": "100.64.0.77"}, 200),
        ({"ip": "here"}, 422),
        ({"name": "Alice"}, 422),
        ({"name": "alice"}, 200),
        ({"approval_required": True}, 200),
        ({"dske_security_hub": None}, 400),
        ({"colour": "red"}, 400),
    ],
)
async def test_an_operator_changes_what_may_be_changed_of_a_peer(asked, status):
    desk = Desk()
    (peer,) = await desk.enrol("alice")
    answer = await desk.ask("PUT", f"/api/peers/{peer['id']}", asked)
    shown = await desk.get(f"/api/peers/{peer['id']}")

    assert status == answer.status
    if status == 200:
        assert asked == {name: shown[name] for name in asked}


async def test_a_peer_may_be_sent_back_as_it_was_shown():
    desk = Desk()
    (peer,) = await desk.enrol("alice")
    shown = await desk.get(f"/api/peers/{peer['id']}")

    assert shown == await desk.told("PUT", f"/api/peers/{peer['id']}", shown)
