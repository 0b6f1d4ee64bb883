"""No secret leaks: agents at debug level, in fair and foul play, and then a search of all that they have let out.

* Known are all pads, all keys and all shares; searched for in raw, hex and base64 at every alignment.
* Searched are logs, answers and errors, events, metrics, status, backups, every file but pads and PSRD files, and what
  /proc shows of the processes. The kernel makes no core dump, though it is permitted to.
"""

import http.client
import io
import json
import os
import random
import resource
import signal
import tempfile
import tomllib
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

from qfagent.errors import AgentError
from qfagent.local.exchange import Exchange
from qfagent.testing.witness import Broken
from tests.proof.fleets import Tapped
from tests.proof.search import Needles

PROC = ("cmdline", "environ", "comm", "status", "maps", "limits")
HOLDERS = {"pads", "psrd-in", "psrd-out", "rejected"}
PAGES = {
    "client": ("status", "hubs", "psrd", "ledger", "peers", "events/recent", "backup"),
    "hub": ("status", "clients", "pool", "events/recent", "backup"),
}


def lacks_cores():
    """What keeps this machine from making a core dump where it would be found, if anything."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        return f"core dumps go elsewhere: {pattern}"
    return None if resource.getrlimit(resource.RLIMIT_CORE)[1] else "core dumps are forbidden to all"


@contextmanager
def cores_permitted():
    """Whoever is started meanwhile may leave core dumps, unless it forbids them to itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def play(seed, *, prefix=()):
    """One session; how much was searched for how much."""
    with tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        (temporary := Path(folder, "tmp")).mkdir()
        with (
            cores_permitted(),
            Tapped(Path(folder), pad=8192, prefix=("env", "-C", temporary, f"TMPDIR={temporary}", *prefix)) as fleet,
        ):
            fleet.begin()
            session = Session(fleet, random.Random(seed))
            session.live()
            session.gather()
            session.check_cores()
            return _search(fleet, session.let_out, temporary)


class Session:
    """What local tools and strangers do to the agents; `let_out` is what they get to see of it, by place."""

    def __init__(self, fleet, chance):
        self.fleet, self.chance, self.let_out = fleet, chance, {}
        self.alice, self.bob = fleet.clients.values()

    def live(self):
        self.fleet.make_keys(15)
        [again] = self.alice.agent.establish("bob")
        self.fleet.keys.append(again.key.reveal())
        for key_id in (again.key_id, again.key_id, "685d6b4b-c7b2-8711-901c-257774930000", "nonsense"):
            self._try("recover", lambda key_id=key_id: self.bob.agent.recover(key_id, peer="alice"))
        for name, data in self._bad_files():
            self._try(name, lambda data=data: self.alice.agent.ingest(io.BytesIO(data), size=len(data)))
        self._try("peer", lambda: self.alice.agent.establish("nobody"))
        self._talk_nonsense()
        hub = next(iter(self.fleet.hubs.values()))
        hub.stop()
        self._try("too few hubs", lambda: self.alice.agent.establish("bob"))
        hub.start()
        hub.wait_up()
        self.bob.stop()
        self.bob.start()
        self.bob.wait_up()

    def gather(self):
        for role, agents in (("client", self.fleet.clients), ("hub", self.fleet.hubs)):
            for agent in agents.values():
                for page in PAGES[role]:
                    self.let_out[f"{agent.name} /v1/{page}"] = _get(agent, f"/v1/{page}")
                for page in ("metrics", "readyz", "openapi.json"):
                    self.let_out[f"{agent.name} /{page}"] = _get(agent, f"/{page}")
                for name in PROC:
                    self.let_out[f"{agent.name} /proc/{name}"] = Path(f"/proc/{agent.pid}/{name}").read_bytes()

    def check_cores(self):
        """An agent that dies of a fault leaves no memory behind."""
        with suppress(PermissionError):  # who may, lifts even the limit that the agent has set itself
            resource.prlimit(self.alice.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(self.alice.pid, signal.SIGABRT)
        died = os.waitid(os.P_PID, self.alice.pid, os.WEXITED | os.WNOWAIT)
        _expect(died.si_code == os.CLD_KILLED, "an agent that died has dumped its memory")
        self.alice.kill()
        limits = self.let_out["alice /proc/limits"].decode()
        core = next(line for line in limits.splitlines() if "core file" in line)
        _expect(core.split()[4:6] == ["0", "0"], f"core dumps are permitted: {core}")

    def _bad_files(self):
        whole = self.fleet.files[0]
        fields = json.loads(whole)
        yield "a file again", whole
        yield "half a file", whole[: len(whole) // 2]
        yield "a file with another version", json.dumps(fields | {"version": 1}).encode()
        yield "a file with a wrong pad", json.dumps(fields | {"psrd": fields["psrd"][:-8] + "AAAAAAA="}).encode()
        yield "a file with a wrong split", json.dumps(fields | {"user_bytes": 7}).encode()
        yield "a file that is none", b"\xff" + whole

    def _talk_nonsense(self):
        """What was deposited is sent again, and again with a wrong tag: the hub says no, and repeats nothing."""
        for block, direction, start, end, body in self.fleet.uses()[:40]:
            if direction == "user":
                hub = next(iter(self.fleet.hubs.values()))
                auth = f"block={block}; offset={start}; length={end - start}; seen=16; tag={'0' * 32}"
                self.let_out[f"nonsense at {start}"] = _post(hub, "/dske/v1/secrets", auth, body)

    def _try(self, what, act):
        try:
            act()
        except AgentError as error:
            self.let_out[f"error {len(self.let_out)}: {what}"] = f"{error!r} {error}".encode()


def _get(agent, target):
    with Exchange(str(agent.socket), timeout=10) as exchange:
        exchange.ask("GET", target)
        return exchange.body()


def _post(hub, target, auth, body):
    host, port = tomllib.loads(hub.config.read_text())["hub"]["listen"].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("POST", target, body, {"DSKE-Auth": auth})
    answer = connection.getresponse().read()
    connection.close()
    return answer


def _search(fleet, let_out, temporary):
    needles = Needles()
    for block in fleet.blocks.values():
        needles.add(f"the user pad of {block.id}", block.user.reveal()[16:])  # what stands before is public
        needles.add(f"the server pad of {block.id}", block.server.reveal())
    for key in fleet.keys:
        needles.add("a key", key)
    for share in fleet.shares():
        needles.add("a share", share)
    files = {str(path): path.read_bytes() for path in _files(fleet)}
    everything = let_out | files
    for place, data in everything.items():
        found = needles.found_in(data)
        _expect(not found, f"{place} shows {sorted(found)[:3]}")
    _expect(not list(temporary.iterdir()), "temporary files are left")
    return Counter(places=len(everything), KiB=sum(map(len, everything.values())) >> 10, words=len(needles))


def _files(fleet):
    """Every file that the agents have written, but those that are there to hold PSRD."""
    for path in fleet._folder.rglob("*"):
        if path.is_file() and not holds_psrd(path):
            yield path


def holds_psrd(path):
    """Whether a file is there to hold pads."""
    return bool(HOLDERS & set(path.parts)) and not path.name.endswith(".reason.json")


def _expect(holds, detail):
    if not holds:
        raise Broken("leaked", detail)
