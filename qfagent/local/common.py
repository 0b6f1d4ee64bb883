"""What local tools may ask of an agent in any role."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from qfagent.events import Bus
from qfagent.health import Readiness
from qfagent.http.message import Response
from qfagent.http.openapi import document
from qfagent.http.routes import Call, Route
from qfagent.series import CONTENT_TYPE


class Reloaded(msgspec.Struct, frozen=True):
    """What a new configuration has changed, and what of it needs a restart; paths of keys."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Agent(msgspec.Struct, frozen=True):
    """What the common routes need of the agent."""

    bus: Bus
    status: Callable[[], Awaitable[msgspec.Struct]]
    status_kind: type[msgspec.Struct]
    readiness: Callable[[], Awaitable[Readiness]]
    metrics: Callable[[], Awaitable[bytes]]
    reload: Callable[[], Awaitable[Reloaded]]
    backup: Callable[[], Awaitable[bytes]]
    lift_fence: Callable[[], Awaitable[None]]
    routes: Callable[[], list[Route]]


class Commands:
    """The routes that every role has."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def routes(self) -> list[Route]:
        """The table."""
        status = self._agent.status_kind
        return [
            Route("GET", "/v1/status", "observe", self._status, "what the agent knows", gives=status),
            Route("GET", "/v1/events", "observe", self._events, "one JSON object a line, as it happens", gives=str),
            Route("GET", "/v1/events/recent", "observe", self._recent, "the latest events", gives=str),
            Route("GET", "/healthz", "observe", self._healthz, "that the agent runs", gives=str),
            Route("GET", "/readyz", "observe", self._readyz, "whether keys can be made", gives=Readiness),
            Route("GET", "/metrics", "observe", self._metrics, "for Prometheus", gives=str),
            Route("GET", "/openapi.json", "observe", self._openapi, "this document"),
            Route("POST", "/v1/reload", "operate", self._reload, "read the configuration again", gives=Reloaded),
            Route("GET", "/v1/backup", "admin", self._backup, "configuration, registry and tombstones", gives=str),
            Route("POST", "/v1/fence/lift", "admin", self._lift, "let the store spend again"),
        ]

    async def _status(self, _: Call) -> Any:
        return await self._agent.status()

    async def _events(self, _: Call) -> Response:
        return Response(200, content_type="application/x-ndjson", stream=_lines(self._agent.bus))

    async def _recent(self, _: Call) -> Response:
        lines = b"".join(msgspec.json.encode(event) + b"\n" for event in self._agent.bus.recent)
        return Response(200, lines, "application/x-ndjson")

    async def _healthz(self, _: Call) -> Response:
        return Response(200, b"ok\n", "text/plain")

    async def _readyz(self, _: Call) -> Response:
        readiness = await self._agent.readiness()
        return Response(200 if readiness.ready else 503, msgspec.json.encode(readiness))

    async def _metrics(self, _: Call) -> Response:
        return Response(200, await self._agent.metrics(), CONTENT_TYPE)

    async def _openapi(self, _: Call) -> Any:
        return document(self._agent.routes(), title="qfagent control socket")

    async def _reload(self, _: Call) -> Reloaded:
        return await self._agent.reload()

    async def _backup(self, _: Call) -> Response:
        return Response(200, await self._agent.backup())

    async def _lift(self, _: Call) -> dict[str, str]:
        await self._agent.lift_fence()
        return {"fence": "lifted"}


async def _lines(bus: Bus) -> AsyncIterator[bytes]:
    with bus.listen() as listener:
        async for event in listener:
            yield msgspec.json.encode(event) + b"\n"
