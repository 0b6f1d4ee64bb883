"""A machine that others carry PSRD files to over SSH: users, groups and an sshd that exist for the test only.

* Only the processes of the test see the accounts, in mount namespaces of theirs; nothing on the machine changes.
* The agent runs without any capability, so that modes mean to it what they mean to any user.
* `carrier` is in the group that may drop files; with root's key, a forced command is all there is.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from qfagent.testing.processes import AgentProcess, free_port, wait_until

CARRIER, CARRIERS = 51_002, 51_003  # nobody's
TOOLS = ("sshd", "ssh", "scp", "sftp", "rsync", "setpriv", "unshare")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
INSIDE = """
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount -t tmpfs tmpfs /run
mkdir -m 0755 /run/sshd
shift
exec "$@"
"""
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/keys/%u
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin forced-commands-only
MaxStartups 100
Subsystem sftp internal-sftp
"""


def missing():
    """Why there can be no harbour here; empty if there can."""
    if os.geteuid() != 0:
        return "accounts in a mount namespace need root"
    lacking = [tool for tool in TOOLS if not (SSHD if tool == "sshd" else shutil.which(tool))]
    if lacking:
        return f"{', '.join(lacking)} is not there"
    works = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0
    return "" if works else "there are no mount namespaces"


needs_harbour = pytest.mark.skipif(bool(missing()), reason=missing())


class Harbour:
    """The sshd, its keys and accounts, below one folder that everybody may enter."""

    def __init__(self, folder):
        self.folder, self.home, self.port = folder, folder / "home", free_port()
        self.home.mkdir()
        os.chown(self.home, CARRIER, CARRIERS)
        account = f"carrier:x:{CARRIER}:{CARRIERS}::{self.home}:/bin/sh\n"
        (folder / "passwd").write_text(Path("/etc/passwd").read_text() + account)
        (folder / "group").write_text(Path("/etc/group").read_text() + f"carriers:x:{CARRIERS}:\n")
        (folder / "sshd_config").write_text(CONFIG.format(port=self.port, folder=folder))
        (folder / "keys").mkdir()
        for name in ("host", "carrier", "root"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "keys" / "carrier").write_text((folder / "carrier.pub").read_text())

    def command(self, *command):
        """A command line that runs a command among the accounts of the harbour."""
        return ["unshare", "--mount", "sh", "-euc", INSIDE, "sh", str(self.folder), *command]

    @contextmanager
    def open(self):
        command = self.command(SSHD, "-D", "-e", "-f", f"{self.folder}/sshd_config")
        with (self.folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as sshd:
            wait_until(lambda: self.ssh("true").returncode == 0, "sshd to start")
            try:
                yield self
            finally:
                sshd.terminate()

    def options(self, user="carrier"):
        """What ssh, scp and sftp are told alike."""
        said = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
        key = ["-F", "none", "-i", str(self.folder / user), "-o", f"Port={self.port}", "-o", "LogLevel=ERROR"]
        return [*key, *(word for option in said for word in ("-o", option))]

    def ssh(self, command, *, user="carrier", data=b""):
        whole = ["ssh", *self.options(user), f"{user}@127.0.0.1", command]
        return subprocess.run(whole, input=data, capture_output=True, check=False)

    def force(self, command):
        """From now on root's key runs this command, whatever is asked for."""
        key = (self.folder / "root.pub").read_text()
        (self.folder / "keys" / "root").write_text(f'restrict,command="{command}" {key}')

    def agent(self, name, settings=""):
        """An agent that knows the accounts, and has no power over them; its folders are entered by whoever may."""
        process = AgentProcess(self.folder, name, f'role = "client"\n[client]\n{settings}')
        with process.config.open("a") as config:
            config.write('group = "carriers"\nadmin_group = "carriers"\n')
        powerless = ("setpriv", f"--groups={CARRIERS}", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
        process.prefix = (*self.command(*powerless),)
        return process


@contextmanager
def opened():
    with tempfile.TemporaryDirectory(prefix="qfagent-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Harbour(folder).open() as harbour:
            yield harbour


def qufabric(agent):
    """The command, as it is called on this machine."""
    return f"{Path(sys.executable).parent}/qufabric --socket {agent.socket}"
