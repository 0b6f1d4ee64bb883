"""Groups and policies: what is asked for is what is kept, and what can't be kept as it is meant is refused."""

import pytest

from tests.management.desks import RULE, Desk, said

RULES = {**RULE, "sources": ["all"], "destinations": ["all"]}


def wanted(**more):
    return {"name": "web", "enabled": True, "rules": [{**RULES, **more}]}


async def test_a_policy_is_shown_as_it_was_asked_for():
    desk = Desk()
    asked = wanted(protocol="tcp", port_ranges=[{"start": 8000, "end": 8080}], description="for browsers")
    made = await desk.told("POST", "/api/policies", asked)
    (rule,) = made["rules"]

    assert asked["rules"][0]["port_ranges"] == rule["port_ranges"]
    assert ("for browsers", ["All"]) == (rule["description"], [group["name"] for group in rule["sources"]])
    assert made == await desk.get(f"/api/policies/{made['id']}")


async def test_a_policy_is_replaced_whole():
    desk = Desk()
    made = await desk.told("POST", "/api/policies", wanted(protocol="tcp", ports=["443"]))
    changed = await desk.told("PUT", f"/api/policies/{made['id']}", {**wanted(action="drop"), "name": "no web"})

    assert ("no web", "drop", False) == (changed["name"], changed["rules"][0]["action"], "ports" in changed["rules"][0])


@pytest.mark.parametrize(
    "more, status, where",
    [
        ({"authorized_groups": {"all": ["root"]}}, 422, "rules[0].authorized_groups"),
        ({"sourceResource": {"id": "x", "type": "host"}}, 400, "sourceResource"),
        ({"sources": []}, 422, "rules[0].sources"),
        ({"destinations": ["nowhere"]}, 422, "rules[0].destinations"),
        ({"protocol": "tcp", "ports": ["0"]}, 422, "rules[0].ports"),
        ({"protocol": "tcp", "ports": ["65536"]}, 422, "rules[0].ports"),
        ({"protocol": "tcp", "ports": ["http"]}, 400, "rules[0].ports"),
        ({"protocol": "tcp", "port_ranges": [{"start": 9, "end": 8}]}, 422, "rules[0].port_ranges"),
        ({"protocol": "tcp", "port_ranges": [{"start": 0, "end": 8}]}, 422, "rules[0].port_ranges"),
        ({"ports": ["1"], "port_ranges": [{"start": 1, "end": 2}]}, 422, "rules[0].port_ranges"),
        ({"protocol": "carrier-pigeon"}, 400, "rules[0].protocol"),
    ],
)
async def test_a_rule_that_can_not_be_kept_as_it_is_meant_is_refused(more, status, where):
    desk = Desk()
    answered, why = said(await desk.ask("POST", "/api/policies", wanted(**more)))

    assert (status, True) == (answered, where in why), why
    assert ["default"] == list(desk.network.policies)


async def test_posture_checks_are_refused():
    answer = await Desk().ask("POST", "/api/policies", {**wanted(), "source_posture_checks": ["x"]})

    assert 400 == answer.status


async def test_two_groups_do_not_have_one_name_and_a_group_may_keep_its_own():
    desk = Desk()
    group = await desk.told("POST", "/api/groups", {"name": "lab"})
    other = await desk.told("POST", "/api/groups", {"name": "rooms"})
    statuses = [
        (await desk.ask(*asked)).status
        for asked in (
            ("POST", "/api/groups", {"name": "lab"}),
            ("PUT", f"/api/groups/{other['id']}", {"name": "lab"}),
            ("PUT", f"/api/groups/{group['id']}", {"name": "lab"}),
        )
    ]

    assert [409, 409, 200] == statuses


async def test_a_group_is_found_by_its_name():
    desk = Desk()
    found = await desk.get("/api/groups?name=All")
    missing = await desk.ask("GET", "/api/groups?name=all")

    assert (["All"], 404) == ([group["name"] for group in found], missing.status)
