"""A file system of its own in a file, which can be made to stand still, or to fail, as a disk does."""

import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 32 << 20
SHUTDOWN = 0x8004587D  # ext4's ioctl: from now on everything fails with EIO
WITHOUT_FLUSHING = 2

can_mount = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None,
    reason="a file system in a file needs root, loop devices and mkfs.ext4",
)


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
