"""Real agents: `qfagent run` as processes on loopback, each with a folder of its own, ended by their pid."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from qfagent.errors import AgentError
from qfagent.local.client import Agent

BIN = Path(sys.executable).parent
SECONDS = 20

# commands are compiled once, and not into the source tree
COMPILED = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(Path(__file__).parents[2] / ".pytest_cache/pycache"),
}

HUB = """
name = "{name}"
role = "hub"
interface = ""
state_dir = "{folder}/{name}"
[control]
socket = "{folder}/{name}.sock"
group = "daemon"
admin_group = "adm"
[hub]
fqdn = "127.0.0.1"
listen = "127.0.0.1:{port}"
[hub.provisioner]
pool_size = 2
interval = "500ms"
user_bytes = 4096
server_bytes = 4096
"""

CLIENT = """
name = "{name}"
role = "client"
interface = ""
state_dir = "{folder}/{name}"
[control]
socket = "{folder}/{name}.sock"
group = "daemon"
admin_group = "adm"
[client]
hub_timeout = "2s"
"""

MANAGEMENT = """
name = "{name}"
role = "management"
interface = ""
state_dir = "{folder}/{name}"
[control]
socket = "{folder}/{name}.sock"
group = "daemon"
admin_group = "adm"
[management]
listen = "127.0.0.1:{port}"
"""


class Agents:
    """The agents of one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._processes = {}

    def write(self, name, template, more=""):
        """The configuration of an agent, in place."""
        path = self.folder / f"{name}.toml"
        path.write_text(template.format(name=name, folder=self.folder, port=free_port()) + more)
        return path

    def start(self, *names):
        """Starts agents that are configured, and waits until they answer."""
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [BIN / "qfagent", "run", "--config", self.folder / f"{name}.toml"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | COMPILED,
                )
        for name in names:
            wait_for(lambda name=name: self._answers(name))

    def stop(self, *names, number=signal.SIGTERM):
        """Ends agents; their exit codes."""
        ended = [self._processes.pop(name) for name in names]
        for process in ended:
            process.send_signal(number)
        return [process.wait(SECONDS) for process in ended]

    def stop_all(self):
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def socket(self, name):
        return str(self.folder / f"{name}.sock")

    def agent(self, name):
        return Agent(self.socket(name))

    def carry(self, hub, client):
        """One file from a hub's pool to a client, and waits until the hub knows the client by it."""
        wait_for(lambda: self.agent(hub).pool()["files"])
        return self._hand_over(client, self.agent(hub).take_from_pool)

    def assign(self, hub, client, **sizes):
        """PSRD that a hub makes for a client, likewise."""
        made = self.agent(hub).add_client(client)
        return self._hand_over(client, lambda file: self.agent(hub).assign_psrd(made["id"], to=file, **sizes))

    def _hand_over(self, client, write):
        with io.BytesIO() as file:
            write(file)
            file.seek(0)
            block = self.agent(client).ingest(file)["block"]
        wait_for(lambda: state_of(self.agent(client), block) == "ready")
        return block

    def _answers(self, name):
        process = self._processes[name]
        assert process.poll() is None, f"{name} has ended:\n{(self.folder / f'{name}.log').read_text()}"
        try:
            return self.agent(name).status()
        except AgentError:
            return None


@contextmanager
def agents():
    """A folder with a short path, since a Unix socket's has 107 bytes at most, and its agents."""
    folder = tempfile.mkdtemp(prefix="qf-", dir="/tmp")
    Path(folder).chmod(0o755)
    made = Agents(folder)
    try:
        yield made
    finally:
        made.stop_all()
        shutil.rmtree(folder)


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come to pass in time"
        time.sleep(0.02)
    return found


def state_of(agent, block):
    return next(entry["state"] for entry in agent.ledger() if entry["block"] == block)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
