"""The OpenAPI document of the management server: its table of routes, and what all of them have in common."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qfagent.http.openapi import document
from qfagent.http.routes import Route

_COMPLAINT: Final = {
    "description": "why not; `code` is the status",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"message": {"type": "string"}, "code": {"type": "integer"}},
                "required": ["message", "code"],
            }
        }
    },
}
_TOKEN: Final = {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token` and a token"}
_NOTHING: Final = {"description": "nothing to say"}


def management_document(routes: Sequence[Route]) -> bytes:
    """The whole document, as JSON; pages are left out."""
    offered = [route for route in routes if route.gives is not bytes]
    made = document(offered, title="qfagent management")
    made["components"]["securitySchemes"] = {"token": _TOKEN}
    for route in offered:
        _complete(made["paths"][route.path][route.method.lower()], route)
    return re.sub(rb"\\\\A|\\\\Z", _anchor, msgspec.json.encode(made, order="deterministic"))


def _complete(operation: dict[str, Any], route: Route) -> None:
    if route.verb != "anybody":
        operation["security"] = [{"token": []}]
    if route.path.startswith("/api/"):
        operation["responses"]["default"] = _COMPLAINT
    if route.gives is None:
        operation["responses"] = {"204": _NOTHING, "default": operation["responses"]["default"]}
    elif "wait" in route.query and route.verb == "peer":
        operation["responses"]["204"] = {"description": "nothing has changed meanwhile"}
    if route.takes is not None:
        operation["requestBody"]["required"] = True


def _anchor(match: re.Match[bytes]) -> bytes:
    """Where a text begins and ends, in the dialect of JSON Schema."""
    return b"^" if match[0].endswith(b"A") else b"$"
