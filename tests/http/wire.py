"""The other end of a stream under test, written without any of the code under test."""

import json
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio
from trio.testing import memory_stream_pair

from qfagent.http.message import Response
from qfagent.http.server import Server

GET = b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n"
ENDED = (trio.BrokenResourceError, trio.ClosedResourceError)


class Heard(NamedTuple):
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def detail(self):
        assert self.headers["content-type"] == "application/problem+json"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        return problem["detail"]

    @property
    def slug(self):
        return json.loads(self.body)["type"].rpartition("/")[2]


class Peer:
    """Says bytes and hears answers, keeping what was heard too early."""

    def __init__(self, stream):
        self.stream = stream
        self.heard = b""

    async def say(self, data):
        await self.stream.send_all(data)

    async def ask(self, data, *, body=True):
        await self.say(data)
        return await self.hear(body=body)

    async def hear(self, *, body=True):
        head = await self.hear_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1"
        assert reason
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0)) if body else 0
        while len(self.heard) < length:
            await self.more()
        taken, self.heard = self.heard[:length], self.heard[length:]
        return Heard(int(status), reason, headers, taken)

    async def hear_until(self, mark):
        while mark not in self.heard:
            await self.more()
        before, _, self.heard = self.heard.partition(mark)
        return before

    async def more(self):
        data = await self.stream.receive_some()
        assert data, f"the server closed after {self.heard!r}"
        self.heard += data

    async def rest(self):
        """Everything until the server closes."""
        while data := await self.stream.receive_some():
            self.heard += data
        return self.heard

    async def is_closed(self):
        return await self.rest() == b""


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what `connect` makes; `failures` come first."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.attempts = 0
        self.accepted = 0
        self.closed = False
        self._put, self._streams = trio.open_memory_channel(1_000)

    def connect(self):
        ours, theirs = memory_stream_pair()
        self._put.send_nowait(theirs)
        return Peer(ours)

    async def accept(self):
        self.attempts += 1
        if self.failures:
            raise OSError(self.failures.pop(0), "no")
        stream = await self._streams.receive()
        self.accepted += 1
        return stream

    async def aclose(self):
        self.closed = True


async def ok(request):
    return Response(200, b'"ok"')


async def echo(request):
    return Response(200, request.body, "application/octet-stream")


class Serving:
    def __init__(self, server, nursery):
        self.server = server
        self.ended = 0
        self.one_ended = trio.Event()
        self._nursery = nursery

    def connect(self, pair=None):
        ours, theirs = pair or memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return Peer(ours)

    async def _serve(self, stream):
        await self.server.serve_stream(stream)
        self.ended += 1
        self.one_ended.set()


@asynccontextmanager
async def serving(handler=ok, **options):
    async with trio.open_nursery() as nursery:
        yield Serving(Server(handler, **options), nursery)
        nursery.cancel_scope.cancel()


def post(body=b"", *, target="/secrets", headers=b""):
    return b"POST %b HTTP/1.1\r\nHost: hub\r\n%bContent-Length: %d\r\n\r\n%b" % (
        target.encode(),
        headers,
        len(body),
        body,
    )
