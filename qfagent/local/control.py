"""The control socket's interface: a table of routes, one gate in front of it, one way to answer.

* The gate stands before the body is read: who may not call a route learns nothing, not even whether it exists.
* Denied and key-releasing calls are logged with uid, pid and request id.
* Every error is a problem with a stable type; nothing that a handler raises reaches the server.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import trio

from qfagent.errors import AgentError, BadRequest, NotFound, NotPermitted
from qfagent.events import Note
from qfagent.http.message import Request, Response, problem
from qfagent.http.routes import Call, Route, split_target
from qfagent.local.socket import Access, Caller
from qfagent.surroundings import Guard

_BROWSERS: Final = (b"origin", b"referer")


class Control:
    """Answers local tools. `guard` turns what must not happen into a response."""

    def __init__(
        self, routes: Callable[[], Sequence[Route]], access: Callable[[], Access], *, note: Note, guard: Guard
    ) -> None:
        self._routes, self._access, self._note, self._guard = routes, access, note, guard

    def admit(self, request: Request) -> Response | int:
        """How long the request's body may be, or why it is refused."""
        try:
            return self._admitted(request)[0].most
        except AgentError as error:
            if isinstance(error, NotPermitted):
                self._note_denied(request)
            return problem(error)

    async def respond(self, request: Request) -> Response:
        """The response to any request."""
        return await self._guard(self._respond(request))

    async def _respond(self, request: Request) -> Response:
        try:
            route, call = self._admitted(request)
        except AgentError as error:
            return problem(error)
        if route.verb == "keys":
            return await self._release(route, call)
        try:
            return _encoded(await route.handler(call))
        except AgentError as error:
            return problem(error)

    async def _release(self, route: Route, call: Call) -> Response:
        """Calls that release keys are logged, with who asked and how it ended."""
        began, outcome = trio.current_time(), "failed"  # unless it comes to its end
        try:
            response = _encoded(await route.handler(call))
            outcome = "ok"
        except AgentError as error:
            outcome = error.slug
            response = problem(error)
        finally:
            spent = round((trio.current_time() - began) * 1000, 3)
            verb = "establish" if route.method == "POST" else "recover"
            self._note("key.answered", verb=verb, outcome=outcome, dur_ms=spent, **_who(call.request))
        return response

    def _admitted(self, request: Request) -> tuple[Route, Call]:
        caller = request.peer
        assert isinstance(caller, Caller), "the server has identified the caller"
        verbs = self._access().verbs(caller)
        if not verbs or any(request.values(name) for name in _BROWSERS):
            raise NotPermitted("this caller may not use the agent")
        path, query = split_target(request.target)
        found = [(route, params) for route in self._routes() if (params := route.match(path)) is not None]
        fitting = [(route, params) for route, params in found if route.method == request.method]
        if any(route.verb not in verbs for route, _ in fitting or found):
            raise NotPermitted("this caller may not do that", remedy="ask a member of the admin group, or root")
        if not fitting:
            raise NotFound("there is no such route; see /openapi.json")
        route, params = fitting[0]
        for name in query:
            if name not in route.query:
                raise BadRequest(f"query: unknown name {name!r}, expected {', '.join(route.query) or 'none'}")
        return route, Call(request, params, query, caller.uid)

    def _note_denied(self, request: Request) -> None:
        self._note("control.denied", verb=f"{request.method} {request.target[:80]}", **_who(request))


def _who(request: Request) -> dict[str, Any]:
    assert isinstance(request.peer, Caller), "the server has identified the caller"
    return {"uid": request.peer.uid, "pid": request.peer.pid, "request_id": request.id}


def _encoded(answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(200, msgspec.json.encode(answer))
