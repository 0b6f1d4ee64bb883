"""A file system of its own in a file, which can be made to stand still, or to fail, as a disk does."""

import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import contextmanager

import pytest

SIZE = 32 << 20
SHUTDOWN = 0x8004587D  # ext4's ioctl: from now on everything fails with EIO
WITHOUT_FLUSHING = 2


def missing():
    """Why there can be no volume here; empty if there can."""
    if os.geteuid() != 0:
        return "a file system in a file needs root"
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is not there"
    works = (
        subprocess.run(["unshare", "--mount", "losetup", "--find"], check=False, capture_output=True).returncode == 0
    )
    return "" if works else "there are no loop devices"


can_mount = pytest.mark.skipif(bool(missing()), reason=missing())


class Volume:
    """One that is mounted at `path`."""

    def __init__(self, path):
        self.path = path

    @contextmanager
    def frozen(self):
        """Whoever writes waits until this ends."""
        sh("fsfreeze", "--freeze", self.path)
        try:
            yield
        finally:
            sh("fsfreeze", "--unfreeze", self.path)

    def fail(self):
        """Every call fails from now on."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)


@contextmanager
def mounted(image, path):
    """A fresh volume at `path`, which is made; `image` is the file that it lives in."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    sh("mkfs.ext4", "-q", image)
    path.mkdir()
    sh("mount", "-o", "loop", image, path)
    try:
        yield Volume(path)
    finally:
        sh("umount", path)


def sh(*command):
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_tmpfs(path, size):
    """A disk that is soon full, mounted at `path`; gives a function that makes it another size."""
    path.mkdir()
    sh("mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", path)
    try:
        yield lambda size: sh("mount", "-o", f"remount,size={size}", path)
    finally:
        sh("umount", path)
