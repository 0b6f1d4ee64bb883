"""A management server without sockets: its routes, gate and archive, a disk in memory, a clock that a test sets."""

import json
import random

from qfagent.http.message import Request, Response
from qfagent.management.api import Api
from qfagent.management.archive import Archive
from qfagent.management.gate import identify
from qfagent.management.mesh import Mesh
from qfagent.management.role import every_route
from qfagent.management.tokens import hashed
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World, at_once

OPERATOR = "the-token-of-an-operator"
PATH = "/state/management.db"
NOON = 1_800_000_000.0


class Desk:
    """One server; `restart` makes another on the same disk."""

    def __init__(self, *, seed=0, ranges=(), shares_required=2):
        self.disk, self.now, self.ranges = MemoryDisk(seed), NOON, ranges
        self.disk.make_dir("/state", 0o700)
        self.world = World(wall=lambda: self.now, random=random.Random(seed).randbytes, in_thread=at_once)
        self.events, self.shares_required = [], shares_required
        self.open()

    def open(self):
        self.archive = Archive(self.disk, PATH)
        note = self.note
        self.mesh = Mesh(self.archive, self.world, note, shares_required=self.shares_required)
        self.routes = every_route(self.mesh, self.world)
        operators = {hashed(OPERATOR): "anna"}
        self.api = Api(self.routes, lambda request: identify(request, self.atlas, operators), lambda: self.ranges)

    async def restart(self):
        self.archive.close()
        self.open()
        await self.mesh.begin()

    def close(self):
        self.archive.close()
        self.disk.close()

    def note(self, name, /, **fields):
        self.events.append((name, fields))

    @property
    def atlas(self):
        return self.mesh.atlas

    @property
    def network(self):
        return self.mesh.atlas.network

    def request(self, method, target, body=b"", *, token=OPERATOR, address="100.64.0.9"):
        headers = ((b"authorization", f"Token {token}".encode("latin-1")),) if token else ()
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Request(method, target, headers, address, "1", body)

    async def ask(self, method, target, body=b"", **more):
        """As over HTTP: the gate first, then the handler."""
        if not self.network.groups:
            await self.mesh.begin()
        request = self.request(method, target, body, **more)
        admitted = self.api.admit(request)
        return admitted if isinstance(admitted, Response) else await self.api.respond(request)

    async def get(self, target, **more):
        return await self.told("GET", target, **more)

    async def told(self, method, target, body=b"", **more):
        """What a request that is granted is told."""
        answer = await self.ask(method, target, body, **more)
        assert answer.status in (200, 204), answer.body
        return json.loads(answer.body or b"null")

    async def key(self, **more):
        return await self.told("POST", "/api/setup-keys", {"name": "lab", "type": "reusable", "expires_in": 0, **more})

    async def enrol(self, *names):
        key = (await self.key())["key"]
        return [await self.told("POST", "/agent/v1/enrol", wish(key, name), token="") for name in names]

    async def mark(self, peer, *, hub=True):
        return await self.told("PUT", f"/api/peers/{peer['id']}", {"dske_security_hub": hub})

    async def policy(self, source, destination, **more):
        rule = {**RULE, "sources": [source], "destinations": [destination], **more}
        return await self.told("POST", "/api/policies", {"name": "p", "enabled": True, "rules": [rule]})

    async def report(self, peer, **more):
        body = {"name": peer["name"], "role": "client", "version": "1", **more}
        return await self.told("PUT", "/agent/v1/report", body, token=peer["token"])


RULE = {"name": "r", "enabled": True, "bidirectional": True, "protocol": "all", "action": "accept"}


def wish(key, name, **more):
    return {"setup_key": key, "name": name, **more}


def said(answer):
    """Status, and what is said about it."""
    body = json.loads(answer.body)
    return answer.status, body.get("message") or body.get("detail")


def by_name(things, name):
    return next(thing for thing in things if thing["name"] == name)
