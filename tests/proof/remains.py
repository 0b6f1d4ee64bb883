"""Nothing is left behind: a raw ext4 image, searched for every byte that hubs and clients have spent.

* The whole state of all agents lies in a file system of its own on a loop device; its image is searched within a
  second of the last use, after a sync, so that nothing is hidden in a cache.
* Also searched for: the dropped files that the agents were permitted to overwrite, and the keys.
* What is not spent must be found: a search that is blind proves nothing.
"""

import os
import random
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from qfagent.testing.witness import Broken
from tests.proof.fleets import Tapped
from tests.proof.search import Needles

SIZE = 48 << 20
KEYS = 100
HUBS = 4  # twice as many as a key needs: k of them answer when it is out


def lacks():
    """What this machine lacks for it, if anything."""
    if os.geteuid() != 0:
        return "only root can mount"
    try:
        with image():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no loop device with ext4: {error}"


def play(seed, *, keys=KEYS, prefix=()):
    """So many keys, made and recovered, and nothing of them left."""
    missing = lacks()
    if missing:
        return {f"skipped: {missing}": 1}
    with image() as (device, folder), Tapped(folder, prefix=prefix) as fleet:
        fleet.begin(hubs=HUBS)
        fleet.make_keys(keys)
        time.sleep(0.8)  # what is erased is erased by now
        raw = _read(device)
        return _search(fleet, raw, random.Random(seed))


def _search(fleet, raw, chance):
    spent = list(fleet.spent())
    needles = Needles()
    for block, offset, data in spent:
        needles.add(f"the span at {offset} of block {block}", data)
    for key in fleet.keys:
        needles.add("a key", key)
    for file in fleet.files:
        for at in (chance.randrange(1000, len(file) - 200) for _ in range(500)):
            needles.add("a dropped file", file[at : at + 48])
    found = needles.found_in(raw)
    if found:
        raise Broken("left-behind", f"of {len(spent)} spans and more: {sorted(found)[:3]}")
    _check_sight(fleet, raw)
    return {
        "spans": len(spent),
        "keys": len(fleet.keys),
        "pieces of dropped files": 500 * len(fleet.files),
        "MiB searched": len(raw) >> 20,
    }


def _check_sight(fleet, raw):
    for block in fleet.blocks.values():
        needles = Needles()
        needles.add("unspent", block.user.reveal()[-128:-64])
        if not needles.found_in(raw):
            raise Broken("blind", f"the unspent end of block {block.id} should be there, and is not found")


def _read(device):
    """The raw image as it is on the device, all caches written."""
    os.sync()
    with Path(device).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


@contextmanager
def image():
    """An ext4 file system on a loop device: the device, and where it is mounted."""
    with tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        file, mount = Path(folder, "image"), Path(folder, "m")
        mount.mkdir()
        with file.open("wb") as made:
            made.truncate(SIZE)
        _do("mkfs.ext4", "-q", str(file))
        device = _do("losetup", "--find", "--show", str(file)).strip()
        try:
            _do("mount", device, str(mount))
            try:
                yield device, mount
            finally:
                _do("umount", str(mount))
        finally:
            _do("losetup", "--detach", device)


def _do(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
