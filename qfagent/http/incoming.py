"""Incoming is what a connection has received and nobody has read yet: heads are cut off it, bodies taken.

* llhttp and we agree on where a head ends, or the connection is refused: smuggling lives on disagreement.
* Every byte of a head was seen by llhttp, which refuses bare line feeds, folded lines and control bytes.
* Each head meets a fresh parser, so nothing of one message colours the next.
* What lies behind a message stays here for the next one; at most one read of it is ever held.
"""

from typing import NamedTuple

import httptools
import trio

from qfagent.errors import BadHttp
from qfagent.http.limits import FIELDS, HEAD_BYTES
from qfagent.http.message import Fields

RECEIVE_BYTES = 65_536
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)

_END = b"\r\n\r\n"


class RawHead(NamedTuple):
    """The first line without its end, and the fields below it."""

    line: bytes
    fields: Fields


class Incoming:
    """Bytes of one direction of a connection, cut into heads and bodies.

    `heads` is httptools.HttpRequestParser or httptools.HttpResponseParser.
    """

    __slots__ = ("_buffer", "_bytes", "_fed", "_fields", "_heads", "_most", "_parser")

    def __init__(
        self,
        heads: type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser],
        *,
        most_bytes: int = HEAD_BYTES,
        most_fields: int = FIELDS,
    ) -> None:
        self._heads = heads
        self._bytes = most_bytes
        self._most = most_fields
        self._buffer = b""
        self._fed = 0  # how much of the buffer the present parser has seen

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes | bytearray) -> None:
        """Adds what was received."""
        self._buffer = self._buffer + data if self._buffer else bytes(data)

    def take(self, length: int) -> bytes:
        """Up to `length` bytes of a body."""
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def head(self) -> RawHead | None:
        """The next head, or None if more bytes are needed; BadHttp if it can't become one."""
        if not self._buffer:
            return None
        end = self._buffer.find(_END, max(self._fed - 3, 0))
        stop = end + 4 if end >= 0 else len(self._buffer)
        if stop > self._bytes:
            raise BadHttp(f"a head has at most {self._bytes} bytes", answer_status=431)
        self._parse_to(stop)
        if self._fields.complete != (end >= 0):
            raise BadHttp("a head ends with its first empty line")
        return self._cut(stop) if end >= 0 else None

    def _parse_to(self, stop: int) -> None:
        if self._fed == 0:
            self._fields = _Collector()
            self._parser = self._heads(self._fields)
        piece = self._buffer[self._fed : stop]
        self._fed = stop
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as error:
            raise BadHttp("no other protocol is spoken here") from error
        except httptools.HttpParserError as error:
            raise BadHttp(f"not HTTP/1.1: {str(error).lower()}") from error

    def _cut(self, stop: int) -> RawHead:
        fields = self._fields.found
        if len(fields) > self._most:
            raise BadHttp(f"a head has at most {self._most} headers", answer_status=431)
        line = self._buffer[: self._buffer.index(b"\r\n")]
        self._buffer = self._buffer[stop:]
        self._fed = 0
        return RawHead(line, tuple(fields))


async def receive_body(stream: trio.abc.ReceiveStream, incoming: Incoming, length: int) -> bytes | None:
    """A body of `length` bytes; None if the peer ends in the middle of it. Nothing behind it is read."""
    pieces = [incoming.take(length)]
    missing = length - len(pieces[0])
    while missing:
        piece = await stream.receive_some(min(RECEIVE_BYTES, missing))
        if not piece:
            return None
        pieces.append(bytes(piece))
        missing -= len(piece)
    return b"".join(pieces)


class _Collector:
    """What httptools calls back: header by header, then once at the end."""

    __slots__ = ("complete", "found")

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp takes blanks away before a value, not behind it
        self.found.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True
