"""What runs inside the machine: hubs and clients behind taps, tools that use them, and a line to us for all they learn.

* A line is said before a message is passed on, and after an answer was given: what we have heard of has happened.
* First what is owed is checked and claimed; then keys are made and files carried, until the power fails.
"""

import ctypes
import fcntl
import hashlib
import io
import json
import os
import random
import socket
import struct
import sys
import threading
import time
import traceback
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path

from qfagent.cli import (
    qfagent,
    run,  # noqa: F401  # what every agent imports is imported once
)
from qfagent.dske import psrd
from qfagent.errors import AgentError, NotFound
from qfagent.testing import processes
from qfagent.testing.processes import AgentProcess, Fleet, wait_until
from tests.system.tap import Tap

HUBS, CLIENTS = ("hub1", "hub2", "hub3"), ("alice", "bob")
PAIRS = [(hub, client) for client in CLIENTS for hub in HUBS]
PAD, POOL = 65_536, 2
SUPPLIED = 4  # seconds between files
FINIT_MODULE = 313
UP = 1


def main():
    """All that this machine does; it never ends by itself."""
    processes.PATIENCE = 600.0
    _prepare()
    line = Line()
    _heard(line, House(line, line.hear()).live)
    while True:
        time.sleep(3600)


def _heard(line, act, *args):
    """Does something that does not end; if it does, that is to be heard outside."""
    try:
        act(*args)
    except Exception:  # noqa: BLE001  # whatever it was
        line.say("failed", traceback.format_exc())


def _prepare():
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        _mount(kind, place, kind)
    for module in sorted(Path("/modules").iterdir()):
        _insert(module)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", UP))
    wait_until(Path("/dev/vda").exists, "the disk")
    _mount("/dev/vda", "/data", "ext4")


def _mount(what, place, kind):
    if ctypes.CDLL(None, use_errno=True).mount(what.encode(), place.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mounting {place}")


def _insert(module):
    with module.open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).syscall(FINIT_MODULE, file.fileno(), b"", 0):
            raise OSError(ctypes.get_errno(), f"loading {module.name}")


class Line:
    """The line to the outside; whoever stands between agents says on it what passes."""

    def __init__(self):
        wait_until(lambda: any(Path("/dev").glob("vport*p1")), "the line")
        self._port = os.open(next(Path("/dev").glob("vport*p1")), os.O_RDWR)
        self._lock = threading.Lock()

    def say(self, *what):
        data = json.dumps(what).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._port, data) :]

    def hear(self):
        heard = b""
        while not heard.endswith(b"\n"):
            heard += os.read(self._port, 65536)
        return json.loads(heard)

    def message(self, direction, head, body, *, whole):
        self.say("message", direction, b64encode(head).decode(), b64encode(body).decode(), whole)


class Forked(AgentProcess):
    """An agent that is forked off: to import everything anew takes long where every instruction is emulated."""

    broken = ""

    def start(self):
        if os.fork() == 0:
            try:
                self._run()
            finally:
                os._exit(1)

    def _run(self):
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            exec(self.broken, {})
            sys.argv = ["qfagent", "run", "--config", str(self.config)]
            sys.exit(qfagent())
        except Exception:  # noqa: BLE001  # it is looked at from outside
            traceback.print_exc()


class House(Fleet):
    """Everybody in this machine; `orders` is what is owed to us."""

    def __init__(self, line, orders):
        super().__init__(Path("/data"))
        self._line, self._orders = line, orders

    def live(self):
        self._begin()
        self._check()
        self._claim()
        self._line.say("checked")
        for generator, recoverer in ((CLIENTS, CLIENTS[::-1]) * 2)[:3]:
            work = (self._line, self._work, generator, recoverer)
            threading.Thread(target=_heard, args=work).start()
        while True:
            time.sleep(SUPPLIED)
            self._supply(*random.choice(PAIRS))

    def _begin(self):
        pads = f"[hub.provisioner]\npool_size = {POOL}\nuser_bytes = {PAD}\nserver_bytes = {PAD}"
        for number, name in enumerate(HUBS, 1):
            place = f'fqdn = "127.0.1.{number}"\nlisten = "127.0.0.1:{2700 + number}"'
            self.hubs[name] = Forked(self._folder, name, f'role = "hub"\n[hub]\n{place}\n{pads}')
        for name in CLIENTS:
            self.clients[name] = Forked(self._folder, name, 'role = "client"\n[client]\nhub_timeout = "10s"')
        everybody = (*self.hubs.values(), *self.clients.values())
        for process in everybody:
            process.broken = self._orders["broken"]
            process.start()
        for number in range(1, len(HUBS) + 1):
            Tap((f"127.0.1.{number}", 2700 + number), ("127.0.0.1", 2700 + number), self._line)
        for process in everybody:
            process.wait_up()
        self._line.say("up")

    def _check(self):
        """Says what became of all that was handed out and ingested."""
        for hub, block in self._orders["handed"]:
            self._line.say("known", hub, block, self._known(hub, block))
        for name, client in self.clients.items():
            entries = client.agent.ledger()
            self._line.say("ledger", name, [[entry["block"], entry["state"], entry["reason"]] for entry in entries])

    def _known(self, hub, block):
        connection = HTTPConnection("127.0.0.1", 2700 + 1 + HUBS.index(hub), timeout=60)
        connection.request("GET", f"/dske/v1/blocks/{block}")
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        return answer.status == 200 and not said["retired"]

    def _claim(self):
        """Asks for all keys that are owed, and for some that are not."""
        for hub, client in PAIRS:
            if [hub, client] not in self._orders["ingested"]:
                self._supply(hub, client)
        for client in self.clients.values():
            self.wait_hubs(client, len(HUBS))
        for key in self._orders["owed"]:
            for _ in range(3):
                if self._recover(*key):
                    break
        for key in self._orders["out"]:
            self._recover(*key)

    def _supply(self, hub, client):
        """Carries a file from a hub to a client."""
        file = io.BytesIO()
        wait_until(lambda: self._is_taken(hub, file), f"a file in the pool of {hub}")
        self._line.say("handed", hub, psrd.decode(file.getvalue()).id)
        size = file.tell()
        file.seek(0)
        receipt = self.clients[client].agent.ingest(file, size=size)
        self._line.say("ingested", hub, client, receipt["block"])

    def _is_taken(self, hub, file):
        try:
            self.hubs[hub].agent.take_from_pool(file)
        except NotFound:
            return False
        return True

    def _work(self, generator, recoverer):
        """Makes keys for as long as there is power, and asks for most of them."""
        while True:
            try:
                made = self.clients[generator].agent.establish(recoverer, count=random.choice((1, 1, 1, 4)))
            except AgentError as error:
                self._line.say("refused", generator, "", error.slug)
                time.sleep(0.5)
                continue
            for key in made:
                self._line.say("made", generator, recoverer, key.key_id, _digest(key))
            for key in made:
                if random.random() < 0.7:
                    self._recover(generator, recoverer, key.key_id)

    def _recover(self, generator, recoverer, key_id):
        """Asks for a key; whether the answer was final."""
        self._line.say("asked", key_id)
        try:
            found = self.clients[recoverer].agent.recover(key_id, peer=generator)
        except AgentError as error:
            self._line.say("refused", recoverer, key_id, error.slug)
            return error.slug == "key-gone"
        self._line.say("out", key_id, _digest(found))
        return True


def _digest(key):
    return hashlib.sha256(key.key.reveal()).hexdigest()
