"""The service as systemd sees it: units that verify, a sandbox that scores, notices that arrive."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from qfagent import systemd

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


@pytest.mark.parametrize("name", ["{folder}/notify", "@{folder}/abstract"])
def test_a_notice_arrives_whole(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", name := name.format(folder=tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        systemd.notify("READY=1", "STATUS=running")

        assert b"READY=1\nSTATUS=running" == sock.recv(4096, socket.MSG_DONTWAIT)


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("LISTEN_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    systemd.notify("READY=1")

    assert ([], None) == (systemd.listening_sockets(), systemd.watchdog_seconds())
