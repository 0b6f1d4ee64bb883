"""A server answers HTTP/1.1 on any listener or stream of trio, strictly, and stops without dropping a request.

* Nothing is accepted beyond what may be connected or wait; the kernel's backlog holds the rest.
* One peer takes up no more of that than its own places and queue: what it connects beyond them is closed at once.
* `stop` closes idle connections at once; a request under way is answered first.
* Out of file descriptors means a short rest, neither a crash nor a spin.
* A broken connection never ends the server; what a handler raises does, so a handler always returns.
"""

import errno
from collections.abc import Callable, Hashable, Sequence
from itertools import count

import trio

from qfagent.errors import AgentError
from qfagent.http.connection import Admit, Connection, Handler, Service
from qfagent.http.encoding import encode_answer
from qfagent.http.limits import Limits
from qfagent.http.message import problem
from qfagent.http.parting import dismiss, part
from qfagent.http.places import Places

Identify = Callable[[trio.abc.Stream], object]
PeerKey = Callable[[object], Hashable]

_REST_SECONDS = 0.1
_QUEUES = 4  # so many full queues of different peers may wait, or be told to leave, at a time
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def everybody_alike(_: object) -> None:
    """Identifies nobody: right for streams within one process, and one key for all peers."""


def source_address(stream: trio.abc.Stream) -> str:
    """The address that a TCP peer calls from; OSError if it has gone already."""
    assert isinstance(stream, trio.SocketStream)
    return str(stream.socket.getpeername()[0])


class Server:
    """Serves until `stop`; one Server runs once.

    `identify(stream)` says who the peer is, once a connection, and may refuse it with an AgentError;
    `peer_key(peer)` says whom `Limits.each` and `Limits.queue` count as one. `admit(request)` is asked when a
    head is complete: it answers with a Response, or with the most bytes that the body may have.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        admit: Admit | None = None,
        identify: Identify = everybody_alike,
        peer_key: PeerKey = everybody_alike,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        most = self._limits.body
        ids = (f"{number:06x}" for number in count(1))
        self._service = Service(handler, admit or (lambda _: most), self._limits, ids)
        self._identify = identify
        self._peer_key = peer_key
        self._places = Places(self._limits)
        self._room = trio.Semaphore(self._limits.connections + _QUEUES * self._limits.queue)
        self._connections: set[Connection] = set()
        self._accepting = trio.CancelScope()

    async def run(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accepts connections until `stop`, then lets requests finish; closes the listeners.

        How long requests may take to finish is the caller's to say, by cancelling.
        """
        async with trio.open_nursery() as connections:
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    task_status.started()

    def stop(self) -> None:
        """Accepts nothing more and closes idle connections; answers under way say `Connection: close`."""
        self._accepting.cancel()
        self._places.close()
        for connection in self._connections:
            connection.stop()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serves one connection until it ends, and closes its stream; `run` need not be running."""
        try:
            await self._serve_or_refuse(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_or_refuse(self, stream: trio.abc.Stream) -> None:
        say_goodbye = part
        try:
            peer = self._identify(stream)
            place = self._peer_key(peer)
            if self._places.is_overrun(place):
                say_goodbye = dismiss
            await self._places.take(place)
        except AgentError as error:
            last_words = encode_answer(problem(error), keep_alive=False)
            await say_goodbye(stream, last_words, seconds=self._limits.farewell_seconds)
        except OSError:
            return  # the peer had gone before it could be identified
        else:
            await self._serve_peer(stream, peer, place)

    async def _serve_peer(self, stream: trio.abc.Stream, peer: object, place: Hashable) -> None:
        connection = Connection(stream, peer, self._service)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._places.leave(place)

    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream], connections: trio.Nursery) -> None:
        async with listener:
            while True:
                await self._room.acquire()
                connections.start_soon(self._serve_accepted, await _next_stream(listener))

    async def _serve_accepted(self, stream: trio.abc.Stream) -> None:
        try:
            await self.serve_stream(stream)
        finally:
            self._room.release()


async def _next_stream(listener: trio.abc.Listener[trio.abc.Stream]) -> trio.abc.Stream:
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            await trio.sleep(_REST_SECONDS)
