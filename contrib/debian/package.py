"""The package is one folder of Python's files, a few of Debian's, and the names in between.

`python -m contrib.debian.package ARCHITECTURE FOLDER` builds it there; the network is needed now, and never again.

* The agent and what it depends on lie in an environment of their own, over Debian's own interpreter.
* The same source makes the same package: times are those of SOURCE_DATE_EPOCH, and everything belongs to root.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Final

from contrib.debian import completion, manual
from contrib.debian.wheels import HERE, LOCK, for_debian, pip
from qfagent import __version__
from qfagent.cli.table import PROGRAMS

ROOT: Final = HERE.parent.parent
HOME: Final = "usr/lib/qfagent"
SITE: Final = f"{HOME}/lib/python3.11/site-packages"
DOCS: Final = "usr/share/doc/qfagent"
CONFIG: Final = ROOT / "contrib" / "config"
COPIES: Final = {
    "contrib/systemd/qfagent.service": "lib/systemd/system/qfagent.service",
    "contrib/systemd/qfagent.socket": "lib/systemd/system/qfagent.socket",
    "contrib/systemd/sysusers.conf": "usr/lib/sysusers.d/qfagent.conf",
    "contrib/systemd/tmpfiles.conf": "usr/lib/tmpfiles.d/qfagent.conf",
    **{f"contrib/config/{path.name}": f"{DOCS}/examples/{path.name}" for path in CONFIG.glob("*.toml")},
    "contrib/debian/copyright": f"{DOCS}/copyright",
    "contrib/debian/lintian-overrides": "usr/share/lintian/overrides/qfagent",
    "contrib/debian/pyvenv.cfg": f"{HOME}/pyvenv.cfg",
}
SCRIPTS: Final = ("postinst", "prerm", "postrm")
UNUSED: Final = (
    "bin",  # commands that name the interpreter of whoever builds this
    "apsw/sqlite_extra_binaries",  # no tool but the agent ever opens its database
    "trio/_tests",
)
BUILDERS: Final = {"RECORD", "direct_url.json"}  # these tell of the machine that builds the package
_SOURCE: Final = ("qfagent", "pyproject.toml", "README.md", "LICENSE")
_COMMAND: Final = "#!/{home}/bin/python3 -I\nfrom qfagent.cli import {function}\n\nraise SystemExit({function}())\n"
_CHANGES: Final = "qfagent ({version}) bookworm; urgency=medium\n\n{changes}\n\n -- {maintainer}  {date}\n"


def main() -> None:
    """Builds the package for the architecture that is named."""
    architecture, target = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="qfagent-deb-") as scratch:
        tree = Path(scratch, "tree")
        _install_wheels(tree / SITE, architecture, Path(scratch))
        for where, data in _files():
            _write(tree / where, data)
        _link_interpreter(tree / HOME)
        _write_control(tree, architecture)
        _settle(tree)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), target], check=True)


def _install_wheels(site: Path, architecture: str, scratch: Path) -> None:
    """What is locked, and the agent; that is built from a copy, so that nothing an earlier build left gets in."""
    into = ["install", f"--target={site}", "--no-compile", "--no-deps", *for_debian(architecture)]
    pip(*into, "--require-hashes", f"--requirement={LOCK}")
    source = scratch / "source"
    source.mkdir()
    for name in _SOURCE:
        copy = shutil.copytree if Path(ROOT, name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip("wheel", "--no-deps", f"--wheel-dir={scratch}", str(source))
    [wheel] = scratch.glob("qfagent-*.whl")
    pip(*into, str(wheel))
    for name in UNUSED:
        shutil.rmtree(site / name)
    for path in site.glob("*.dist-info/*"):
        if path.name in BUILDERS:
            path.unlink()


def _files() -> Iterator[tuple[str, bytes]]:
    """Everything that is copied or made, and where it belongs."""
    for source, where in COPIES.items():
        yield where, (ROOT / source).read_bytes()
    for name, page in manual.pages().items():
        yield f"usr/share/man/man{name[-1]}/{name}.gz", _packed(page)
    for where, text in completion.files().items():
        yield f"usr/share/{where}", text.encode()
    for name in PROGRAMS:
        yield f"usr/bin/{name}", _COMMAND.format(home=HOME, function=name.replace("-", "_")).encode()
    yield f"{DOCS}/changelog.gz", _packed(_changelog())


def _changelog() -> str:
    """The latest changes, as Debian wants to read them."""
    latest = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].splitlines()[2:]
    changes = textwrap.fill(" ".join(latest), 76, initial_indent="  * ", subsequent_indent="    ")
    maintainer = next(line for line in _control().splitlines() if line.startswith("Maintainer")).partition(": ")[2]
    return _CHANGES.format(version=__version__, changes=changes, maintainer=maintainer, date=formatdate(_epoch()))


def _link_interpreter(home: Path) -> None:
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to("../../../bin/python3")


def _write_control(tree: Path, architecture: str) -> None:
    """What dpkg reads: what this is, what to run, and the sums of all files."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files)
    kibibytes = sum(-(-path.stat().st_size // 1024) for path in files)
    control = _control().format(version=__version__, architecture=architecture, kibibytes=kibibytes)
    _write(tree / "DEBIAN" / "control", control.encode())
    _write(tree / "DEBIAN" / "md5sums", sums.encode())
    for name in SCRIPTS:
        _write(tree / "DEBIAN" / name, (HERE / name).read_bytes())


def _control() -> str:
    return (HERE / "control").read_text()


def _settle(tree: Path) -> None:
    """Modes and times that don't depend on who builds this, or when."""
    for path in [tree, *tree.rglob("*")]:
        runs = path.is_dir() or path.parent == tree / "usr/bin" or path.name in SCRIPTS
        if not path.is_symlink():
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (_epoch(), _epoch()), follow_symlinks=False)


def _epoch() -> int:
    return int(os.environ["SOURCE_DATE_EPOCH"])


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
