"""The agent, as programs on this machine talk to it: one method for each thing that may be asked.

    from qfagent.local.client import Agent

    agent = Agent()
    key = agent.establish("peer-b")[0]
    key.key_id, key.key.reveal()        # the id for the other end, 32 bytes for this one

* Results are the agent's JSON as Python values, as `GET /openapi.json` describes them; keys are `Secret`.
* Every method may raise AgentNotRunning, NotPermitted, TimedOut, and the AgentError that the agent names.
* Blocking, without state, safe in threads; importing it costs neither trio nor msgspec.
"""

import binascii
import io
import json
import os
from collections.abc import Iterator
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from qfagent.errors import PsrdRejected, Refusal
from qfagent.local.exchange import Exchange, quote

if TYPE_CHECKING:
    from qfagent.dske.secret import Secret

DEFAULT_SOCKET: Final = "/run/qufabric/qfagent.sock"
SILENCE: Final = 75.0  # seconds; the agent allows itself 60
_LONGEST: Final = 1 << 28  # bytes: no PSRD file is so long, so none is read further

Json = dict[str, Any]


class Key:
    """One key, 32 bytes; `peer` is the other end."""

    __slots__ = ("key", "key_id", "peer")

    def __init__(self, key_id: str, key: "Secret", peer: str) -> None:
        self.key_id, self.key, self.peer = key_id, key, peer

    def __repr__(self) -> str:
        return f"<Key {self.key_id} with {self.peer}>"


