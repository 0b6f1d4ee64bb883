"""The OpenAPI document: what is kept in docs/ is what is served, and what is served is what the document says."""

import json
from pathlib import Path

import pytest

from tests.local.test_openapi import fits
from tests.management.desks import Desk
from tests.management.test_agents import LEVELS

KEPT = Path(__file__).parents[2] / "docs/management-openapi.json"


async def test_the_document_in_docs_is_the_one_that_is_served():
    """If not: fetch /openapi.json, lay it out with `python -m json.tool --indent 1`, and look at the difference."""
    assert json.loads(KEPT.read_text()) == await Desk().get("/openapi.json", token="")


async def test_every_route_but_the_pages_is_described():
    desk = Desk()
    doc = await desk.get("/openapi.json")
    described = {(method.upper(), path) for path, methods in doc["paths"].items() for method in methods}

    pages = {("GET", "/")} | {("GET", path) for _, path in (("", r.path) for r in desk.routes) if "/dashboard/" in path}
    assert {(route.method, route.path) for route in desk.routes} - pages == described | {("GET", "/openapi.json")}


async def test_only_what_anybody_may_ask_is_open_in_the_document():
    doc = await Desk().get("/openapi.json")
    open_to_all = {
        path for path, methods in doc["paths"].items() for operation in methods.values() if "security" not in operation
    }

    assert {"/agent/v1/enrol"} == open_to_all


ASKED = [
    "/api/peers",
    "/api/peers/{id}",
    "/api/peers/{id}/accessible-peers",
    "/api/groups",
    "/api/groups/{id}",
    "/api/policies",
    "/api/policies/{id}",
    "/api/setup-keys",
    "/api/events/audit",
    "/api/overview",
    "/agent/v1/view",
]


@pytest.mark.parametrize("path", ASKED)
async def test_answers_are_of_the_shape_that_is_described(path):
    desk = Desk()
    alice, hub = await desk.enrol("alice", "h1")
    await desk.mark(hub)
    await desk.report(hub, role="hub", hub=LEVELS)
    await desk.policy("all", "all", ports=["22"], protocol="tcp")
    ids = {"peers": alice["id"], "groups": "all", "policies": "default"}
    answer = await desk.get(
        path.replace("{id}", ids.get(path.split("/")[2], "")),
        token=alice["token"] if path.startswith("/agent") else "the-token-of-an-operator",
    )
    doc = await desk.get("/openapi.json")
    schema = doc["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    assert answer
    assert fits(answer, schema, doc["components"]["schemas"])
