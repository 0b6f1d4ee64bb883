"""What somebody has asked of the server: a request to one route, with who it comes from and whence."""

import math
from typing import TypeVar

import msgspec

from qfagent.errors import BadRequest
from qfagent.http.message import Request
from qfagent.http.routes import parse_body
from qfagent.management.gate import Who
from qfagent.management.network import Peer

S = TypeVar("S", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing more to say."""


class Asked(msgspec.Struct, frozen=True):
    """One request; `address` is where it came from."""

    request: Request
    params: dict[str, str]
    query: dict[str, str]
    who: Who
    address: str

    @property
    def peer(self) -> Peer:
        """The peer that asks."""
        assert self.who.peer is not None, "the gate lets only peers through to this route"
        return self.who.peer

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.params["id"]

    def body(self, kind: type[S], *, ignoring: frozenset[str] = frozenset()) -> S:
        """The body as JSON of this kind, without the members to be ignored; BadRequest."""
        return parse_body(self.request.body, kind, ignoring=ignoring)

    def seconds(self, name: str, *, most: float) -> float:
        """A number of seconds in the query, 0 if it is not there; BadRequest."""
        text = self.query.get(name, "0")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            raise BadRequest(f"{name}: expected 0 to {most:g} seconds")
        return value
