"""The package in a minimal Debian without a network, from `dpkg --install` to `dpkg --purge`, in the order of a life.

There is no systemd in it: the agents run as the user of the unit, without any capability, but for the sandbox.
`make test-deb` makes the machine.
"""

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from qfagent import __version__
from qfagent.cli.table import PROGRAMS
from qfagent.testing.processes import wait_until

FOLDER = os.environ.get("QFAGENT_DEBIAN", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="`make test-deb` makes the machine that it needs")
ROOT = Path(FOLDER, "debian")
ETC, STATE = ROOT / "etc/qufabric", ROOT / "var/lib/qufabric"
ANYBODY = "daemon"  # a user of Debian's that has nothing to do with this
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
HUB = """
name = "{name}"
role = "hub"
interface = ""
state_dir = "/var/lib/qufabric/{name}"
[control]
socket = "/run/qufabric/{name}.sock"
[hub]
fqdn = "127.0.0.1"
listen = "127.0.0.1:{port}"
"""
CLIENT = """
name = "{name}"
interface = ""
state_dir = "/var/lib/qufabric/{folder}"
[control]
socket = "/run/qufabric/{socket}.sock"
"""


def inside(*command, user="root"):
    """The command line that runs a command in the machine."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--bounding-set=-all", "--no-new-privs"]
    return ["chroot", str(ROOT), "env", "-i", f"PATH={PATH}", *(become if user != "root" else ()), *command]


def run(*command, user="root"):
    done = subprocess.run(inside(*command, user=user), check=False, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def ask(name, *command):
    """What an agent answers an operator, who is in the group that may operate it."""
    return json.loads(run(*command, "--json", "--socket", f"/run/qufabric/{name}.sock", user="qbtld"))


def is_up(name):
    done = subprocess.run(
        inside("qfagent", "status", "--socket", f"/run/qufabric/{name}.sock"), capture_output=True, check=False
    )
    return done.returncode == 0


def configure(text, name="qfagent"):
    """A configuration that the agent's group may read, and nobody else."""
    path = ETC / f"{name}.toml"
    path.write_text(text)
    run("chown", "root:qufabric", f"/etc/qufabric/{name}.toml")
    path.chmod(0o640)


class Agents:
    """The agents that run in the machine, as the user of the unit; a context that ends them."""

    def __enter__(self):
        self._ends = ExitStack()
        return self

    def __exit__(self, *_):
        self._ends.close()

    def start(self, name="qfagent"):
        process = subprocess.Popen(inside("qfagent", "run", "--config", f"/etc/qufabric/{name}.toml", user="qufabric"))
        self._ends.callback(process.wait)
        self._ends.callback(process.terminate)
        wait_until(lambda: is_up(name), f"{name} to start")


@pytest.fixture
def agents():
    with Agents() as running:
        yield running


def test_it_installs_without_a_network_and_has_users_and_folders_ready():
    run("dpkg", "--install", "/qfagent.deb")
    modes = {
        name: run("stat", "--format=%a %U %G", f"/var/lib/qufabric/{name}").split()
        for name in ("dske", "dske/private", "dske/psrd-in", "dske/psrd-out")
    }

    assert {
        "dske": ["711", "qufabric", "qufabric"],
        "dske/private": ["700", "qufabric", "qufabric"],
        "dske/psrd-in": ["3730", "qufabric", "qbtld"],
        "dske/psrd-out": ["2750", "qufabric", "qbtld"],
    } == modes
    assert {"qbtld", "qufabric"} == set(run("id", "--groups", "--name", "qufabric").split())
    assert {"qbtld", "qufabric"} == set(run("id", "--groups", "--name", "qbtld").split())


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not there")
def test_it_follows_the_customs_of_debian():
    check = ["lintian", "--allow-root", "--fail-on=error,warning", str(ROOT / "qfagent.deb")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)

    assert ("", 0) == (done.stdout, done.returncode)