class Agent:
    """The agent that listens on a socket; `timeout` is how long it may be silent, in seconds."""

    def __init__(self, socket: str = DEFAULT_SOCKET, *, timeout: float = SILENCE) -> None:
        self._socket, self._timeout = socket, timeout

    # --- in any role

    def status(self) -> Json:
        """Everything at a glance."""
        return self._ask("GET", "/v1/status")

    def ready(self) -> Json:
        """`{"ready", "issues"}`: whether keys can be made, and what an operator should see to."""
        return self._ask("GET", "/readyz")

    def recent_events(self) -> list[Json]:
        """The latest events, oldest first."""
        with self._exchange() as exchange:
            exchange.ask("GET", "/v1/events/recent")
            return [json.loads(line) for line in exchange.body().splitlines()]

    def events(self) -> Iterator[Json]:
        """Events as they happen, until the agent stops."""
        with self._exchange() as exchange:
            exchange.ask("GET", "/v1/events")
            yield from map(json.loads, exchange.lines())

    def metrics(self) -> str:
        """Prometheus text."""
        with self._exchange() as exchange:
            exchange.ask("GET", "/metrics")
            return exchange.body().decode()

    def reload(self) -> Json:
        """Reads the configuration again: `{"applied", "needs_restart"}`. BadConfig."""
        return self._ask("POST", "/v1/reload")

    def backup(self, to: BinaryIO) -> int:
        """Writes a backup to a file; its length in bytes."""
        return self._copy("GET", "/v1/backup", to=to)

    def lift_fence(self) -> Json:
        """Lets the store spend again. NothingChanged."""
        return self._ask("POST", "/v1/fence/lift")

    # --- of a client: keys

    def establish(self, peer: str, *, count: int = 1) -> list[Key]:
        """Makes 1 to 64 keys with a peer, as generator. BadRequest, TooFewHubs, PsrdExhausted, TimedOut, StoreError."""
        return _keys(self._ask("POST", "/v1/keys", {"peer": peer, "count": count}), peer)

    def recover(self, key_id: str, *, peer: str | None = None) -> Key:
        """One key that a peer has made; it leaves the agent once.

        BadRequest, NotFound, KeyGone, TooFewHubs, ThresholdMismatch, AmbiguousGenerator, FetchLimit, StoreError.
        """
        query = "" if peer is None else f"?peer={quote(peer)}"
        found = self._ask("GET", f"/v1/keys/{quote(key_id)}{query}")
        return _key(found, found["peer"])

    def wait_next(self, peer: str) -> list[Key]:
        """The keys of the oldest secret that waits from a peer; each call the next one. Raises as `recover`."""
        return _keys(self._ask("GET", f"/v1/keys?peer={quote(peer)}"), peer)

    # --- of a client: PSRD and hubs

    def hubs(self) -> list[Json]:
        """The hubs that this client knows."""
        return self._list("/v1/hubs")

    def peers(self) -> list[Json]:
        """How many keys were made with each peer since the agent started."""
        return self._list("/v1/peers")

    def psrd(self) -> list[Json]:
        """What is left of the PSRD, by hub; in bytes, bytes a second, and seconds."""
        return self._list("/v1/psrd")

    def psrd_history(self) -> list[Json]:
        """What was left over the last weeks, by hub: `{"hub", "points"}`, oldest first."""
        return self._list("/v1/psrd/history")

    def ledger(self) -> list[Json]:
        """Every block that was ever ingested, oldest first."""
        return self._list("/v1/ledger")

    def ingest(self, file: BinaryIO, *, size: int | None = None) -> Json:
        """Ingests a PSRD file from where it stands: `{"block", "hub_id", "user_bytes", "server_bytes"}`.

        It is sent in pieces, and not before the agent asks for it. Without a size in bytes, a regular file is sent to
        its end, and a stream is read to its end first, in memory.
        PsrdRejected, PsrdIncomplete, PsrdContradiction, PsrdPreviouslyInserted, StoreError.
        """
        if size is None:
            file, size = _sized(file)
        with self._exchange() as exchange:
            try:
                exchange.offer("POST", "/v1/psrd", file, size)
            except Refusal as error:
                raise PsrdRejected(str(error)) from None
            return _object(exchange)

    def move_hub(self, hub_id: str, address: str) -> Json:
        """The operator's word: a hub is reached at another `host:port`. BadRequest, NotFound."""
        return self._ask("PUT", f"/v1/hubs/{quote(hub_id)}/address", {"address": address})

    def resume(self, block: str) -> Json:
        """The operator's word: the stop of a block is lifted. BadRequest, NotFound, NothingChanged."""
        return self._ask("POST", f"/v1/blocks/{quote(block)}/resume")

    def retire(self, block: str) -> Json:
        """The operator's word: a block is never spent from again. BadRequest, NotFound, NothingChanged."""
        return self._ask("POST", f"/v1/blocks/{quote(block)}/retire")

    # --- of a hub

    def clients(self) -> list[Json]:
        """The hub's clients, oldest first."""
        return self._list("/v1/clients")

    def add_client(self, name: str) -> Json:
        """Registers a client for a peer: `{"id", "name"}`. BadRequest, NothingChanged."""
        return self._ask("POST", "/v1/clients", {"name": name})

    def approve_client(self, client_id: str) -> Json:
        """Lets a registration that waits go through. BadRequest, NotFound, NothingChanged."""
        return self._ask("POST", f"/v1/clients/{quote(client_id)}/approve")

    def assign_psrd(
        self, client_id: str, *, user_bytes: int, server_bytes: int, to: BinaryIO, first: bool = False
    ) -> int:
        """Makes PSRD for a client and writes its file; the file's length in bytes.

        With `first` only if the client has had none. BadRequest, NotFound, WrongState, NothingChanged.
        """
        wanted = {"user_bytes": user_bytes, "server_bytes": server_bytes, "first": first}
        return self._copy("POST", f"/v1/clients/{quote(client_id)}/psrd", wanted, to=to)

    def remove_client(self, client_id: str) -> Json:
        """Forgets a client, erases its PSRD and shares. BadRequest, NotFound."""
        return self._ask("DELETE", f"/v1/clients/{quote(client_id)}")

    def expire_clients(self, older_than: float) -> Json:
        """Forgets clients whose pool file was handed out so many seconds ago and never used: `{"removed"}`."""
        return self._ask("POST", "/v1/clients/expire", {"older_than": older_than})

    def pool(self) -> Json:
        """The pool: `{"files", "target", "handed_out"}`."""
        return self._ask("GET", "/v1/pool")

    def take_from_pool(self, to: BinaryIO) -> int:
        """Takes one file out of the pool for good, and writes it; its length in bytes. NotFound."""
        return self._copy("POST", "/v1/pool/take", to=to)

    # --- how it is asked

    def _exchange(self) -> Exchange:
        return Exchange(self._socket, timeout=self._timeout)

    def _ask(self, method: str, target: str, content: Any = None) -> Json:
        with self._exchange() as exchange:
            exchange.ask(method, target, content)
            return _object(exchange)

    def _list(self, target: str) -> list[Json]:
        with self._exchange() as exchange:
            exchange.ask("GET", target)
            found: list[Json] = exchange.content()
            return found

    def _copy(self, method: str, target: str, content: Any = None, *, to: BinaryIO) -> int:
        with self._exchange() as exchange:
            exchange.ask(method, target, content)
            return sum(to.write(piece) for piece in exchange.pieces())


def _object(exchange: Exchange) -> Json:
    found: Json = exchange.content()
    return found


def _keys(answer: Json, peer: str) -> list[Key]:
    return [_key(found, peer) for found in answer["keys"]]


def _key(found: Json, peer: str) -> Key:
    from qfagent.dske.secret import Secret  # noqa: PLC0415  # hmac takes 5 ms, which only keys are worth

    return Key(found["key_id"], Secret(binascii.a2b_base64(found["key"])), peer)


def _sized(file: BinaryIO) -> tuple[BinaryIO, int]:
    """The file, or what it gives, and how many bytes that is."""
    try:
        facts = os.fstat(file.fileno())
    except OSError:  # it is in memory
        facts = None
    if facts is not None and S_ISREG(facts.st_mode):
        return file, max(0, facts.st_size - file.tell())
    data = file.read(_LONGEST + 1)
    return io.BytesIO(data), len(data)
