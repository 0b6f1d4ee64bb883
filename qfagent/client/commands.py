"""What local tools may ask of a client."""

from typing import Any

import msgspec

from qfagent.client import report
from qfagent.client.gauge import HubHistory
from qfagent.client.generator import Key
from qfagent.client.ingestion import Receipt
from qfagent.client.role import Client
from qfagent.client.tally import Counted
from qfagent.config import parse_address
from qfagent.dske import ids
from qfagent.dske.psrd import MAX_FILE, HubAddress
from qfagent.errors import BadRequest
from qfagent.http.routes import Call, Route


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys to establish with a peer."""

    peer: str
    count: int = 1


class NewKey(msgspec.Struct, frozen=True):
    """One key of several, 32 bytes in base64; not to be seen by accident."""

    key_id: str
    key: bytes

    def __repr__(self) -> str:
        return f"<key {self.key_id}>"


class KeyAnswer(NewKey, frozen=True):
    """One key, 32 bytes in base64; `peer` is who made it."""

    peer: str


class Keys(msgspec.Struct, frozen=True):
    """The keys of one secret."""

    keys: tuple[NewKey, ...]


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a hub is reached: `host:port`."""

    address: str


class Commands:
    """The routes of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def routes(self) -> list[Route]:
        """The table."""
        block = "/v1/blocks/{id}"
        return [
            Route("GET", "/v1/hubs", "observe", self._hubs, "the hubs", gives=list[report.HubReport]),
            Route("GET", "/v1/psrd", "observe", self._psrd, "what is left", gives=list[report.PsrdReport]),
            Route("GET", "/v1/psrd/history", "observe", self._history, "what was left", gives=list[HubHistory]),
            Route("GET", "/v1/ledger", "observe", self._ledger, "all blocks", gives=list[report.LedgerEntry]),
            Route("GET", "/v1/peers", "observe", self._peers, "keys by peer", gives=list[Counted]),
            Route("POST", "/v1/psrd", "operate", self._ingest, "ingest a PSRD file", gives=Receipt, most=MAX_FILE),
            Route("POST", "/v1/keys", "keys", self._establish, "establish keys", takes=KeyRequest, gives=Keys),
            Route("GET", "/v1/keys", "keys", self._waiting, "recover what waits", query=("peer",), gives=Keys),
            Route("GET", "/v1/keys/{key_id}", "keys", self._recover, "recover a key", query=("peer",), gives=KeyAnswer),
            Route("POST", block + "/resume", "admin", self._resume, "lift the stop of a block"),
            Route("POST", block + "/retire", "admin", self._retire, "end a block for good"),
            Route("PUT", "/v1/hubs/{id}/address", "admin", self._move, "a hub has moved", takes=Address),
        ]

    async def _hubs(self, _: Call) -> Any:
        return await report.report_hubs(self._client)

    async def _psrd(self, _: Call) -> Any:
        return await report.report_psrd(self._client)

    async def _history(self, _: Call) -> Any:
        return await self._client.gauge.history()

    async def _ledger(self, _: Call) -> Any:
        return await report.report_ledger(self._client)

    async def _peers(self, _: Call) -> Any:
        return self._client.desk.tally.peers()

    async def _ingest(self, call: Call) -> Receipt:
        return await self._client.ingestion.ingest(call.request.body)

    async def _establish(self, call: Call) -> Keys:
        wanted = call.body(KeyRequest)
        return _keys(await self._client.generator.establish(wanted.peer, count=wanted.count))

    async def _waiting(self, call: Call) -> Keys:
        if "peer" not in call.query:
            raise BadRequest("query: expected peer=NAME")
        return _keys(await self._client.recoverer.wait_next(call.query["peer"], uid=call.uid))

    async def _recover(self, call: Call) -> KeyAnswer:
        peer, (key_id, key) = await self._client.recoverer.recover(
            call.params["key_id"], peer=call.query.get("peer"), uid=call.uid
        )
        return KeyAnswer(key_id, key.reveal(), peer)

    async def _resume(self, call: Call) -> dict[str, str]:
        await self._client.resume(_block(call))
        return {"block": _block(call), "state": "ready"}

    async def _retire(self, call: Call) -> dict[str, str]:
        await self._client.retire(_block(call))
        return {"block": _block(call), "state": "retired"}

    async def _move(self, call: Call) -> dict[str, Any]:
        try:
            host, port = parse_address(call.body(Address).address)
        except ValueError as error:
            raise BadRequest("address: expected host:port") from error
        if not ids.matches(ids.HEX_ID, call.params["id"]):
            raise BadRequest("hub: expected 32 lower-case hex digits")
        await self._client.move(HubAddress(call.params["id"], host, port))
        return {"id": call.params["id"], "host": host, "port": port}


def _block(call: Call) -> str:
    if not ids.matches(ids.HEX_ID, call.params["id"]):
        raise BadRequest("block: expected 32 lower-case hex digits")
    return call.params["id"]


def _keys(keys: list[Key]) -> Keys:
    return Keys(tuple(NewKey(key_id, key.reveal()) for key_id, key in keys))
