"""File systems: whether bytes that are overwritten are gone, and whether there is room for more.

* What is spent is erased by overwriting it; where that writes elsewhere, the old bytes stay.
* operations.md, State; docs/limitations.md.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from qfagent.config import Config
from qfagent.doctor.finding import Finding, fault, ok, warning

CHECK: Final = "file-system"
LEAST_ROOM: Final = 64 << 20  # bytes
IN_PLACE: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "jfs"})
ELSEWHERE: Final = frozenset({"btrfs", "zfs", "bcachefs", "overlay", "aufs", "f2fs", "nilfs2", "ubifs"})
FORGETFUL: Final = frozenset({"tmpfs", "ramfs"})
_NETWORK: Final = re.compile(r"nfs\d?|cifs|smb3|9p|afs|ceph|glusterfs|virtiofs|fuse(\..*)?")
_REMEDY: Final = "name a state_dir on ext4 or xfs, and enrol anew: pads must not be copied"


class Mount(msgspec.Struct, frozen=True):
    """Where a file system is mounted, of which kind it is, and its options."""

    point: str
    kind: str
    options: frozenset[str]


def check_mounts(config: Config, *, mounts: str = "") -> Iterator[Finding]:
    """The file systems of the state folder, and of the folder where files with pads lie; `mounts` is mountinfo(5)."""
    known = parse_mounts(mounts or Path("/proc/self/mountinfo").read_text())
    shared = {"client": (config.inbox,), "hub": (config.pool,), "managed": (config.inbox, config.pool)}
    for path in (config.private, *shared.get(config.role, ())):
        yield _judge(path, mount_of(path, known))
    yield from _check_room(config.state_dir)


def parse_mounts(text: str) -> list[Mount]:
    """The mounts that mountinfo(5) lists, in its order."""
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        point, options, (kind, _, more) = before.split(" ")[4], before.split(" ")[5], after.split(" ", 2)
        plain = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), point)
        mounts.append(Mount(plain, kind, frozenset((*options.split(","), *more.split(",")))))
    return mounts


def mount_of(path: str, mounts: list[Mount]) -> Mount:
    """The mount that a path lies on: the longest that leads to it, and of these the last."""
    real = Path(path).resolve()
    leading = [mount for mount in mounts if real.is_relative_to(mount.point)]
    return max(reversed(leading), key=lambda mount: len(Path(mount.point).parts))


def _judge(path: str, mount: Mount) -> Finding:
    where = f"{path} is on {mount.kind}"
    if mount.kind in ELSEWHERE:
        return warning(CHECK, f"{where}, which does not overwrite in place: spent bytes may survive", _REMEDY)
    if _NETWORK.fullmatch(mount.kind):
        return warning(CHECK, f"{where}, across a network: pads and spent bytes are elsewhere, too", _REMEDY)
    if mount.kind in FORGETFUL:
        return warning(CHECK, f"{where}, which forgets everything when the machine restarts", _REMEDY)
    if "data=journal" in mount.options:
        remedy = f"mount {mount.point} with data=ordered: spent bytes stay in the journal otherwise"
        return warning(CHECK, f"{where} with data=journal: what is overwritten stays in its journal", remedy)
    if mount.kind not in IN_PLACE:
        return warning(CHECK, f"{where}, which is not known to overwrite in place", _REMEDY)
    return ok(CHECK, f"{where}, which overwrites in place")


def _check_room(folder: str) -> Iterator[Finding]:
    there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < LEAST_ROOM:
        detail = f"{free >> 20} MiB are free on the file system of {folder}, {LEAST_ROOM >> 20} MiB should be"
        yield fault("room", detail, "make room there: files are held back in the inbox meanwhile")
    else:
        yield ok("room", f"{free >> 20} MiB are free")
