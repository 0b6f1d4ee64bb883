"""The disk with a volatile cache is one: what it keeps, what it may lose, and how it is spoken to."""

import socket
import struct
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import pytest

from tests.proof.volatile import FLUSH, READ, WRITE, Disk, PowerCut, Sectors, Server

SECTORS = 64
BLANK, OLD, NEW = bytes(512), b"o" * 512, b"n" * 512


def after_power_loss(disk, seed):
    disk.restart(Sectors(Random(seed)))
    return disk.read(0, disk.size)


def sectors(data):
    return [data[at : at + 512] for at in range(0, len(data), 512)]


def with_writes():
    disk = Disk(bytes(512 * SECTORS))
    disk.write(0, OLD * SECTORS)
    disk.flush()
    for sector in range(SECTORS // 2):
        disk.write(1024 * sector, NEW * 2)
    return disk


def test_what_was_flushed_survives_every_power_loss():
    left = [after_power_loss(with_writes(), seed) for seed in range(50)]

    assert {OLD, NEW} == {sector for data in left for sector in sectors(data)}


def test_unflushed_writes_are_lost_kept_torn_and_reordered():
    seen = set()
    for seed in range(50):
        left = sectors(after_power_loss(with_writes(), seed))
        pairs = list(zip(left[::2], left[1::2], strict=True))
        seen |= {
            ("all lost", set(left) == {OLD}),
            ("all kept", set(left) == {NEW}),
            ("torn", any(one != other for one, other in pairs)),
            ("out of order", any(a == (OLD, OLD) and b == (NEW, NEW) for a, b in pairwise(pairs))),
        }

    assert {("all lost", True), ("all kept", True), ("torn", True), ("out of order", True)} <= seen


def test_a_later_write_is_never_covered_by_an_earlier_one_that_is_kept():
    for seed in range(50):
        disk = Disk(BLANK)
        disk.write(0, OLD)
        disk.flush()
        disk.write(0, NEW)
        disk.flush()

        assert NEW == after_power_loss(disk, seed)


def test_a_disk_that_lies_loses_what_it_said_was_flushed():
    def left(seed):
        disk = with_writes()
        disk.lies = True
        disk.flush()
        return sectors(after_power_loss(disk, seed))

    assert any(OLD in left(seed) for seed in range(10))


def test_power_fails_at_the_chosen_change_and_nothing_is_answered_after_it():
    disk = Disk(BLANK * 2)
    disk.cut_after(1)
    disk.write(0, NEW)
    before = disk.wait_cut(0)
    for act in (disk.flush, lambda: disk.read(0, 512), lambda: disk.write(0, OLD)):
        with pytest.raises(PowerCut):
            act()

    assert (False, True) == (before, disk.wait_cut(0))


def test_a_flush_at_which_power_fails_is_none():
    def left(seed):
        disk = Disk(BLANK)
        disk.write(0, NEW)
        disk.cut_after(0)
        with pytest.raises(PowerCut):
            disk.flush()
        return after_power_loss(disk, seed)

    assert {BLANK, NEW} == {left(seed) for seed in range(20)}


@contextmanager
def client(disk, path):
    """One that speaks NBD as far as a machine does."""
    server = Server(disk, path)
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(str(path))
        there.settimeout(10)
        assert b"NBDMAGICIHAVEOPT\0\3" == there.recv(18)
        there.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 7, 2) + b"\0\0")
        assert (7, (1 << 31) + 1, 0) == struct.unpack(">8xIII", there.recv(20))
        there.sendall(struct.pack(">8sII", b"IHAVEOPT", 1, 0))
        assert (disk.size, 5) == struct.unpack(">QH", there.recv(10))
        yield there
    server.close()


def ask(there, kind, handle, *, offset=0, length=0, data=b""):
    there.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, handle, offset, length) + data)


def test_it_is_read_written_and_flushed_over_nbd(tmp_path):
    disk = Disk(BLANK * 4)
    with client(disk, tmp_path / "disk") as there:
        ask(there, WRITE, 1, offset=512, length=512, data=NEW)
        written = there.recv(16)
        ask(there, FLUSH, 2)
        flushed = there.recv(16)
        ask(there, READ, 3, offset=0, length=1024)
        read = there.recv(16 + 1024, socket.MSG_WAITALL)

    done = struct.Struct(">IIQ")
    assert [done.pack(0x67446698, 0, 1), done.pack(0x67446698, 0, 2)] == [written, flushed]
    assert done.pack(0x67446698, 0, 3) + BLANK + NEW == read
    assert [BLANK + NEW + BLANK * 2] * 5 == [after_power_loss(disk, seed) for seed in range(5)]


def test_over_nbd_a_cut_is_silence(tmp_path):
    disk = Disk(BLANK)
    disk.cut_after(0)
    with client(disk, tmp_path / "disk") as there:
        ask(there, FLUSH, 1)
        assert disk.wait_cut(10)
        ask(there, READ, 2, length=512)
        there.setblocking(False)

        with pytest.raises(BlockingIOError):
            there.recv(16)
