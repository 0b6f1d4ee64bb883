"""A connection is one peer's stream, served request by request until either side ends it.

* There is one cancel scope; its deadline moves along: idle, head, request. What runs out is answered, if it can be.
* A request is admitted after its head and before its body is read.
* A broken stream ends its connection and nothing else; whatever a handler raises is not caught.
* Parting is polite: half-close, then read on for a moment, so that a reset can't overtake the last answer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from enum import Enum, auto
from math import inf
from typing import NamedTuple

import httptools
import trio
from msgspec.structs import replace

from qfagent.errors import AgentError, BadHttp, Refusal, TimedOut
from qfagent.http.encoding import CONTINUE, encode_answer, encode_stream_head
from qfagent.http.head import Head, judge
from qfagent.http.incoming import BROKEN, RECEIVE_BYTES, Incoming, receive_body
from qfagent.http.limits import Limits
from qfagent.http.message import Request, Response, problem
from qfagent.http.parting import part
from qfagent.http.sockets import quicken
from qfagent.http.streaming import Streaming, close_source

Handler = Callable[[Request], Awaitable[Response]]
Admit = Callable[[Request], Response | int]

_LATE_SECONDS = 1.0


class Service(NamedTuple):
    """What holds for every connection of a server."""

    handler: Handler
    admit: Admit
    limits: Limits
    ids: Iterator[str]


class _Phase(Enum):
    """What a connection is doing, and so what its deadline means."""

    IDLE = auto()
    READING = auto()
    HANDLING = auto()
    SENDING = auto()


class Connection:
    """One connection; `serve` runs once, and leaves closing the stream to its caller."""

    def __init__(self, stream: trio.abc.Stream, peer: object, service: Service) -> None:
        self._stream = quicken(stream)
        self._peer = peer
        self._service = service
        self._limits = service.limits
        self._incoming = Incoming(
            httptools.HttpRequestParser, most_bytes=service.limits.head, most_fields=service.limits.fields
        )
        self._scope = trio.CancelScope()
        self._idle_until = inf
        self._phase = _Phase.IDLE
        self._stopping = False
        self._streaming: Streaming | None = None

    def stop(self) -> None:
        """Ends the connection after the request under way, or now if there is none."""
        self._stopping = True
        if self._phase is _Phase.IDLE:
            self._scope.cancel()
        if self._streaming is not None:
            self._streaming.stop()

    async def serve(self) -> None:
        """Serves requests until either side ends the connection."""
        last_words = await self._serve_until_end()
        if last_words is not None:
            await part(self._stream, last_words, seconds=self._limits.farewell_seconds)

    async def _serve_until_end(self) -> bytes | None:
        """What is still to be said, if anything can be."""
        self._rest()
        try:
            while self._may_go_on():
                until = inf if self._incoming else self._idle_until
                with trio.CancelScope(deadline=until) as self._scope:
                    await self._serve_requests()
                    return b""
        except BadHttp as error:
            return encode_answer(problem(error), keep_alive=False)
        except BROKEN:
            return None
        return self._overdue()

    def _may_go_on(self) -> bool:
        """Whether a request came in, or may: the scope fires early, at the deadline of the last request."""
        if self._phase is not _Phase.IDLE:
            return False
        return bool(self._incoming) or (not self._stopping and trio.current_time() < self._idle_until)

    def _overdue(self) -> bytes | None:
        error: AgentError
        if self._phase is _Phase.READING:
            error = BadHttp("the request took too long to arrive", answer_status=408)
        elif self._phase is _Phase.HANDLING:
            error = TimedOut("the request took too long to serve")
        else:
            return None  # nobody asked anything, or a part of an answer is out already
        return encode_answer(problem(error), keep_alive=False)

    async def _serve_requests(self) -> None:
        while (head := await self._next_head()) is not None:
            request = Request(head.method, head.target, head.headers, self._peer, next(self._service.ids))
            refusal = self._refusal(request, head.length)
            if refusal is not None:
                keep_alive = await self._answer(head, refusal, unread=head.length)
            else:
                keep_alive = await self._serve_request(head, request)
            if not keep_alive:
                return
            self._rest()

    def _refusal(self, request: Request, length: int) -> Response | None:
        """Why the request is answered without its body being read, if so."""
        verdict = self._service.admit(request)
        if isinstance(verdict, Response):
            return verdict
        if length > verdict:
            return problem(Refusal("too-large", f"a body has at most {verdict} bytes here"))
        return None

    async def _serve_request(self, head: Head, request: Request) -> bool:
        if head.length:
            body = await self._body(head)
            if body is None:
                return False
            request = replace(request, body=body)
        self._phase = _Phase.HANDLING
        return await self._answer(head, await self._service.handler(request))

    async def _next_head(self) -> Head | None:
        """The next head, its request's deadline set; None if the peer or the server ended the connection."""
        if self._incoming:
            await trio.lowlevel.checkpoint()  # who sends requests ahead takes turns with everybody else
        elif not await self._receive_first():
            return None
        self._phase = _Phase.READING
        began = trio.current_time()
        raw = self._incoming.head()
        if raw is None:
            self._scope.deadline = began + self._limits.head_seconds
            while raw is None:
                if not await self._receive():
                    return None
                raw = self._incoming.head()
        self._allow_until(began + self._limits.request_seconds)
        return judge(raw)

    async def _receive_first(self) -> bool:
        """Waits for a request's first bytes, for as long as a connection may be idle."""
        if not await self._receive():
            return False
        # the scope may have fired while these bytes were on their way: end it here, while we are idle
        await trio.lowlevel.checkpoint_if_cancelled()
        return True

    def _rest(self) -> None:
        self._phase = _Phase.IDLE
        self._idle_until = trio.current_time() + self._limits.idle_seconds

    def _allow_until(self, deadline: float) -> None:
        """Moves the scope's deadline, unless it is right or less than a second late: moving it is dear."""
        if not deadline <= self._scope.deadline < deadline + _LATE_SECONDS:
            self._scope.deadline = deadline + _LATE_SECONDS

    async def _receive(self) -> bool:
        """Waits for more bytes; False if the peer sends no more."""
        data = await self._stream.receive_some(RECEIVE_BYTES)
        self._incoming.feed(data)
        return bool(data)

    async def _body(self, head: Head) -> bytes | None:
        """The body, or None if the peer went away in the middle of it."""
        if head.expects_continue and len(self._incoming) < head.length:
            await self._stream.send_all(CONTINUE)
        return await receive_body(self._stream, self._incoming, head.length)

    async def _answer(self, head: Head, response: Response, *, unread: int = 0) -> bool:
        """Sends the response; whether another request may follow."""
        self._phase = _Phase.SENDING
        if response.stream is not None:
            await self._answer_in_pieces(head, response, response.stream)
            return False
        keep_alive = head.keep_alive and not unread and not self._stopping
        with_body = head.method != "HEAD"
        await self._stream.send_all(encode_answer(response, keep_alive=keep_alive, with_body=with_body))
        return keep_alive

    async def _answer_in_pieces(self, head: Head, response: Response, source: AsyncIterator[bytes]) -> None:
        start = encode_stream_head(response, chunked=head.modern)
        if head.method == "HEAD":
            await close_source(source)
            await self._stream.send_all(start)
            return
        self._scope.deadline = inf
        seconds = self._limits.request_seconds
        self._streaming = Streaming(self._stream, source, chunked=head.modern, seconds=seconds)
        if self._stopping:
            self._streaming.stop()
        await self._streaming.run(start)
