"""The server's interface: one table of routes, one gate in front of it, one way to answer.

* The gate stands before the body is read, and knows only the token.
* Errors are `{"message", "code"}` under `/api`, as its clients expect, and problem details elsewhere.
* Every error is answered; nothing that a handler raises reaches the server. No answer is to be kept by anybody.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from qfagent.errors import AgentError, BadRequest, NotFound
from qfagent.http.message import Request, Response, problem
from qfagent.http.routes import Route, split_target
from qfagent.management import gate
from qfagent.management.asked import Asked
from qfagent.management.enrolment import Range, check_address, plain
from qfagent.management.gate import Who

HEADERS: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
AGENTS: Final = "/agent/"  # who asks below this must come from the networks of the configuration


class Complaint(msgspec.Struct, frozen=True):
    """An error as clients of the API expect it; `code` is the HTTP status."""

    message: str
    code: int


class Api:
    """Answers everybody. `identify` says who a request is from, `ranges` where peers may come from."""

    def __init__(
        self, routes: Sequence[Route], identify: Callable[[Request], Who], ranges: Callable[[], Sequence[Range]]
    ) -> None:
        self._routes, self._identify, self._ranges = routes, identify, ranges

    def admit(self, request: Request) -> Response | int:
        """How long the request's body may be, or why it is refused."""
        try:
            return self._admitted(request)[0].most
        except AgentError as error:
            return _refused(request, error)

    async def respond(self, request: Request) -> Response:
        """The response to any request."""
        try:
            route, asked = self._admitted(request)
            return _encoded(await route.handler(asked))
        except AgentError as error:
            return _refused(request, error)

    def _admitted(self, request: Request) -> tuple[Route, Asked]:
        path, query = split_target(request.target)
        who, address = self._identify(request), plain(str(request.peer))
        if path.startswith(AGENTS):
            check_address(address, self._ranges())
        route, params = self._find(request.method, path)
        gate.check(who, route)
        for name in query:
            if name not in route.query:
                raise BadRequest(f"query: unknown name {name!r}, expected {', '.join(route.query) or 'none'}")
        return route, Asked(request, params, query, who, address)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        for route in self._routes:
            if route.method == method and (params := route.match(path)) is not None:
                return route, params
        raise NotFound("there is no such route; see /openapi.json")


def _refused(request: Request, error: AgentError) -> Response:
    if request.target.startswith("/api/"):
        return _encoded(Complaint(error.detail, error.status), error.status)
    return msgspec.structs.replace(problem(error), headers=HEADERS)


def _encoded(answer: Any, status: int = 200) -> Response:
    if isinstance(answer, Response):
        return msgspec.structs.replace(answer, headers=(*HEADERS, *answer.headers))
    return Response(status, msgspec.json.encode(answer), headers=HEADERS)
