"""A route is one thing that may be asked of the agent: by whom, with what, and what it gives.

* The whole interface is a table of routes; permission, parsing and documentation are read off it.
* A handler takes a `Call` and returns a Struct, bytes or a ready Response; it raises AgentError and nothing else.
"""

import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec

from qfagent.dske import strict_json
from qfagent.errors import BadRequest
from qfagent.http.message import Request

Verb = Literal["observe", "keys", "operate", "admin", "peer", "anybody"]
S = TypeVar("S", bound=msgspec.Struct)


class Call(msgspec.Struct, frozen=True):
    """One request to one route: its path's parameters, its query, and the user it comes from."""

    request: Request
    params: dict[str, str]
    query: dict[str, str]
    uid: int

    def body(self, kind: type[S]) -> S:
        """The body as JSON of this kind; BadRequest says what was expected, and where."""
        return parse_body(self.request.body, kind)


Handler = Callable[[Any], Awaitable[Any]]
"""Takes a Call, or what a server makes of one."""


class Route(msgspec.Struct, frozen=True):
    """`path` has parameters in braces; `query` names what a query may hold; `most` is the body's limit in bytes."""

    method: str
    path: str
    verb: Verb
    handler: Handler
    summary: str
    query: tuple[str, ...] = ()
    takes: type[msgspec.Struct] | None = None
    gives: Any = None
    most: int = 1 << 20

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters, if this is the route's path."""
        match = _pattern(self.path).fullmatch(path)
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


def parse_body(data: bytes, kind: type[S], *, ignoring: frozenset[str] = frozenset()) -> S:
    """A body as JSON of this kind, without the members to be ignored; BadRequest says what was expected, and where."""
    try:
        plain = strict_json.loads(data or b"{}")
        if isinstance(plain, dict):
            plain = {name: value for name, value in plain.items() if name not in ignoring}
        msgspec.json.encode(plain)  # half a surrogate pair is no text
        return msgspec.convert(plain, kind)
    except ValueError as error:
        text = str(error)
        raise BadRequest(f"body: {text[:1].lower()}{text[1:]}") from None


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Path and query of a request target in origin form; BadRequest if the query names something twice."""
    path, _, text = target.partition("?")
    query = parse_qs(text, keep_blank_values=True)
    if any(len(values) > 1 for values in query.values()):
        raise BadRequest("expected every name in the query once")
    return path, {name: values[0] for name, values in query.items()}
