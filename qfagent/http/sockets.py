"""A quick socket is trio's socket stream with the detours taken out: one wait and one system call each way.

* Receiving waits first, since there is hardly ever something to read right after an answer or a request.
* Sending writes first and waits only if the kernel's buffer is full; so it is no checkpoint, receiving always is.
* The descriptor is asked for at each use: a closed socket raises, it never reads what became of its number.
"""

import os

import trio

from qfagent.http.incoming import RECEIVE_BYTES


class QuickSocket(trio.abc.HalfCloseableStream):
    """A trio.SocketStream for one reading and one writing task."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._fileno = stream.socket.fileno

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Up to `max_bytes`, empty at the end; errors as those of trio.SocketStream."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._descriptor())
                return os.read(self._descriptor(), max_bytes or RECEIVE_BYTES)
            except BlockingIOError:
                pass  # somebody else was told first, or the kernel dropped a bad packet
            except OSError as error:
                raise trio.BrokenResourceError(f"the connection broke: {error}") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Everything; errors as those of trio.SocketStream. A cancelled one may have sent a part."""
        try:
            sent = os.write(self._descriptor(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError(f"the connection broke: {error}") from error
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def wait_send_all_might_not_block(self) -> None:
        """As trio's."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As trio's."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """As trio's."""
        await self._stream.aclose()

    def _descriptor(self) -> int:
        number = self._fileno()
        if number < 0:
            raise trio.ClosedResourceError("this socket was closed")
        return number


def quicken(stream: trio.abc.Stream) -> trio.abc.Stream:
    """The same stream, quick if it is a socket."""
    return QuickSocket(stream) if isinstance(stream, trio.SocketStream) else stream
