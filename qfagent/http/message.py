"""A message is what is said over HTTP: a request as the server hands it on, a response as it goes back.

* Header names are lower case and values are without blanks around them; their order is that of the wire.
* A body may hold keys or pads, so no repr shows one.
* A response can't smuggle: none of its texts holds a line end.
"""

from collections.abc import AsyncIterator

import msgspec

from qfagent.errors import AgentError

PROBLEMS = "https://qfagent.invalid/problems/"
"""What stands before the slug in a problem's `type`; an identifier, not a page."""

Fields = tuple[tuple[bytes, bytes], ...]


class Request(msgspec.Struct, frozen=True):
    """One request; `target` is exactly what the request line said, `peer` is what `identify` said."""

    method: str
    target: str
    headers: Fields
    peer: object
    id: str
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """All values of the header `name`, which is given in lower case."""
        return [value for key, value in self.headers if key == name]

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method} {self.target} {len(self.body)} bytes>"


class Response(msgspec.Struct, frozen=True):
    """One response; with `stream` it goes out in pieces until the iterator ends, and `body` is not used."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"a final status is 200 to 599, not {self.status}")
        if not all(is_line(text) for field in self.headers for text in field):
            raise ValueError("a header is printable ASCII")

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.content_type} {len(self.body)} bytes>"


class _Problem(msgspec.Struct, frozen=True):
    """RFC 9457, section 3.1."""

    type: str
    title: str
    status: int
    detail: str


def problem(error: AgentError) -> Response:
    """The error as RFC 9457 problem details: its slug ends `type`, its class says the title."""
    title = (type(error).__doc__ or error.slug).strip()
    said = _Problem(PROBLEMS + error.slug, title, error.status, error.detail)
    return Response(error.status, msgspec.json.encode(said), "application/problem+json")


def is_line(text: str) -> bool:
    """Whether the text can stand in a head: printable ASCII, so no line end."""
    return text.isascii() and text.isprintable()
