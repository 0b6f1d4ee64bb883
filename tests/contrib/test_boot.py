"""The package in a Debian that is booted: the service in its sandbox, under a real systemd.

One life is lived in the beginning; what was said at each of its stations is what the tests look at.
`make test-deb` makes the machine.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = os.environ.get("QFAGENT_DEBIAN", "")
ROOT = Path(FOLDER, "booted")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="`make test-deb` makes the machine that it needs"),
    pytest.mark.skipif(shutil.which("systemd-nspawn") is None, reason="systemd-nspawn is not there"),
]
LIMIT = 120  # seconds
UNIT = """
[Service]
Type=oneshot
ExecStart=-/bin/sh /life
ExecStopPost=systemctl poweroff
[Install]
WantedBy=multi-user.target
"""
LIFE = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir /said
at() { name=$1; shift; "$@" >"/said/$name" 2>&1 || echo "and failed" >>"/said/$name"; }
ask() { systemctl show --value --property "$1" qfagent; }

dpkg --install /qfagent.deb
at installed systemctl is-enabled qfagent
at unconfigured systemctl show --property ActiveState --property ConditionResult qfagent

cat >/etc/qufabric/qfagent.toml <<END
name = "hub1"
role = "hub"
interface = ""
[hub]
fqdn = "127.0.0.1"
listen = "127.0.0.1:27277"
END
chown root:qufabric /etc/qufabric/qfagent.toml
chmod 0640 /etc/qufabric/qfagent.toml
at start systemctl start qfagent
at hub ask StatusText
at pool stat --format '%a %U %G' /var/lib/qufabric/dske/psrd-out/*
at socket stat --format '%a %U %G' /run/qufabric/qfagent.sock
at capabilities grep CapEff "/proc/$(ask MainPID)/status"
at reload systemctl reload qfagent
at reloaded ask ActiveState

sed -i s/hub\\"/client\\"/ /etc/qufabric/qfagent.toml
at restart systemctl restart qfagent
at client ask StatusText

systemctl stop qfagent
at listen systemctl start qfagent.socket
at idle ask ActiveState
at first qfagent status
at woken ask ActiveState
systemctl stop qfagent
at second qfagent status

mkdir /etc/systemd/system/qfagent.service.d
printf '[Service]\\nWatchdogSec=2\\nRestartSec=0\\n' >/etc/systemd/system/qfagent.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart qfagent
kill -STOP "$(ask MainPID)"
until [ "$(ask NRestarts)" = 1 ] && [ "$(ask ActiveState)" = active ]; do sleep 0.2; done
at revived qfagent status

at remove dpkg --remove qfagent
at removed systemctl is-active qfagent qfagent.socket
"""


@pytest.fixture(scope="module")
def said():
    """Boots the machine and lives the life; what was said, by station."""
    (ROOT / "life").write_text(LIFE)
    unit = ROOT / "etc/systemd/system/life.service"
    unit.write_text(UNIT)
    (unit.parent / "multi-user.target.wants").mkdir(exist_ok=True)
    (unit.parent / "multi-user.target.wants" / unit.name).symlink_to(f"../{unit.name}")
    boot = ["systemd-nspawn", "--boot", "--register=no", "--keep-unit", "--private-network", f"--directory={ROOT}"]
    subprocess.run(boot, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return {path.name: path.read_text().strip() for path in (ROOT / "said").iterdir()}


def test_it_is_enabled_and_waits_for_a_configuration(said):
    assert "enabled" == said["installed"]
    assert "ActiveState=inactive\nConditionResult=no" == said["unconfigured"]


def test_a_hub_starts_and_says_that_it_is_ready(said):
    assert ("", "hub, ready") == (said["start"], said["hub"])


def test_the_sandbox_lets_it_give_files_to_who_carries_them(said):
    assert ["640 qufabric qbtld"] * 5 == said["pool"].splitlines()


def test_the_sandbox_lets_it_give_its_socket_to_who_may_ask(said):
    assert "660 qufabric qufabric" == said["socket"]


def test_it_has_no_capability(said):
    assert 0 == int(said["capabilities"].split()[1], 16)


def test_it_reloads_and_is_active_afterwards(said):
    assert ("", "active") == (said["reload"], said["reloaded"])


def test_it_takes_another_role_at_a_restart(said):
    assert "" == said["restart"]
    assert said["client"].startswith("client, not ready: ")


def test_a_socket_that_systemd_opened_starts_it_again_and_again(said):
    assert ("", "inactive", "active") == (said["listen"], said["idle"], said["woken"])
    assert "hub1, client" in said["first"]
    assert "hub1, client" in said["second"]


def test_it_is_started_again_when_it_shows_no_life(said):
    assert "hub1, client" in said["revived"]


def test_removing_the_package_stops_it(said):
    assert "and failed" not in said["remove"]
    assert ["inactive", "inactive", "and failed"] == said["removed"].splitlines()
