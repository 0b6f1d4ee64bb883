"""Parting is how the server ends a connection that it has answered on, or refuses.

* A close with unread bytes makes the kernel send a reset, and a reset discards an answer that was not read yet.
  So our side is closed first, and what still comes in is read and thrown away for a moment.
"""

from contextlib import suppress

import trio

from qfagent.http.incoming import BROKEN, RECEIVE_BYTES


async def part(stream: trio.abc.Stream, last_words: bytes, *, seconds: float) -> None:
    """Sends the last words, closes our side and waits for the peer to close its own; `seconds` in all."""
    with trio.move_on_after(seconds), suppress(*BROKEN):
        if last_words:
            await stream.send_all(last_words)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        while await stream.receive_some(RECEIVE_BYTES):
            pass
