"""A machine of its own: a Debian kernel under qemu, with this checkout and its Python in memory, and one disk.

* Nothing of the host is touched, and root is not needed: no network, and no disk but the one that it is given.
* It is emulated in software. It talks with us by lines of JSON over a virtual port, and is switched off by SIGKILL.
* qemu and the kernel are the machine's own, or those of packages that were unpacked below QFAGENT_GUEST.
"""

import compileall
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

from tests.proof.volatile import Server

ROOT = Path(__file__).parents[2]
FROM = Path(os.environ.get("QFAGENT_GUEST", "/"))
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
DRIVERS = (*MODULES, "virtio_console")
MEMORY = 768  # MiB
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "pydoc_data"}
SHEBANG = """#!{python} -S
import sys
sys.path[:0] = {path}
from tests.proof.inside import main
main()
"""


def lacks():
    """What this machine lacks for it, if anything."""
    if os.uname().machine != "x86_64":
        return "the machine inside is an x86_64"
    if not _qemu().exists():
        return "there is no qemu-system-x86_64"
    if _kernel() is None:
        return "there is no Debian kernel for a cloud"
    return None if shutil.which("mkfs.ext4") else "mkfs.ext4 is not there"


def _qemu():
    return FROM / "usr/bin/qemu-system-x86_64"


def _kernel():
    """The newest kernel that brings what we need as modules, or has it built in."""
    return max(FROM.glob("boot/vmlinuz-*cloud-amd64"), default=None, key=lambda path: path.stat().st_mtime)


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
            *("nice", "-n", "10", _qemu(), "-L", FROM / "usr/share/qemu", "-L", FROM / "usr/share/seabios"),
            *("-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", str(MEMORY), "-no-reboot"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{self._folder}/console"),
            *("-kernel", _kernel(), "-initrd", self._image, "-append", "console=ttyS0 quiet panic=-1 rdinit=/init"),
            *("-blockdev", node, "-device", "virtio-blk-pci,drive=disk"),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=line,path={self._folder}/port"),
            *("-device", "virtserialport,chardev=line"),
        ]


def _environment():
    libraries = "" if Path("/") == FROM else ":".join(str(FROM / folder) for folder in LIBRARIES)
    return os.environ | ({"LD_LIBRARY_PATH": libraries} if libraries else {})


# --- what it starts from


def write_image(path):
    """An archive of all that the machine needs, in the kernel's own format."""
    compileall.compile_dir(ROOT / "qfagent", quiet=1)
    compileall.compile_dir(ROOT / "tests", quiet=1)
    files = {str(file): file for file in (*_python(), *_distributions(), *_checkout())}
    files |= {str(file): file for file in _libraries(files.values())}
    files |= {f"/modules/{number}-{name}": _module(name) for number, name in enumerate(DRIVERS)}
    search = [str(ROOT), sysconfig.get_path("purelib")]
    written = {
        "/init": SHEBANG.format(python=_interpreter(), path=search).encode(),
        "/etc/machine-id": b"0123456789abcdef" * 2 + b"\n",
        "/etc/passwd": b"root:x:0:0::/:/bin/sh\n",
        "/etc/group": b"root:x:0:\n",
    }
    with path.open("wb") as archive:
        for folder in _folders([*files, *written, "/dev/x", "/proc/x", "/sys/x", "/data/x", "/tmp/x"]):
            _add(archive, folder, stat.S_IFDIR | 0o755)
        _add(archive, "/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for name, data in written.items():
            _add(archive, name, stat.S_IFREG | 0o755, data)
        for name, file in files.items():
            _add(archive, name, stat.S_IFREG | 0o755, file.read_bytes(), time=int(file.stat().st_mtime))
        _add(archive, "/TRAILER!!!", 0)


def _interpreter():
    return Path(sys._base_executable).resolve()


def _python():
    yield _interpreter()
    library = Path(sysconfig.get_path("stdlib"))
    for file in library.rglob("*"):
        top = file.relative_to(library).parts[0]
        if top not in UNUSED and not top.startswith("config-") and _is_code(file):
            yield file


def _distributions():
    """The files of all that we depend on."""
    wanted, known = _requirements("qfagent"), {}
    while wanted:
        name = wanted.pop()
        if name not in known:
            known[name] = distribution(name).files
            wanted |= _requirements(name)
    for files in known.values():
        yield from (file for file in map(Path, (each.locate() for each in files)) if _is_code(file))


def _requirements(name):
    needs = distribution(name).requires or ()
    plain = [need for need in needs if "extra ==" not in need and "python_version <" not in need]
    return {re.match(r"[\w.-]+", need)[0] for need in plain}


def _checkout():
    yield from (file for part in ("qfagent", "tests") for file in (ROOT / part).rglob("*") if _is_code(file))


def _is_code(file):
    compiled = f".{sys.implementation.cache_tag}.pyc"
    return file.is_file() and (file.suffix == ".py" or file.name.endswith(compiled) or ".so" in file.suffixes)


def _libraries(files):
    """The shared libraries that these need."""
    needy = [file for file in files if ".so" in file.suffixes or file == _interpreter()]
    told = subprocess.run(["ldd", *needy], capture_output=True, text=True, check=False).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\t)(/\S+)", told, re.MULTILINE)}


def _module(name):
    version = _kernel().name.removeprefix("vmlinuz-")
    return next((FROM / "lib/modules" / version).rglob(f"{name}.ko"))


def _folders(names):
    found = {str(folder) for name in names for folder in Path(name).parents}
    return sorted(found - {"/"})


def _add(archive, name, mode, data=b"", *, time=0, device=(0, 0)):
    """One entry of a cpio archive of the kind newc."""
    encoded = name.lstrip("/").encode() + b"\0"
    numbers = (archive.tell(), mode, 0, 0, 1, time, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + encoded
    archive.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
