"""A management server that says whatever a test likes, on a real socket."""

from contextlib import asynccontextmanager

import msgspec
import trio

from qfagent.http.message import Response
from qfagent.http.server import Server

ENROLLED = {"id": "id-alice", "name": "alice", "token": "qfp-0123456789"}


class Liar:
    """Says `says[path]`, one after the other, the last for ever; `asked` is what it was asked."""

    def __init__(self):
        self.says = {"/agent/v1/enrol": [ENROLLED], "/agent/v1/report": [Response(204)]}
        self.asked = []

    async def respond(self, request):
        path = request.target.partition("?")[0]
        self.asked.append(request)
        says = self.says[path]
        said = says.pop(0) if len(says) > 1 else says[0]
        if callable(said):
            said = await said()
        return said if isinstance(said, Response) else Response(200, msgspec.json.encode(said))

    def tokens(self):
        return [value.decode() for request in self.asked for value in request.values(b"authorization")]


@asynccontextmanager
async def lying():
    liar = Liar()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    liar.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        await nursery.start(Server(liar.respond).run, listeners)
        yield liar
        nursery.cancel_scope.cancel()
