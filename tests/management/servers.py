"""A management server in this process, on real sockets and a real disk, and those who ask it."""

import json
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.local.frames import free_port, receive, request, running

SETTINGS = '[management]\nlisten = "127.0.0.1:{port}"\n{more}'


class Serving:
    """A server at work, and how to ask it."""

    def __init__(self, agent, port, token=""):
        self.agent, self.port = agent, port
        self.token = token or Path(agent.frame.config.token_file).read_text().strip()

    async def ask(self, method, target, body=b"", *, token=None):
        """One request of an operator, or of whoever has the token, on a connection of its own; "" is none."""
        token = self.token if token is None else token
        headers = {"Authorization": f"Token {token}"} if token else {}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(request(method, target, body, **headers))
            return await receive(stream)

    async def get(self, target, *, token=None):
        answer = await self.ask("GET", target, token=token)
        assert 200 == answer.status, answer.body
        return answer.content

    async def setup_key(self, **more):
        wanted = {"name": "lab", "type": "reusable", "expires_in": 0, **more}
        return (await self.ask("POST", "/api/setup-keys", wanted)).content

    async def enrol(self, *names):
        """Peers of these names; each with the token that it got."""
        key = (await self.setup_key())["key"]
        return [
            (await self.ask("POST", "/agent/v1/enrol", {"setup_key": key, "name": name}, token="")).content
            for name in names
        ]

    async def mark(self, peer, *, hub=True):
        answer = await self.ask("PUT", f"/api/peers/{peer['id']}", {"dske_security_hub": hub})
        assert 200 == answer.status, answer.body
        return answer.content


@asynccontextmanager
async def serving(more=""):
    port = free_port()
    async with running("management", SETTINGS.format(port=port, more=more)) as agent:
        yield Serving(agent, port)
