"""The service as systemd sees it: units that verify, a sandbox that scores, notices that arrive."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from qfagent import systemd
from qfagent.testing.processes import AgentProcess, wait_until

UNITS = Path(__file__).parent.parent / "contrib" / "systemd"
BEST = 1.2

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")


@needs_analyze
def test_the_units_verify(tmp_path):
    for name in ("qfagent.service", "qfagent.socket"):
        text = (UNITS / name).read_text().replace("/usr/bin/qfagent", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("", 0) == (done.stderr, done.returncode)


@needs_analyze
def test_the_sandbox_scores_as_promised():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNITS / "qfagent.service")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert float(re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)[1]) <= BEST


@pytest.fixture
def listener(tmp_path, monkeypatch):
    """What systemd would hear."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield sock


def heard(sock):
    return sock.recv(4096).decode().split("\n")


def test_a_notice_arrives_whole(listener):
    systemd.notify("READY=1", "STATUS=running")

    assert ["READY=1", "STATUS=running"] == heard(listener)


def test_an_abstract_socket_is_reached(monkeypatch):
    name = f"qfagent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.notify("WATCHDOG=1")

        assert ["WATCHDOG=1"] == heard(sock)


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("LISTEN_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    systemd.notify("READY=1")

    assert ([], None) == (systemd.listening_sockets(), systemd.watchdog_seconds())


def test_an_agent_tells_when_it_is_ready_alive_and_stopping(listener, tmp_path, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    process = AgentProcess(tmp_path, "alice", 'role = "client"')
    process.start()
    said = []
    while len(said) < 6:
        said += heard(listener)
    process.stop()
    while "STOPPING=1" not in said:
        said += heard(listener)

    assert "READY=1" == next(line for line in said if not line.startswith("WATCHDOG"))
    assert said.count("WATCHDOG=1") >= 2


def test_an_agent_takes_over_a_socket_that_systemd_has_opened(tmp_path):
    """As `qfagent.socket` does: the socket is number 3, and stays when the agent stops."""
    process = AgentProcess(tmp_path, "alice", 'role = "client"')
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(process.socket))
        sock.listen()
        pass_on = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
        process.prefix = ("sh", "-c", 'exec env LISTEN_FDS=1 "$@" 3<&0', "sh", os.sys.executable, "-c", pass_on)
        process.stdin = sock
        process.start()
        wait_until(lambda: process.agent.status()["role"] == "client", "the agent on the socket it was given")

        assert 0 == process.stop()
        assert process.socket.exists()