def test_its_files_are_as_they_were_packed_and_the_byte_code_is_there():
    assert "" == run("dpkg", "--verify", "qfagent")
    assert list((ROOT / "usr/lib/qfagent").rglob("qfagent/cli/__pycache__/program.*.pyc"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_commands_work_for_everybody(name):
    assert f"{name} {__version__}\n" == run(name, "--version", user=ANYBODY)


@pytest.mark.parametrize("name", PROGRAMS)
def test_pip_installs_the_same_commands(name):
    command = [f"{FOLDER}/wheel/bin/{name}", "--version"]

    assert run(name, "--version") == subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_demonstration_runs_from_the_package():
    """With processes that the agent's own interpreter starts."""
    assert "All of it is gone again" in run("qfagent", "demo", user=ANYBODY)


@pytest.mark.parametrize("role", ["hub", "management", "client"])
def test_the_example_for_each_role_starts(role, agents):
    configure((ROOT / f"usr/share/doc/qfagent/examples/{role}.toml").read_text())
    agents.start()
    status = ask("qfagent", "qfagent", "status")

    assert (role, False) == (status["role"], status["interface"]["up"])


def carry(hub, inbox):
    """The operator carries a file, and keeps no copy: may read the pool, and write what he can't list."""
    pool = f"/var/lib/qufabric/{hub}/psrd-out"
    wait_until(lambda: list((STATE / hub / "psrd-out").glob("pool-*.json")), f"a file in the pool of {hub}")
    name = run("ls", pool, user="qbtld").split()[0]
    run("cp", f"{pool}/{name}", f"/var/lib/qufabric/{inbox}/psrd-in/", user="qbtld")
    wait_until(lambda: not (STATE / hub / "psrd-out" / name).exists(), f"{hub} to see who has the file")


def test_a_key_comes_out_at_both_ends(agents):
    for number in (1, 2):
        configure(HUB.format(name=f"hub{number}", port=27276 + number), f"hub{number}")
    configure(CLIENT.format(name="alice", folder="dske", socket="qfagent"))
    configure(CLIENT.format(name="bob", folder="bob", socket="bob"), "bob")
    for name in ("hub1", "hub2", "qfagent", "bob"):
        agents.start(name)
    for hub in ("hub1", "hub2"):
        carry(hub, "dske")
        carry(hub, "bob")
    for name in ("qfagent", "bob"):
        wait_until(lambda name=name: ask(name, "qfagent", "status")["ready"], f"{name} to be ready")
    [made] = ask("qfagent", "qfagent", "key", "establish", "bob")["keys"]
    found = ask("bob", "qfagent", "key", "get", made["key_id"])

    assert made["key"] == found["key"]
    assert "660 qufabric qufabric\n" == run("stat", "--format=%a %U %G", "/run/qufabric/qfagent.sock")


def test_removing_it_keeps_the_state():
    pads = sorted((STATE / "dske/private/pads").iterdir())
    before = [path.read_bytes() for path in pads]
    run("dpkg", "--remove", "qfagent")

    assert not (ROOT / "usr/bin/qfagent").exists()
    assert not (ROOT / "usr/lib/qfagent").exists()
    assert before == [path.read_bytes() for path in pads]


def test_installing_it_again_goes_on_where_it_was(agents):
    run("dpkg", "--install", "/qfagent.deb")
    agents.start()

    assert 2 == len(ask("qfagent", "qfagent", "ledger"))


def test_purging_it_overwrites_the_pads_and_tells_of_folders_that_it_leaves():
    pads = [path for path in (STATE / "dske/private/pads").iterdir() if path.name != "CACHEDIR.TAG"]
    kept = [ROOT / f"kept-{number}" for number in range(len(pads))]
    for pad, link in zip(pads, kept, strict=True):
        link.hardlink_to(pad)
    configure((ETC / "qfagent.toml").read_text() + '[client]\ninbox = "/srv/inbox"\n')
    said = run("dpkg", "--purge", "qfagent")

    assert {262_144} == {link.stat().st_size for link in kept}
    assert {0} == {byte for link in kept for byte in link.read_bytes()}
    assert not (STATE / "dske").exists()
    assert not (ETC / "qfagent.toml").exists()
    assert "/srv/inbox was configured" in said
