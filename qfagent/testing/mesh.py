"""A managed mesh of real agents on loopback: a management server, and peers that follow it.

* Every peer calls from an address of its own, 127.0.0.11 and up, as if each were a machine.
* Operators' requests go over the server's REST interface; nothing is done behind its back.
"""

import json
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from qfagent.testing.processes import AgentProcess, Fleet, free_port, wait_until

FIRST = 11  # the last byte of the first peer's address


class Mesh(Fleet):
    """One server and its peers by name, whatever they are at the moment; a context that ends them all."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        place = f"127.0.0.1:{free_port()}"
        self.url = f"http://{place}"
        self.server = AgentProcess(folder, "server", f'role = "management"\n[management]\nlisten = "{place}"')
        self.peers: dict[str, AgentProcess] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.peers.values(), self.server):
            process.stop()

    @property
    def token_file(self) -> Path:
        """Where the token lies that the dashboard asks for."""
        return self.server.state / "private" / "operator-token"

    def start_peers(self, *names: str) -> None:
        """Starts the server, and peers that enrol with one setup key; waits until all of them are clients."""
        self.server.start()
        self.server.wait_up()
        made = self.ask("POST", "/api/setup-keys", {"name": "all", "type": "reusable", "expires_in": 86_400})
        key = self._folder / "setup-key"
        key.write_text(made["key"])
        for number, name in enumerate(names, FIRST):
            self.peers[name] = AgentProcess(self._folder, name, self._config(f"127.0.0.{number}", key))
            self.peers[name].start()
        for name, peer in self.peers.items():
            peer.wait_up()
            self.wait_role(name, "client")

    def mark(self, name: str, *, hub: bool) -> None:
        """Says that a peer is a security hub, or that it is none; waits until it is so."""
        peer = next(peer for peer in self.ask("GET", "/api/peers") if peer["name"] == name)
        self.ask("PUT", f"/api/peers/{peer['id']}", {"dske_security_hub": hub})
        self.wait_role(name, "hub" if hub else "client")

    def wait_role(self, name: str, role: str) -> None:
        """Waits until a peer plays a role."""
        wait_until(lambda: bool(self.peers[name].agent.status()["role"] == role), f"{name} to become a {role}")

    def wait_seen(self, hubs: int) -> None:
        """Waits until every peer sees so many hubs."""

        def all_see() -> bool:
            return all(peer.agent.status()["membership"]["hubs"] == hubs for peer in self.peers.values())

        wait_until(all_see, f"everybody to see {hubs} hubs")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the server's REST interface answers to an operator."""
        headers = {"Authorization": f"Token {self.token_file.read_text().strip()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310  # our own URL
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  # likewise
            return json.loads(answer.read())

    def _config(self, address: str, key: Path) -> str:
        return (
            f'role = "managed"\n[hub]\nlisten = "{address}:{free_port()}"\n'
            f'[management]\nurl = "{self.url}"\naddress = "{address}"\nsetup_key_file = "{key}"'
        )
