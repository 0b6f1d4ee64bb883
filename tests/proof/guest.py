"""A machine of its own: a Debian kernel under qemu, with all that it needs in memory, and one disk.

* Nothing of the host is touched, and root is not needed: no network, and no disk but the one that it is given.
* It is emulated in software. It talks with us by lines of JSON over a virtual port, and is switched off by SIGKILL.
"""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.proof.image import FROM, kernel
from tests.proof.volatile import Server

LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
MEMORY = 768  # MiB
BESIDE = ("nice", "-n", "10", "setpriv", "--pdeathsig", "KILL")  # it yields to others, and ends with us


def lacks():
    """What this machine lacks for it, if anything."""
    if os.uname().machine != "x86_64":
        return "the machine inside is an x86_64"
    if not _qemu().exists():
        return "there is no qemu-system-x86_64"
    if kernel() is None:
        return "there is no Debian kernel for a cloud"
    return None if shutil.which("mkfs.ext4") else "mkfs.ext4 is not there"


def _qemu():
    return FROM / "usr/bin/qemu-system-x86_64"


class Guest:
    """The machine while it runs, as a context: `lines` are what it says, one after the other, to its end."""

    def __init__(self, folder, disk, image):
        self._folder, self._image = folder, image
        self._disk = Server(disk, folder / "disk")
        self._port = socket.socket(socket.AF_UNIX)
        self._port.bind(str(folder / "port"))
        self._port.listen()

    def __enter__(self):
        self._qemu = subprocess.Popen(self._command(), env=_environment(), stdin=subprocess.DEVNULL)
        try:
            self._port.settimeout(60)
            self._line, _ = self._port.accept()
        except OSError:
            self.switch_off()
            raise
        self._line.settimeout(None)
        self.lines = map(json.loads, self._whole_lines())
        return self

    def __exit__(self, *how):
        self.switch_off()
        for end in (self._line, self._port, self._disk):
            end.close()
        for name in ("disk", "port"):
            (self._folder / name).unlink()

    def switch_off(self):
        """At once; what it has said before can still be read."""
        self._qemu.kill()
        self._qemu.wait()

    def say(self, what):
        self._line.sendall(json.dumps(what).encode() + b"\n")

    @property
    def console(self):
        """What its kernel has said."""
        return (self._folder / "console").read_text(errors="replace")

    def _whole_lines(self):
        """What it says; not a line that power loss has cut off."""
        with self._line.makefile("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield line

    def _command(self):
        node = f"driver=nbd,node-name=disk,server.type=unix,server.path={self._folder}/disk"
        return [
            *(*BESIDE, _qemu(), "-L", FROM / "usr/share/qemu", "-L", FROM / "usr/share/seabios"),
            *("-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", str(MEMORY), "-no-reboot"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{self._folder}/console"),
            *("-kernel", kernel(), "-initrd", self._image, "-append", "console=ttyS0 quiet panic=-1 rdinit=/init"),
            *("-blockdev", node, "-device", "virtio-blk-pci,drive=disk"),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=line,path={self._folder}/port"),
            *("-device", "virtserialport,chardev=line"),
        ]


def _environment():
    libraries = "" if Path("/") == FROM else ":".join(str(FROM / folder) for folder in LIBRARIES)
    return os.environ | ({"LD_LIBRARY_PATH": libraries} if libraries else {})
