"""Nobody gets in by the socket: every route of real agents, asked by every kind of caller, held against one table.

* The table is this page's own; a route that does not stand in it is a finding, too.
* The callers are real: other users, other groups, another user namespace, and whoever connects over TCP.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from qfagent.testing.processes import AgentProcess, free_port
from qfagent.testing.witness import Broken

PERMISSIONS = """
observe GET    /v1/status
observe GET    /v1/events
observe GET    /v1/events/recent
observe GET    /healthz
observe GET    /readyz
observe GET    /metrics
observe GET    /openapi.json
operate POST   /v1/reload
admin   GET    /v1/backup
admin   POST   /v1/fence/lift
observe GET    /v1/hubs
observe GET    /v1/psrd
observe GET    /v1/psrd/history
observe GET    /v1/ledger
observe GET    /v1/peers
operate POST   /v1/psrd
keys    POST   /v1/keys
keys    GET    /v1/keys
keys    GET    /v1/keys/{key_id}
admin   POST   /v1/blocks/{id}/resume
admin   POST   /v1/blocks/{id}/retire
admin   PUT    /v1/hubs/{id}/address
observe GET    /v1/clients
operate POST   /v1/clients
admin   DELETE /v1/clients/{id}
operate POST   /v1/clients/{id}/psrd
operate POST   /v1/clients/{id}/approve
admin   POST   /v1/clients/expire
observe GET    /v1/pool
operate POST   /v1/pool/take
"""
VERBS = {(method, path): verb for verb, method, path in map(str.split, PERMISSIONS.split("\n")[1:-1])}
OWN, STRANGER, GROUP, ADMIN_GROUP = 51_010, 51_011, 1, 4  # daemon and adm, of every Linux
EVERYTHING, MEMBERS = {"observe", "keys", "operate", "admin"}, {"observe", "keys"}
CALLERS = {
    "root": (0, [], EVERYTHING),
    "the agent's own user": (OWN, [], EVERYTHING),
    "the admin group": (STRANGER, [GROUP, ADMIN_GROUP], EVERYTHING),
    "the key group": (STRANGER, [GROUP], MEMBERS),
    "another user": (STRANGER, [27], set()),
    "nobody": (65_534, [GROUP, ADMIN_GROUP], set()),
}
AS_OWN = ("setpriv", "--groups", f"{GROUP},{ADMIN_GROUP}", "--regid", str(OWN), "--reuid", str(OWN))
ELSEWHERE = ("setpriv", "--clear-groups", "--regid", "27", "--reuid", str(STRANGER), "unshare", "--user", "-r")
ROLES = {
    "client": 'role = "client"',
    "hub": 'role = "hub"\n[hub]\nfqdn = "127.0.0.1"\nlisten = "127.0.0.1:{port}"',
}
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable  # one that every user can run
CALLER = Path(__file__).parents[1] / "local" / "caller.py"


def play(seed):
    """The whole matrix of a role; which role is the seed's choice."""
    missing = lacks()
    if missing:
        return {f"skipped: {missing}": 1}
    role = sorted(ROLES)[seed % 2]
    with tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        agent = _agent(Path(folder), role)
        try:
            agent.start()
            agent.wait_up()
            return _matrix(agent, role)
        finally:
            agent.kill()


def lacks():
    """What this machine lacks for it, if anything."""
    if os.geteuid() != 0:
        return "only root can call as other users"
    for command in ([*ELSEWHERE, PYTHON, "-c", ""], [*AS_OWN, sys.executable, "-c", "import qfagent"]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return f"this does not work: {' '.join(command)}"
    return None


def _agent(folder, role):
    """An agent of a user of its own, behind a socket that everybody may connect to: the table is the only gate."""
    os.chown(folder, OWN, OWN)
    folder.chmod(0o755)
    port = free_port()
    agent = AgentProcess(folder, role, ROLES[role].format(port=port))
    agent.port = port
    text = agent.config.read_text() + 'group = "daemon"\nadmin_group = "adm"\n'
    agent.config.write_text(text)
    agent.prefix = AS_OWN
    return agent


def _matrix(agent, role):
    agent.socket.chmod(0o666)
    routes = sorted(_documented(agent))
    unknown = [route for route in routes if route not in VERBS]
    _expect(not unknown, f"routes that stand in no table: {unknown}")
    for name, (uid, groups, verbs) in CALLERS.items():
        _check(role, name, routes, verbs, _ask(agent, uid, groups, routes))
    _check(role, "root of another user namespace", routes, set(), _ask(agent, None, [], routes, prefix=ELSEWHERE))
    cells = Counter({f"{role} routes x callers": len(routes) * (len(CALLERS) + 1)})
    if role == "hub":
        _check_tcp(agent, routes)
        cells["routes over TCP"] += len(routes)
    return cells


def _documented(agent):
    paths = agent.agent._ask("GET", "/openapi.json")["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods if method != "parameters"]


def _check(role, name, routes, verbs, statuses):
    for route, status in zip(routes, statuses, strict=True):
        may = VERBS[route] in verbs
        _expect(may == (status != 403), f"{role}: {name} asks {' '.join(route)} and is answered {status}")


def _ask(agent, uid, groups, routes, prefix=()):
    asked = json.dumps([str(agent.socket), uid, groups, [_filled(*route) for route in routes]])
    command = [*prefix, PYTHON, "-I", "-S", "-c", CALLER.read_text()]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[1]


def _filled(method, path):
    path = path.replace("{key_id}", "685d6b4b-c7b2-8711-901c-257774930000")
    return method, re.sub(r"\{id\}", "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b", path)


def _check_tcp(agent, routes):
    """What the socket offers is not to be had at the hub's port."""
    for method, path in (_filled(*route) for route in routes):
        connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        _expect(answer.status in (401, 404, 429), f"{method} {path} over TCP is answered {answer.status}")
        connection.close()


def _expect(holds, detail):
    if not holds:
        raise Broken("let-in", detail)
