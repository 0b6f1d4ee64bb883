"""A NetBird management server, as far as its API is used here; all it says is what its own document demands."""

import json
from contextlib import asynccontextmanager
from itertools import count

import trio

from qfagent.http.message import Response
from qfagent.http.server import Server

NEVER = "2023-05-05T09:00:35.477782Z"
TOKEN = "nbp_0123456789abcdef"


def peer(name, ip, *groups):
    """One peer with everything that the document requires of it."""
    words = ("city_name", "connection_ip", "hostname", "kernel_version", "os", "user_id", "version", "ui_version")
    switches = (
        "connected",
        "login_expiration_enabled",
        "login_expired",
        "inactivity_expiration_enabled",
        "ssh_enabled",
        "approval_required",
        "ephemeral",
    )
    return {
        **dict.fromkeys(words, "x"),
        **dict.fromkeys(switches, False),
        **dict.fromkeys(("created_at", "last_login", "last_seen"), NEVER),
        "id": f"id-{name}",
        "name": name,
        "ip": ip,
        "dns_label": f"{name}.netbird.cloud",
        "groups": [minimum(group) for group in groups],
        "country_code": "DE",
        "geoname_id": 1,
        "serial_number": "x",
        "extra_dns_labels": [],
        "accessible_peers_count": 1,
    }


def minimum(group):
    return {"id": group["id"], "name": group["name"], "peers_count": 0, "resources_count": 0}


class NetBirdServer:
    """Groups, policies and peers; `changes` lists the requests that were more than questions."""

    def __init__(self):
        self._ids = count(1)
        self.groups, self.policies, self.peers, self.changes = [], [], [], []
        self.add_group("All")

    def add_group(self, name):
        group = {"id": f"g{next(self._ids)}", "name": name, "peers_count": 0, "resources_count": 0}
        self.groups.append(group | {"peers": [], "resources": []})
        return self.groups[-1]

    async def respond(self, request):
        if request.values(b"authorization") != [f"Token {TOKEN}".encode()]:
            return Response(401, b'{"message": "token invalid", "code": 401}')
        body = json.loads(request.body) if request.body else None
        if request.method != "GET":
            self.changes.append((request.method, request.target, body))
        return Response(200, json.dumps(self._answer(request.method, request.target, body)).encode())

    def _answer(self, method, target, body):
        match method, target.split("/")[2:]:
            case "GET", [shelf, *_]:
                return {"groups": self.groups, "policies": self.policies, "peers": self.peers}[shelf]
            case "POST", ["groups"]:
                return self.add_group(body["name"])
            case "POST", ["policies"]:
                self.policies.append(self._policy(f"p{next(self._ids)}", body))
            case "PUT", ["policies", policy_id]:
                others = [policy for policy in self.policies if policy["id"] != policy_id]
                self.policies = [*others, self._policy(policy_id, body)]
        return self.policies[-1]

    def _policy(self, policy_id, body):
        known = {group["id"]: minimum(group) for group in self.groups}
        rules = [
            rule | {end: [known[id_] for id_ in rule[end]] for end in ("sources", "destinations")}
            for rule in body["rules"]
        ]
        return body | {"id": policy_id, "rules": rules, "source_posture_checks": []}


@asynccontextmanager
async def serving(server, port):
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(Server(server.respond).run, listeners)
        yield
        nursery.cancel_scope.cancel()
