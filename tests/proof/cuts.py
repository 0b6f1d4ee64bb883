"""Nothing lost, nothing reused, when the power of a whole machine with a real kernel is cut, again and again.

* A machine under qemu with hubs, clients and their tools; its disk has a volatile cache; ext4 lies on it.
* A life is one disk and a row of cuts, in the midst of a start or of the work; every start shows what is owed.
* In the end the same must find what a disk that lies has lost, or agents that don't sync: who is blind proves nothing.
* A seed decides where the power fails, and what is left of the cache; what the kernel does until then is its affair.
"""

import subprocess
import tempfile
import threading
from pathlib import Path
from random import Random

from qfagent.testing.witness import Broken
from tests.proof import guest, image
from tests.proof.account import Account
from tests.proof.guest import Guest
from tests.proof.volatile import Disk, Sectors

SIZE = 192 << 20
CUTS = 10
EARLY = 0.3  # of the cuts come before all that is owed was shown
START, WORK = 600, 1500  # changes of the disk, of which one is the last
PATIENCE = 900  # seconds until a machine that makes no change is one that stands still
UNSYNCED = """
import os
from qfagent.store import database
os.fsync = os.fdatasync = lambda descriptor: None
database._PRAGMAS = [pragma.replace("FULL", "OFF") for pragma in database._PRAGMAS]
"""

lacks = guest.lacks


def play(seed, *, cuts=CUTS):
    """So many cuts; what came through them."""
    if missing := lacks():
        return {f"skipped: {missing}": 1}
    with tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        life = Life(Path(folder), Random(seed))
        for _ in range(cuts):
            life.cut()
        life.check()
        life.see(lies=seed % 2 == 0)
        return life.account.counts


class Life:
    """One disk, and what was acknowledged of all that was on it."""

    def __init__(self, folder, chance):
        self._folder, self._chance = folder, chance
        image.write(folder / "image")
        self.disk, self.account = Disk(_ext4(folder / "ext4")), Account()

    def cut(self):
        """Starts the machine, and cuts its power after some changes to its disk."""
        is_early = self._chance.random() < EARLY
        if is_early:
            self.disk.cut_after(self._chance.randrange(START))
        for what, *_ in self._run():
            if what == "checked" and not is_early:
                self.disk.cut_after(self._chance.randrange(WORK))
        self.disk.restart(Sectors(self._chance))
        self.account.counts["cuts"] += 1
        self.account.counts["writes in the cache at a cut"] += self.disk.unflushed

    def check(self):
        """Starts the machine until all that is owed was shown."""
        for what, *_ in self._run():
            if what == "checked":
                break
        self.disk.restart(Sectors(self._chance))

    def see(self, *, lies):
        """Raises Broken if a loss is not found, or if it shows before anything was lost."""
        unharmed = dict(self.account.counts)
        self._lose(lies)
        try:
            self.check()
        except Broken:
            self.account.counts.clear()
            self.account.counts.update(unharmed)
        else:
            raise Broken("blind", "a disk that lies" if lies else "agents that don't sync")

    def _lose(self, lies):
        for what, *_ in self._run("" if lies else UNSYNCED):
            if what == "checked":
                self.disk.lies = lies
                self.disk.cut_after(200 if lies else 20)
        self.disk.lies = False
        self.disk.restart(Sectors(self._chance, "all"))

    def _run(self, broken=""):
        """What the machine says, noted; to the end, when its power fails."""
        with Guest(self._folder, self.disk, self._folder / "image") as machine:
            machine.say(self.account.orders(self._chance, broken=broken))
            threading.Thread(target=self._watch, args=(machine,), daemon=True).start()
            for line in machine.lines:
                self.account.note(*line)
                yield line
            if not self.disk.wait_cut(0):
                raise Broken("surprise", f"the machine has ended by itself: {machine.console[-1000:]}")

    def _watch(self, machine):
        self.disk.wait_cut(PATIENCE)
        machine.switch_off()


def _ext4(path):
    with path.open("wb") as made:
        made.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", path], check=True, capture_output=True)
    return path.read_bytes()
