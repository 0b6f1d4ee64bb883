"""A pool keeps connections to one server open between exchanges; at most `limit` are in use at a time.

* A connection is open before it is handed out, so one-time material is spent only on a peer that is there.
* A connection with anything to read while it is idle, be it the end or a byte, is never handed out.
* Nothing is sent twice: an exchange that fails or is cancelled closes its connection and says so.
* Deadlines are the caller's.
"""

import select
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, runtime_checkable

import httptools
import trio

from qfagent.errors import HubUnavailable
from qfagent.http.answer import Answer, receive_answer
from qfagent.http.encoding import encode_request
from qfagent.http.incoming import BROKEN, Incoming
from qfagent.http.limits import BODY_BYTES
from qfagent.http.sockets import quicken

Connect = Callable[[], Awaitable[trio.abc.Stream]]

IDLE_SECONDS = 60.0
"""Less than the 75 s after which our servers close, so that a request and a close seldom meet on the way."""

_TURNS = 8  # trio's memory streams need four of them to give what they have


@runtime_checkable
class Pollable(Protocol):
    """What says at once whether it has something to read, be it data or the end, as select.poll does of a socket."""

    def poll(self, timeout: float, /) -> object:
        """Something true if it has."""
        ...


class ClientConnection:
    """One open connection to a server: one exchange at a time, as many as both sides like."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = quicken(stream)
        self._incoming = Incoming(httptools.HttpResponseParser)
        self._clean = True
        self._rests = trio.current_time()
        self._poll = _poll(stream)

    async def exchange(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str,
        most: int = BODY_BYTES,
    ) -> Answer:
        """Sends one request and returns its answer, whose body has at most `most` bytes.

        HubUnavailable if the connection breaks or ends, BadHttp if the answer is none; ValueError, with nothing
        sent, if the request can't be put into words.
        """
        request = encode_request(method, target, headers, body, host=host)
        self._clean = False
        try:
            await self._stream.send_all(request)
            answer = await receive_answer(self._stream, self._incoming, most=most, to_head=method == "HEAD")
        except BROKEN as error:
            raise HubUnavailable("the connection broke before the answer was complete") from error
        self._clean = answer.keep_alive and not self._incoming
        return answer

    def rest(self) -> bool:
        """Whether it can serve another exchange later; its idle time begins."""
        self._rests = trio.current_time()
        return self._clean

    async def is_fresh(self) -> bool:
        """Whether it is still good after its rest: not too old, and nothing to read, be it data or the end."""
        if trio.current_time() - self._rests > IDLE_SECONDS:
            return False
        return not (self._poll.poll(0) if self._poll else await _has_something(self._stream))

    async def aclose(self) -> None:
        """Closes it at once."""
        await trio.aclose_forcefully(self._stream)


class Pool:
    """Connections to one server; `connect` opens one, or raises HubUnavailable."""

    def __init__(self, connect: Connect, limit: int = 16) -> None:
        self._connect = connect
        self._places = trio.Semaphore(limit)
        self._idle: list[ClientConnection] = []
        self._closed = False

    def connection(self) -> "Lease":
        """An open connection for as long as the `async with` block lasts; waits while `limit` are in use.

        HubUnavailable, or whatever else `connect` raises, if there is none to be had.
        """
        return Lease(self)

    async def aclose(self) -> None:
        """Closes idle connections now and the others when they come back; gives out no more."""
        self._closed = True
        while self._idle:
            await self._idle.pop().aclose()

    async def take(self) -> ClientConnection:
        """What entering a Lease does."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()
        connection = None
        try:
            connection = await self._idle_or_new()
        finally:
            if connection is None:
                self._places.release()
        return connection

    async def give(self, connection: ClientConnection) -> None:
        """What leaving a Lease does."""
        self._places.release()
        if connection.rest() and not self._closed:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def _idle_or_new(self) -> ClientConnection:
        while self._idle:
            connection = self._idle.pop()
            if await _keep_if_fresh(connection):
                return connection
        if self._closed:
            raise HubUnavailable("connections to this hub are being closed")
        return ClientConnection(await self._connect())


class Lease:
    """The time during which one task has a connection of a pool for itself."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> ClientConnection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.give(self._connection)


async def _keep_if_fresh(connection: ClientConnection) -> bool:
    """Whether it can be used; if not, or if the asking is cancelled, it is closed."""
    fresh = False
    try:
        fresh = await connection.is_fresh()
    finally:
        if not fresh:
            await connection.aclose()
    return fresh


def _poll(stream: trio.abc.Stream) -> Pollable | None:
    """Who knows whether there is something to read; made once, since asking is all a reuse may cost."""
    if isinstance(stream, Pollable):
        return stream
    if not isinstance(stream, trio.SocketStream):
        return None
    poll = select.poll()
    poll.register(stream.socket.fileno(), select.POLLIN | select.POLLRDHUP)
    return poll


async def _has_something(stream: trio.abc.Stream) -> bool:
    """The same question for a stream that does not know: reads, and gives up after a few turns of the loop."""
    heard = False

    async def listen() -> None:
        nonlocal heard
        with suppress(*BROKEN):
            await stream.receive_some(1)
        heard = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for _ in range(_TURNS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return heard
