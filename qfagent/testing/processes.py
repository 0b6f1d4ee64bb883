"""Real agents in processes of their own, on loopback: for demonstrations, measurements and tests of the whole.

* Every agent has a configuration file, a state folder and a socket under one folder; nothing is simulated.
* A fleet ends only what it has started, by pid, and leaves no process behind.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qfagent.errors import AgentError, AgentNotRunning
from qfagent.local.client import Agent

PATIENCE = 20.0  # seconds for anything that should take far less
_GLANCE = 0.02


class AgentProcess:
    """One agent: its configuration and state under `folder`, and its process while it runs."""

    def __init__(self, folder: Path, name: str, config: str) -> None:
        self.name, self.folder = name, folder
        self.state, self.socket = folder / name, folder / f"{name}.sock"
        self.config, self.log = folder / f"{name}.toml", folder / f"{name}.log"
        self.config.write_text(
            f'name = "{name}"\ninterface = ""\nstate_dir = "{self.state}"\n{config}\n'
            f'[control]\nsocket = "{self.socket}"\n'
        )
        self.prefix: tuple[str, ...] = ()  # a command that runs it somewhere else, such as in a network namespace
        self.stdin: Any = subprocess.DEVNULL
        self.agent = Agent(str(self.socket))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "it was started"
        return self._process.pid

    def start(self) -> None:
        """Starts it; `wait_up` waits for it."""
        assert self._process is None or self._process.poll() is not None, "one at a time, so that none is left behind"
        with self.log.open("ab") as log:
            command = [*self.prefix, sys.executable, "-m", "qfagent", "run", "--config", str(self.config)]
            self._process = subprocess.Popen(  # noqa: S603  # our own agent
                command, stdin=self.stdin, stdout=log, stderr=log, start_new_session=True
            )

    def wait_up(self) -> float:
        """Waits until its socket answers; seconds that took."""
        began = time.monotonic()
        wait_until(self._answers, f"{self.name} to start, see {self.log}")
        return time.monotonic() - began

    def stop(self) -> int:
        """Ends it as systemd would; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Ends it at once, in the midst of whatever it does."""
        return self._end(signal.SIGKILL)

    def resident_mib(self) -> float:
        """Memory that its process holds, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AgentNotRunning(f"{self.name} has ended by itself: {self.log.read_text()[-2000:]}")
        try:
            self.agent.status()
        except (AgentError, OSError):
            return False
        return True

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        code = self._process.wait(PATIENCE)
        self._process = None
        return code


class Fleet:
    """Hubs and clients by name; a context that ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hubs: dict[str, AgentProcess] = {}
        self.clients: dict[str, AgentProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        for process in (*self.clients.values(), *self.hubs.values()):
            process.stop()

    def start(self, *, hubs: int, clients: tuple[str, ...], hub_settings: str = "", client_settings: str = "") -> None:
        """Starts hub1 .. and the clients, and waits until all of them answer."""
        for number in range(1, hubs + 1):
            place = f'fqdn = "127.0.0.1"\nlisten = "127.0.0.1:{free_port()}"'
            config = f'role = "hub"\n[hub]\n{place}\n{hub_settings}'
            self.hubs[f"hub{number}"] = AgentProcess(self._folder, f"hub{number}", config)
        for name in clients:
            self.clients[name] = AgentProcess(self._folder, name, f'role = "client"\n[client]\n{client_settings}')
        everybody = (*self.hubs.values(), *self.clients.values())
        for process in everybody:
            process.start()
        for process in everybody:
            process.wait_up()

    def pool(self, hub: AgentProcess) -> list[Path]:
        """The files that a hub has ready."""
        return sorted((hub.state / "psrd-out").glob("pool-*.json"))

    def carry(self, hub: AgentProcess, client: AgentProcess) -> Path:
        """Moves a file from the hub's pool into the client's inbox, as an operator would; where it came from."""
        wait_until(lambda: bool(self.pool(hub)), f"a file in the pool of {hub.name}")
        file = self.pool(hub)[0]
        file.rename(client.state / "psrd-in" / file.name)
        return file

    def enrol_all(self) -> None:
        """Carries a file from every hub to every client, and waits until all are registered."""
        for client in self.clients.values():
            for hub in self.hubs.values():
                self.carry(hub, client)
        for client in self.clients.values():
            self.wait_hubs(client, len(self.hubs))

    def wait_hubs(self, client: AgentProcess, count: int) -> None:
        """Waits until a client can use so many hubs."""

        def enough() -> bool:
            return bool(client.agent.status()["client"]["hubs_usable"] >= count)

        wait_until(enough, f"{client.name} to be registered with {count} hubs")


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Waits, within reason; TimeoutError says for what in vain."""
    until = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(_GLANCE)


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
