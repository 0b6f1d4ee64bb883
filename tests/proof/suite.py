"""No secret leaks from the whole suite: all tests at debug level, and then a search of all that was said or is left.

* Every Python process that the tests start has a recorder in it, which notes every secret that comes into being there,
  by chance or from a file; see `recorder/sitecustomize.py`.
* Searched are logs, errors, what tests and agents have printed, arguments and environments of all processes that came
  to be meanwhile, and every file that is left or was thrown away, but pads and PSRD files.
* Core dumps are permitted to whoever does not forbid them to itself: every agent must have, before its first secret.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree as ET

from qfagent.testing.witness import Broken
from tests.proof.leaks import cores_permitted, holds_psrd
from tests.proof.search import Needles

ROOT = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest")
RECORDER = Path(__file__).with_name("recorder")
MUTANTS = "tests/proof/test_mutants.py"  # which leak on purpose
BLOCK_ID, MIN_PAD = 16, 1024  # bytes; a pad begins with what is public
BY_RIGHT = {"image", "token"}  # a file system with pads in it; a token that a seed makes as it makes a pad
PSRD = re.compile(
    rb'\{\s*"version":\s*2,\s*"security_hub_fqdn":'
)  # tests carry such files under many names, and cut them short
REMEMBERED = re.compile(rb"\b[a-z]+_key=[^\0]*")  # keys that a transcript's shell is given by the test, by their names
SHOWN = ("cmdline", "environ", "comm")
GLANCE = 0.1  # seconds


def play(seed, *, tests=(), broken=""):
    """All tests, or some; how much was searched for how much."""
    with TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        suite = Suite(Path(folder))
        with Onlooker() as onlooker:
            covered = suite.run(tests, seed=seed, broken=broken)
        return covered + onlooker.covered() + _search(suite, onlooker.seen)


class Suite:
    """One run of pytest, and the folder with all that it leaves in `left`."""

    def __init__(self, folder):
        self._folder, self.left = folder, folder / "left"
        folder.chmod(0o755)  # some processes are started as other users
        shutil.copytree(RECORDER, folder / "recorder")
        for name in ("kept", "tmp"):
            (self.left / name).mkdir(parents=True)
            (self.left / name).chmod(0o1777)
        for path in (folder / "secrets", self.left / "said"):
            path.touch()
            path.chmod(0o666)

    def run(self, tests, *, seed, broken):
        report, printed = self._folder / "report.xml", self.left / "printed"
        workers = 0 if tests else os.cpu_count()
        options = f"-n{workers} -rA --log-level=DEBUG -psimulated -pno:cacheprovider --deselect={MUTANTS}".split()
        with printed.open("wb") as file, cores_permitted():
            done = subprocess.run(
                [*PYTEST, *tests, *options, f"--basetemp={self.left / 'base'}", f"--junitxml={report}"],
                cwd=ROOT,
                env=self._environment(seed, broken),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
            )
        if done.returncode not in (0, 1):
            raise Broken("suite", f"pytest has ended with {done.returncode}: {printed.read_text()[-2000:]}")
        return _told(report)

    def secrets(self):
        """Everything that was secret: who made it or took it in, whether a core dump was possible, and its bytes."""
        with (self._folder / "secrets").open("rb") as file:
            while head := file.readline():
                length, where, exposed = head.split()
                yield Noted(where.decode(), exposed == b"1", file.read(int(length)))
                file.readline()

    def files(self):
        for path in self.left.rglob("*"):
            if path.is_file() and not path.is_symlink() and not self._may_show(path):
                yield path

    def _may_show(self, path):
        return holds_psrd(path) or path.name in BY_RIGHT or PSRD.match(path.read_bytes()) is not None

    def _environment(self, seed, broken):
        return os.environ | {
            "PYTHONPATH": str(self._folder / "recorder"),
            "PYTHONHASHSEED": str(seed),
            "TMPDIR": str(self.left / "tmp"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.left / "hypothesis"),
            "BROKEN": broken,
        }


class Noted(NamedTuple):
    """One secret, as a recorder has noted it."""

    where: str
    exposed: bool
    data: bytes


class Onlooker(threading.Thread):
    """Sees, as other users can, what /proc shows of processes that come to be."""

    def __init__(self):
        super().__init__()
        self.seen, self._pids, self._agents, self._swapped = set(), set(), set(), 0
        self._older, self._over = set(_pids()), threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *how):
        self._over.set()
        self.join()

    def run(self):
        while not self._over.wait(GLANCE):
            for pid in set(_pids()) - self._older:
                self._look_at(pid)

    def covered(self):
        return Counter({"processes": len(self._pids), "agents": len(self._agents), "KiB in swap": self._swapped})

    def _look_at(self, pid):
        try:
            shown = [Path("/proc", pid, name).read_bytes() for name in SHOWN]
            status = Path("/proc", pid, "status").read_text()
        except OSError:  # it has ended
            return
        self.seen.update(REMEMBERED.sub(b"", what) for what in shown)
        self._pids.add(pid)
        if b"qfagent\0run\0" in shown[0]:
            self._agents.add(pid)
            swapped = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSwap")]
            self._swapped = max(self._swapped, *swapped, 0)


def _pids():
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _told(report):
    told = ET.parse(report).getroot()[0].attrib
    failed = int(told["failures"]) + int(told["errors"])
    skipped = int(told["skipped"])
    return Counter({"tests passed": int(told["tests"]) - failed - skipped, "failed": failed, "skipped": skipped})


def _search(suite, seen):
    needles, size, known = Needles(), 0, set()
    for where, exposed, data in sorted(suite.secrets(), key=lambda noted: len(noted.data)):
        _expect(not exposed, f"an agent may leave a core dump of what {where} knows")
        if hash(data) not in known:
            known.add(hash(data))
            needles.add(where, data[BLOCK_ID if len(data) >= MIN_PAD else 0 :])
            size += len(data)
    places = {"/proc": b"\n".join(seen)} | {str(path.relative_to(suite.left)): path for path in suite.files()}
    searched, leaks = 0, []
    for place, what in places.items():
        data = what if isinstance(what, bytes) else what.read_bytes()
        leaks += [f"{place} shows {name}" for name in sorted(needles.found_in(data))]
        searched += len(data)
    _expect(not leaks, f"{len(leaks)} times: {'; '.join(leaks[:5])}")
    return Counter({"secrets": len(known), "MiB of them": size >> 20, "places": len(places), "MiB": searched >> 20})


def _expect(holds, detail):
    if not holds:
        raise Broken("leaked", detail)
