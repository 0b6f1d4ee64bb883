"""A tap on the wire: a TCP proxy in front of a hub that notes every span that passes, and with what.

It uses no code of the product. A message counts as soon as its head is whole, however much of its body gets through:
what an eavesdropper has seen can't be taken back.
"""

import contextlib
import json
import re
import socket
import threading
from collections import defaultdict

AUTH = re.compile(
    rb"\ndske-(?:auth|proof): block=(\w{32}); offset=(\d+); length=(\d+); seen=\d+; tag=\w{32}\r", re.IGNORECASE
)
PIECE = 256  # bytes
LENGTH = re.compile(rb"\ncontent-length: (\d+)\r", re.IGNORECASE)


class Record:
    """What was seen of every pad: spans, and their contents as far as they came through."""

    def __init__(self):
        self._lock = threading.Lock()
        self._uses = defaultdict(list)  # (block, direction) -> [(start, end, content)]
        self._near = defaultdict(set)  # the same by (block, direction, piece of the pad), to be found fast
        self.violations = []
        self.messages = 0

    def use(self, block, direction, start, end, content):
        with self._lock:
            near = [self._near[block, direction, piece] for piece in range(start // PIECE, -(-end // PIECE))]
            for other_start, other_end, other in set().union(*near):
                if (
                    start < other_end
                    and other_start < end
                    and not same(content, other, (start, end) == (other_start, other_end))
                ):
                    self.violations.append((block, direction, (start, end), (other_start, other_end)))
            self._uses[block, direction].append((start, end, content))
            for uses in near:
                uses.add((start, end, content))

    def message(self, direction, head, body, *, whole):
        self.messages += 1
        line = head.partition(b"\r\n")[0]
        for block, offset, length in AUTH.findall(head):
            start = int(offset)
            self.use(block.decode(), direction, start, start + int(length), (line, AUTH.search(head)[0], body))
        if direction == "server" and whole:
            self._wraps(body)

    def _wraps(self, body):
        try:
            shares = json.loads(body).get("shares", [])
        except ValueError:
            return
        for share in shares:
            start, size = share["offset"], 32 * share["m"] + 32
            self.use(
                share["block"],
                "server",
                start,
                start + size,
                (b"wrap", share["secret_id"].encode(), share["share"].encode()),
            )


def same(one, other, aligned):
    """Whether two uses are one: the same head, and bodies of which one may have been cut short."""
    return aligned and one[:2] == other[:2] and (one[2].startswith(other[2]) or other[2].startswith(one[2]))


class Tap:
    """The proxy: listens at `address`, passes on to `target`, notes in `record`."""

    def __init__(self, address, target, record):
        self._target, self._record = target, record
        self._listener = socket.create_server(address)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(here,), daemon=True).start()

    def _serve(self, here):
        with here, contextlib.suppress(OSError), socket.create_connection(self._target, timeout=5) as there:
            there.settimeout(None)
            back = threading.Thread(target=self._pump, args=(there, here, "server"), daemon=True)
            back.start()
            self._pump(here, there, "user")
            back.join()

    def _pump(self, source, sink, direction):
        seen = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen = self._note(seen + data, direction)
                sink.sendall(data)
        self._note(seen, direction, last=True)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _note(self, seen, direction, *, last=False):
        """Notes whole messages, and at the end what is there of the last one; returns what is left."""
        while b"\r\n\r\n" in seen:
            head, _, rest = seen.partition(b"\r\n\r\n")
            length = int(m[1]) if (m := LENGTH.search(head + b"\r\n")) else 0
            if len(rest) < length and not last:
                return seen
            self._record.message(direction, head + b"\r\n", rest[:length], whole=len(rest) >= length)
            seen = rest[length:]
        return b"" if last else seen
