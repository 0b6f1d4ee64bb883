"""A disk with a volatile write cache, as real ones have: what was not flushed is lost, kept or torn when power fails.

* What was written is read; a flush makes it durable; nothing else does, and nothing is promised about its order.
* The dice keep, lose or tear every write that was not flushed, by sectors of 512 bytes: no less is ever torn.
* Power fails at a change that was chosen before: it may be half done, it is not answered, and nor is anything after it.
* It is served over NBD, so that a machine of its own may have it.
"""

import socket
import struct
import threading
from contextlib import suppress

from qfagent.testing.platter import SECTOR, Content, Dice

READ, WRITE, DISCONNECT, FLUSH = range(4)
_GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 0b11)  # fixed newstyle, no zeroes
_OPTION, _NO_SUCH = struct.Struct(">8sII"), struct.Struct(">QIII")
_EXPORT, _UNSUPPORTED = 1, 1 << 31 | 1
_HAS_FLUSH = 0b101
_REQUEST, _REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")


class PowerCut(Exception):
    """Power has failed."""


class Sectors(Dice):
    """Dice that tear between sectors only."""

    def _torn(self, offset, data):
        starts = range(0, len(data), SECTOR)
        return [(offset + at, data[at : at + SECTOR]) for at in starts if self._chance.random() < 0.5]


class Disk:
    """The disk; `changes` counts writes and flushes, `flushes` the latter; with `lies` a flush does nothing.

    `unflushed` writes were in the cache when power failed last.
    """

    def __init__(self, image):
        self._content, self._lock = Content(), threading.Lock()
        self._content.live, self._content.durable = bytearray(image), bytearray(image)
        self.size, self.lies = len(image), False
        self.changes = self.flushes = self.unflushed = 0
        self._due, self._cut = None, threading.Event()

    def cut_after(self, changes):
        """So many changes are still made; power fails at the next."""
        with self._lock:
            self._due = self.changes + changes

    def wait_cut(self, seconds):
        """Whether power has failed by then."""
        return self._cut.wait(seconds)

    def restart(self, dice):
        """Power is back; what was not flushed is what the dice leave of it."""
        with self._lock:
            self.unflushed = len(self._content.pending)
            self._content.settle(dice)
            self._content.restart()
            self._due = None
            self._cut.clear()

    def read(self, offset, size):
        with self._lock:
            self._check_power()
            return bytes(self._content.live[offset : offset + size])

    def write(self, offset, data):
        with self._lock:
            self._check_power()
            self._content.write(offset, data)
            self._count()

    def flush(self):
        with self._lock:
            self._check_power()
            self._count()
            self.flushes += 1
            if not self.lies:
                self._content.settle()

    def _count(self):
        if self.changes == self._due:
            self._cut.set()
        self._check_power()
        self.changes += 1

    def _check_power(self):
        if self._cut.is_set():
            raise PowerCut


class Server:
    """Serves a disk to whoever comes, over a Unix socket, one request after the other."""

    def __init__(self, disk, path):
        self._disk, self._listener = disk, socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                there, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(there,), daemon=True).start()

    def _serve(self, there):
        with there, there.makefile("rb") as requests, suppress(OSError, struct.error):
            there.sendall(_GREETING)
            requests.read(4)
            self._agree(there, requests)
            with suppress(PowerCut):
                while self._answer(there, requests):
                    pass
            while requests.read(1 << 16):  # a disk without power says nothing, not even that it has failed
                pass

    def _agree(self, there, requests):
        """Refuses every option but to begin."""
        while True:
            _, option, length = _OPTION.unpack(requests.read(_OPTION.size))
            requests.read(length)
            if option == _EXPORT:
                there.sendall(struct.pack(">QH", self._disk.size, _HAS_FLUSH))
                return
            there.sendall(_NO_SUCH.pack(0x3E889045565A9, option, _UNSUPPORTED, 0))

    def _answer(self, there, requests):
        """Answers one request; whether there may be another."""
        _, _, kind, handle, offset, length = _REQUEST.unpack(requests.read(_REQUEST.size))
        if kind == DISCONNECT:
            return False
        data = b""
        if kind == READ:
            data = self._disk.read(offset, length)
        elif kind == WRITE:
            self._disk.write(offset, requests.read(length))
        else:
            self._disk.flush()
        there.sendall(_REPLY.pack(0x67446698, 0, handle) + data)
        return True
