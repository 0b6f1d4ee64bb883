"""The OpenAPI document of an interface, read off its table of routes."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qfagent import __version__
from qfagent.http.routes import Route

_PROBLEM: Final = {
    "description": "why not: RFC 9457 problem details, whose `type` ends in a stable word",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}
_REFERENCE: Final = "#/components/schemas/{name}"


def document(routes: Sequence[Route], *, title: str) -> dict[str, Any]:
    """The whole document, as plain data."""
    kinds = [kind for route in routes for kind in (route.takes, route.gives) if kind not in (None, bytes, str)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


def array_of(kind: Any) -> dict[str, Any]:
    """The schema of an array, of flat Structs or plain values, that is encoded already."""
    (plain,), components = msgspec.json.schema_components([kind])
    return {"type": "array", "items": components.get(kind.__name__, plain)}


def _operation(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "x-permission": route.verb,
        "parameters": [*_parameters(route)],
        "responses": {"200": _answer(route, schemas), "default": _PROBLEM},
    }
    if route.takes is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schemas[id(route.takes)]}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    in_query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    return [*in_path, *in_query]


def _answer(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    if route.gives is bytes:
        return {"description": "a PSRD file", "content": {"application/json": {"schema": {"type": "object"}}}}
    if route.gives is str:
        return {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    if route.gives is None:
        return {"description": "done"}
    return {"description": "the answer", "content": {"application/json": {"schema": schemas[id(route.gives)]}}}
