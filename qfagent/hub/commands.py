"""What local tools may ask of a hub: the local distributor's work."""

from typing import Annotated, Any, NoReturn

import msgspec

from qfagent.dske import ids
from qfagent.errors import BadRequest, PeerExempt
from qfagent.http.message import Response
from qfagent.http.routes import Call, Route
from qfagent.hub import report
from qfagent.hub.registry import Listed
from qfagent.hub.role import Hub


class NewClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client to register."""

    name: str


class Added(msgspec.Struct, frozen=True):
    """The client that was registered."""

    id: str
    name: str


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PSRD to make for a client, in bytes; `first`: only if it has had none."""

    user_bytes: int
    server_bytes: int
    first: bool = False


class Expiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Forget clients whose file was handed out and never used, if they are older than this; seconds."""

    older_than: Annotated[float, msgspec.Meta(ge=0)]


class Expired(msgspec.Struct, frozen=True):
    """How many were forgotten."""

    removed: int


class Commands:
    """The routes of one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """The table."""
        client = "/v1/clients/{id}"
        return [
            Route("GET", "/v1/clients", "observe", self._list, "all clients", gives=list[Listed]),
            Route("POST", "/v1/clients", "operate", self._add, "register a client", takes=NewClient, gives=Added),
            Route("DELETE", client, "admin", self._remove, "forget a client, erase its PSRD and shares"),
            Route("POST", client + "/psrd", "operate", self._assign, "make PSRD", takes=Assignment, gives=bytes),
            Route("POST", client + "/approve", "operate", self._approve, "let a waiting registration through"),
            Route("POST", "/v1/clients/expire", "admin", self._expire, "forget old ones", takes=Expiry, gives=Expired),
            Route("GET", "/v1/pool", "observe", self._pool, "the pool", gives=report.PoolReport),
            Route("POST", "/v1/pool/take", "operate", self._take, "take a file out for good", gives=bytes),
            Route("POST", "/v1/keys", "keys", self._exempt, "refused: no keys with a hub"),
            Route("GET", "/v1/keys", "keys", self._exempt, "refused: no keys with a hub", query=("peer",)),
            Route("GET", "/v1/keys/{key_id}", "keys", self._exempt, "refused: no keys with a hub", query=("peer",)),
        ]

    async def _list(self, _: Call) -> Any:
        return await self._hub.registry.listing()

    async def _add(self, call: Call) -> Added:
        client = await self._hub.registry.add(call.body(NewClient).name)
        return Added(client.id, client.name)

    async def _remove(self, call: Call) -> dict[str, str]:
        await self._hub.registry.remove(_client(call))
        return {"id": _client(call)}

    async def _assign(self, call: Call) -> Response:
        wanted = call.body(Assignment)
        return Response(
            200,
            await self._hub.registry.assign(
                _client(call), user_bytes=wanted.user_bytes, server_bytes=wanted.server_bytes, first=wanted.first
            ),
        )

    async def _approve(self, call: Call) -> dict[str, str]:
        await self._hub.registry.approve(_client(call))
        return {"id": _client(call)}

    async def _expire(self, call: Call) -> Expired:
        return Expired(await self._hub.registry.expire(older_than=call.body(Expiry).older_than))

    async def _pool(self, _: Call) -> report.PoolReport:
        return await report.report_pool(self._hub)

    async def _take(self, _: Call) -> Response:
        return Response(200, await self._hub.provisioner.take())

    async def _exempt(self, _: Call) -> NoReturn:
        raise PeerExempt("this machine is a security hub, and no keys are made with a hub as either end")


def _client(call: Call) -> str:
    if not ids.matches(ids.UUID, call.params["id"]):
        raise BadRequest("client id: expected a UUID of 36 lower-case characters")
    return call.params["id"]
