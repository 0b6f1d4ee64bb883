"""The OpenAPI document says what the control socket does: every route, and answers of the shape that it names."""

import json
import re
from pathlib import Path

import pytest

from qfagent import __version__
from qfagent.http.openapi import document
from qfagent.http.routes import Route
from tests.client.boxes import file_of
from tests.local.frames import running

DOCS = Path(__file__).parents[2] / "docs"
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value, schema, components, at="$"):
    """Holds a value against a JSON schema, as far as ours go; AssertionError says where it does not fit."""
    if "$ref" in schema:
        return fits(value, components[schema["$ref"].rpartition("/")[2]], components, at)
    if "anyOf" in schema:
        assert any(_holds(value, option, components, at) for option in schema["anyOf"]), f"{at}: {value!r}"
        return True
    known = {
        "type",
        "title",
        "description",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "default",
        "enum",
    }
    known |= {"contentEncoding", "minimum", "maximum", "prefixItems"}
    known |= {"pattern", "minLength", "maxLength", "minItems", "maxItems"}
    assert set(schema) <= known, f"{at}: this check does not know {set(schema) - known}"
    if "type" in schema:
        kinds = TYPES[schema["type"]]
        assert isinstance(value, kinds), f"{at}: expected {schema['type']}, got {value!r}"
        assert not (isinstance(value, bool) and schema["type"] in ("integer", "number")), at
    for name in schema.get("required", []):
        assert name in value, f"{at}: {name} is missing"
    if isinstance(value, dict):
        more = schema.get("additionalProperties", {})
        for name, inner in value.items():
            assert name in schema.get("properties", {}) or "additionalProperties" in schema, (
                f"{at}.{name} is not described"
            )
            fits(inner, schema.get("properties", {}).get(name, more), components, f"{at}.{name}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for number, inner in enumerate(value):
            each = first[number] if number < len(first) else schema.get("items", {})
            fits(inner, each, components, f"{at}[{number}]")
    return True


def _holds(value, schema, components, at):
    try:
        return fits(value, schema, components, at)
    except AssertionError:
        return False


def described(doc, method, path):
    answer = doc["paths"][path][method]["responses"]["200"]
    return answer["content"]["application/json"]["schema"]


@pytest.mark.parametrize("role", ["client", "hub"])
async def test_every_route_is_described_and_nothing_else(role):
    async with running(role) as agent:
        doc = await agent.get("/openapi.json")
        routes = {(route.method.lower(), route.path): route for route in agent.frame.routes()}

        assert set(routes) == {(method, path) for path, methods in doc["paths"].items() for method in methods}
        for (method, path), route in routes.items():
            operation = doc["paths"][path][method]
            parameters = {(p["name"], p["in"]) for p in operation["parameters"]}
            expected = {(name, "path") for name in re.findall(r"\{(\w+)\}", path)} | {
                (name, "query") for name in route.query
            }
            assert expected == parameters
            assert (route.verb, route.summary) == (operation["x-permission"], operation["summary"])
            assert (route.takes is not None) == ("requestBody" in operation)
            assert {"200", "default"} == set(operation["responses"])


@pytest.mark.parametrize("role", ["client", "hub"])
async def test_the_document_in_docs_is_the_one_that_is_served(role):
    """If not: fetch /openapi.json, lay it out with `python -m json.tool --indent 1`, and look at the difference."""
    async with running(role) as agent:
        served = await agent.get("/openapi.json")

    assert json.loads((DOCS / f"{role}-openapi.json").read_text()) == served


async def test_the_document_is_whole():
    async with running("client") as agent:
        doc = await agent.get("/openapi.json")

    assert ("3.1.0", __version__) == (doc["openapi"], doc["info"]["version"])
    assert sorted(doc["paths"]) == list(doc["paths"])
    named = set(re.findall(r"#/components/schemas/(\w+)", str(doc)))
    assert named == set(doc["components"]["schemas"])


async def test_no_two_routes_have_the_same_method_and_a_path_that_both_match():
    async with running("hub") as hub, running("client") as client:
        for agent in (hub, client):
            routes = agent.frame.routes()
            plain = [(r.method, re.sub(r"\{\w+\}", "x", r.path)) for r in routes]
            for method, path in plain:
                matching = [route for route in routes if route.method == method and route.match(path) is not None]
                assert [path] == [re.sub(r"\{\w+\}", "x", route.path) for route in matching]


async def test_a_clients_answers_are_of_the_shape_that_is_described():
    async with running("client", name="alice") as agent:
        doc = await agent.get("/openapi.json")
        receipt = (await agent.ask("POST", "/v1/psrd", file_of())).content
        reloaded = (await agent.ask("POST", "/v1/reload")).content
        paths = ("/v1/status", "/v1/hubs", "/v1/psrd", "/v1/ledger", "/v1/peers", "/readyz")
        checked = [("get", path, await agent.get(path)) for path in paths]
        checked += [("post", "/v1/psrd", receipt), ("post", "/v1/reload", reloaded)]

        assert 1 == len(await agent.get("/v1/ledger")) == len(await agent.get("/v1/hubs"))
        for method, path, content in checked:
            assert fits(content, described(doc, method, path), doc["components"]["schemas"]), path


async def test_a_hubs_answers_are_of_the_shape_that_is_described():
    async with running("hub", name="h1") as agent:
        doc = await agent.get("/openapi.json")
        added = (await agent.ask("POST", "/v1/clients", {"name": "alice"})).content
        expired = (await agent.ask("POST", "/v1/clients/expire", {"older_than": 1000})).content
        checked = [
            ("get", path, await agent.get(path)) for path in ("/v1/status", "/v1/clients", "/v1/pool", "/readyz")
        ]
        checked += [("post", "/v1/clients", added), ("post", "/v1/clients/expire", expired)]

        assert {"removed": 0} == expired
        for method, path, content in checked:
            assert fits(content, described(doc, method, path), doc["components"]["schemas"]), path


async def test_what_a_route_takes_is_what_its_description_says():
    async with running("hub") as agent:
        doc = await agent.get("/openapi.json")
        body = doc["paths"]["/v1/clients/{id}/psrd"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schemas = doc["components"]["schemas"]

    assert fits({"user_bytes": 1024, "server_bytes": 1024}, body, schemas)
    assert not _holds({"user_bytes": 1024}, body, schemas, "$")
    assert not _holds({"user_bytes": 1024, "server_bytes": "1024"}, body, schemas, "$")


def test_the_check_itself_finds_what_does_not_fit():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}

    assert [True, False, False, False, False] == [
        _holds(value, schema, {}, "$") for value in ({"a": 1}, {}, {"a": "1"}, {"a": True}, {"a": 1, "b": 2})
    ]


def test_a_route_matches_its_path_and_no_other():
    route = Route("GET", "/v1/blocks/{id}/retire", "admin", None, "x")

    assert {"id": "abc"} == route.match("/v1/blocks/abc/retire")
    assert {"id": "a/b"} == route.match("/v1/blocks/a%2Fb/retire")
    paths = (
        "/v1/blocks//retire",
        "/v1/blocks/a/b/retire",
        "/v1/blocks/abc/retire/",
        "x/v1/blocks/abc/retire",
        "/v1/blocks/a",
    )
    assert [None] * 5 == [route.match(path) for path in paths]


def test_a_dot_in_a_path_is_a_dot():
    assert Route("GET", "/openapi.json", "observe", None, "x").match("/openapiXjson") is None


def test_a_document_of_no_routes_is_empty():
    assert {} == document([], title="x")["paths"]
