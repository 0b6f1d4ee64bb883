"""Parting is how the server ends a connection that it has answered on, or refuses.

* A close with unread bytes makes the kernel send a reset, and a reset discards an answer that was not read yet.
  So our side is closed first, and what still comes in is read and thrown away for a moment.
* Waiting for that takes up room. Who takes up all that they may already is not waited for.
"""

from contextlib import suppress

import trio

from qfagent.http.incoming import BROKEN, RECEIVE_BYTES


async def part(stream: trio.abc.Stream, last_words: bytes, *, seconds: float) -> None:
    """Sends the last words, closes our side and waits for the peer to close its own; `seconds` in all."""
    with trio.move_on_after(seconds), suppress(*BROKEN):
        await _say(stream, last_words)
        while await stream.receive_some(RECEIVE_BYTES):
            pass


async def dismiss(stream: trio.abc.Stream, last_words: bytes, *, seconds: float) -> None:
    """Sends the last words and closes our side, whether or not the peer gets to read them; `seconds` at most."""
    with trio.move_on_after(seconds), suppress(*BROKEN):
        await _say(stream, last_words)


async def _say(stream: trio.abc.Stream, last_words: bytes) -> None:
    if last_words:
        await stream.send_all(last_words)
    if isinstance(stream, trio.abc.HalfCloseableStream):
        await stream.send_eof()
