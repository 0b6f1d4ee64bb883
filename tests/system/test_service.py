"""A real agent under a service manager: what it hears on a real NOTIFY_SOCKET, and the socket that it hands over."""

import os
import signal
import socket
import sys
import threading
import time

import pytest

from qfagent.errors import BadConfig, StoreError
from qfagent.health import SLOW
from qfagent.testing.processes import AgentProcess, free_port
from tests.system.volume import can_mount, mounted

PERIOD = 0.3  # seconds in which the watchdog wants a sign of life
PATIENCE = 10


class Manager:
    """What systemd would hear, line by line."""

    def __init__(self, sock):
        self._sock, self.said = sock, []

    def wait_for(self, line):
        """Everything that was said up to a line that begins so, from the last such call on."""
        begun = len(self.said)
        while not any(said.startswith(line) for said in self.said[begun:]):
            self._listen(PATIENCE)
        return self.said[begun:]

    def hears_nothing_for(self, seconds):
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                self._listen(left)
        except TimeoutError:
            return True
        return False

    def _listen(self, seconds):
        self._sock.settimeout(seconds)
        self.said += self._sock.recv(4096).decode().split("\n")


@pytest.fixture
def manager(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield Manager(sock)


@pytest.fixture
def watchdog(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", str(round(PERIOD * 1e6)))


@pytest.fixture
def alice(tmp_path):
    process = AgentProcess(tmp_path, "alice", 'role = "client"')
    yield process
    process.stop()


def test_it_says_when_it_is_ready_and_what_keeps_it_from_making_keys(manager, alice):
    alice.start()
    [ready, status] = manager.wait_for("STATUS")

    assert "READY=1" == ready
    assert status.startswith("STATUS=client, not ready: ")
    assert "hubs-unreachable" in status


@pytest.mark.parametrize("how", ["the command", "the signal"])
def test_it_says_that_it_reloads_and_when_it_has(manager, alice, how):
    alice.start()
    manager.wait_for("STATUS")
    alice.agent.reload() if how == "the command" else os.kill(alice.pid, signal.SIGHUP)

    assert ["RELOADING=1", "READY=1"] == manager.wait_for("READY")[:2]


def test_of_a_bad_configuration_it_says_nothing(manager, alice):
    alice.start()
    manager.wait_for("STATUS")
    alice.config.write_text("role = 1\n")
    with pytest.raises(BadConfig):
        alice.agent.reload()
    alice.stop()

    assert ["STOPPING=1"] == manager.wait_for("STOPPING")


def test_it_says_that_it_stops(manager, alice):
    alice.start()
    manager.wait_for("STATUS")
    alice.stop()

    assert ["STOPPING=1"] == manager.wait_for("STOPPING")


def test_it_shows_life_three_times_in_each_period(manager, watchdog, alice):
    alice.start()
    manager.wait_for("WATCHDOG")
    began = time.monotonic()
    for _ in range(6):
        manager.wait_for("WATCHDOG")

    assert time.monotonic() - began < 3 * PERIOD


# --- a disk that gives up ------------------------------------------------------------------------


@pytest.fixture
def volume(tmp_path):
    with mounted(tmp_path / "image", tmp_path / "hub") as made:
        yield made


@pytest.fixture
def hub(tmp_path, volume, manager, watchdog):
    process = AgentProcess(
        tmp_path, "hub", f'role = "hub"\n[hub]\nfqdn = "127.0.0.1"\nlisten = "127.0.0.1:{free_port()}"'
    )
    process.start()
    process.wait_up()
    manager.wait_for("WATCHDOG")
    yield process
    process.kill()


@can_mount
def test_it_shows_no_life_while_the_store_is_stuck_and_goes_on_afterwards(manager, hub, volume):
    with volume.frozen():
        asked = threading.Thread(target=hub.agent.add_client, args=("bob",))
        asked.start()
        while not manager.hears_nothing_for(5 * PERIOD):
            assert asked.is_alive()
    asked.join()

    assert "WATCHDOG=1" in manager.wait_for("WATCHDOG")
    assert "bob" in [client["name"] for client in hub.agent.clients()]


@can_mount
def test_while_the_disk_does_not_answer_the_agent_still_does_and_says_so(hub, volume):
    """Before, whoever asked for status waited for the disk, too, and heard nothing."""
    with volume.frozen():
        asked = threading.Thread(target=hub.agent.add_client, args=("bob",))
        asked.start()
        time.sleep(2 * SLOW)
        began = time.monotonic()
        status, metrics = hub.agent.status(), hub.agent.metrics()
        took = time.monotonic() - began
    asked.join()
    after = hub.agent.status()

    assert "store-hangs" in [issue["code"] for issue in status["issues"]]
    assert "qfagent_ready 0.0" in metrics
    assert took < SLOW
    assert "store-hangs" not in [issue["code"] for issue in after["issues"]]


@can_mount
def test_a_store_that_has_failed_is_no_reason_to_be_restarted_over_and_over(manager, hub, volume):
    volume.fail()
    with pytest.raises(StoreError):
        hub.agent.add_client("bob")
    manager.wait_for("WATCHDOG")
    [*_, status] = manager.wait_for("WATCHDOG")

    assert "store-failed" in status
    assert "store-failed" in [issue["code"] for issue in hub.agent.status()["issues"]]
    assert "qfagent_ready 0.0" in hub.agent.metrics()


# --- a socket that is handed over -----------------------------------------------------------------


def test_it_takes_over_a_socket_that_was_opened_for_it_and_leaves_it_in_place(alice):
    """As `qfagent.socket` does: the socket is number 3, callers may come before the agent, and it stays."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(alice.socket))
        sock.listen()
        pass_on = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
        alice.prefix = ("sh", "-c", 'exec env LISTEN_FDS=1 "$@" 3<&0', "sh", sys.executable, "-c", pass_on)
        alice.stdin = sock
        early, roles = threading.Thread(target=lambda: roles.append(alice.agent.status()["role"])), []
        early.start()
        alice.start()
        early.join()

        assert ["client"] == roles
        assert 0 == alice.stop()
        assert alice.socket.exists()
