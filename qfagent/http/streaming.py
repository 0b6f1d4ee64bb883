"""Streaming is an answer in pieces, as they happen, for as long as both sides want it.

* It ends with its source, at `stop`, when the peer ends its side, or when one piece can't be sent in time.
* Only an answer whose source ended, or that was stopped between two pieces, gets the last chunk: a torn answer
  can be told from a whole one.
* The source is closed in any case.
"""

from collections.abc import AsyncIterator

import trio

from qfagent.http.encoding import LAST_CHUNK, encode_chunk
from qfagent.http.incoming import BROKEN, RECEIVE_BYTES


class Streaming:
    """One answer in pieces; `seconds` is the time for sending each of them."""

    def __init__(self, stream: trio.abc.Stream, source: AsyncIterator[bytes], *, chunked: bool, seconds: float) -> None:
        self._stream = stream
        self._source = source
        self._chunked = chunked
        self._seconds = seconds
        self._waiting = trio.CancelScope()
        self._stopping = False

    def stop(self) -> None:
        """Ends the answer behind the piece that is on its way."""
        self._stopping = True
        self._waiting.cancel()

    async def run(self, head: bytes) -> None:
        """Sends the head, then the pieces; a broken stream ends it quietly."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                await self._send_all(head)
                nursery.cancel_scope.cancel()
        finally:
            await close_source(self._source)

    async def _watch(self, answer: trio.CancelScope) -> None:
        """Nobody reads an answer whose connection was closed: without this it would last until the next piece."""
        try:
            while await self._stream.receive_some(RECEIVE_BYTES):
                pass
        except BROKEN:
            pass
        answer.cancel()

    async def _send_all(self, head: bytes) -> None:
        try:
            whole = await self._send(head)
            while whole and (piece := await self._next_piece()) is not None:
                whole = await self._send(encode_chunk(piece) if self._chunked else piece)
            if whole and self._chunked:
                await self._send(LAST_CHUNK)
        except BROKEN:
            pass

    async def _send(self, data: bytes) -> bool:
        """Whether it was sent in time."""
        with trio.move_on_after(self._seconds):
            await self._stream.send_all(data)
            return True
        return False

    async def _next_piece(self) -> bytes | None:
        """The next piece that is not empty; None at the end, or if there will be no end because of `stop`."""
        while not self._stopping:
            with trio.CancelScope() as self._waiting:
                piece = await anext(self._source, None)
                if piece is None or piece:
                    return piece
        return None


async def close_source(source: AsyncIterator[bytes]) -> None:
    """Closes what a streamed answer came from, where it can be closed (a generator, a channel)."""
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
