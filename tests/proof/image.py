"""What a machine starts from, in memory: this checkout, its Python and what they need, in the kernel's own archive.

* Everything lies where it lies here, so that no path has to be told.
* qemu and the kernel are this machine's own, or those of packages that were unpacked below QFAGENT_GUEST.
"""

import compileall
import os
import re
import stat
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
FROM = Path(os.environ.get("QFAGENT_GUEST", "/"))
DRIVERS = (  # in the order in which they need each other
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("virtio_blk", "virtio_console"),
)
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "pydoc_data"}
MADE = ("/dev", "/proc", "/sys", "/data", "/tmp")
SHEBANG = """#!{python} -S
import sys
sys.path[:0] = {path}
from tests.proof.inside import main
main()
"""


def kernel():
    """The newest kernel for clouds, which has ext4 built in, and the drivers as modules; None if there is none."""
    return max(FROM.glob("boot/vmlinuz-*cloud-amd64"), default=None, key=lambda path: path.stat().st_mtime)


def write(path):
    """Writes the archive."""
    compileall.compile_dir(ROOT / "qfagent", quiet=1)
    compileall.compile_dir(ROOT / "tests", quiet=1)
    files = {str(file): file for file in (*_python(), *_distributions(), *_checkout())}
    files |= {str(file): file for file in _libraries(files.values())}
    files |= {f"/modules/{number}-{name}": _module(name) for number, name in enumerate(DRIVERS)}
    written = _written()
    with path.open("wb") as archive:
        for folder in _folders([*files, *written, *(f"{folder}/x" for folder in MADE)]):
            _add(archive, folder, stat.S_IFDIR | 0o755)
        _add(archive, "/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for name, data in written.items():
            _add(archive, name, stat.S_IFREG | 0o755, data)
        for name, file in files.items():
            _add(archive, name, stat.S_IFREG | 0o755, file.read_bytes(), time=int(file.stat().st_mtime))
        _add(archive, "/TRAILER!!!", 0)


def _written():
    search = [str(ROOT), sysconfig.get_path("purelib")]
    return {
        "/init": SHEBANG.format(python=_interpreter(), path=search).encode(),
        "/etc/machine-id": b"0123456789abcdef" * 2 + b"\n",
        "/etc/passwd": b"root:x:0:0::/:/bin/sh\n",
        "/etc/group": b"root:x:0:\n",
    }


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
    version = kernel().name.removeprefix("vmlinuz-")
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
