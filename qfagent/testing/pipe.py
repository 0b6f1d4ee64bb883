"""A pipe is two ends in one process: what one sends the other receives, at once, in order, and without a bound.

* An end behaves as trio's memory streams do, and can say without waiting whether there is something to read.
* One task at a time receives at an end.
"""

import trio


class End(trio.abc.HalfCloseableStream):
    """One end; `pipe` makes both."""

    def __init__(self) -> None:
        self.other = self
        self._data = bytearray()
        self.is_complete = self.is_closed = False
        self._news = trio.Event()

    def poll(self, _timeout: float = 0, /) -> bool:
        """Whether there is something to read, be it data or the end."""
        return bool(self._data) or self.is_complete

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Sends without giving way to anybody. ClosedResourceError, BrokenResourceError."""
        if self.is_closed or self.other.is_complete:
            raise trio.ClosedResourceError("this end was closed")
        if self.other.is_closed:
            raise trio.BrokenResourceError("the other end was closed")
        self.other.take(data)

    def take(self, data: bytes | bytearray | memoryview) -> None:
        """What the other end has put is here."""
        self._data += data
        self._stir()

    def end(self) -> None:
        """Nothing more comes."""
        self.is_complete = True
        self._stir()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends what fits, which is everything."""
        await trio.lowlevel.checkpoint()
        self.put(data)

    async def wait_send_all_might_not_block(self) -> None:
        """It never does."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Up to `max_bytes`, empty at the end."""
        if self.is_closed or self.poll():
            await trio.lowlevel.checkpoint()
        while not (self.is_closed or self.poll()):
            await self._news.wait()
        if self.is_closed:
            raise trio.ClosedResourceError("this end was closed")
        received = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        return received

    async def send_eof(self) -> None:
        """Sends no more."""
        self.other.end()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Neither sends nor receives any more."""
        self.is_closed = True
        self._stir()
        self.other.end()
        await trio.lowlevel.checkpoint()

    def _stir(self) -> None:
        self._news.set()
        self._news = trio.Event()


def pipe() -> tuple[End, End]:
    """Both ends."""
    here, there = End(), End()
    here.other, there.other = there, here
    return here, there
