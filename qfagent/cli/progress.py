"""Progress of work that takes long: a bar on standard error, on a terminal only, and gone when the work is done.

* Nothing is drawn of what is quick, and what is drawn is drawn seldom.
* A timer draws the first time: the last byte may have been sent long before the agent has done its part.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TextIO, cast

from qfagent.cli.paint import paint_for
from qfagent.cli.text import size

QUICK: Final = 0.3  # seconds that nobody minds
SELDOM: Final = 0.1  # seconds between two drawings
_BAR: Final = 40  # columns

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, total: int, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Gives what is to be told of every so many bytes of `total` that are done."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = _Bar(sys.stderr, what, total, clock)
    try:
        yield bar.advance
    finally:
        bar.wipe()


def counted(file: BinaryIO, advance: Advance) -> BinaryIO:
    """The file, but that whatever is read or written is told of."""
    return cast("BinaryIO", _Counted(file, advance))


class _Counted:
    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._file, self._advance = file, advance

    def read(self, most: int = -1) -> bytes:
        data = self._file.read(most)
        self._advance(len(data))
        return data

    def write(self, data: bytes) -> int:
        self._advance(len(data))
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Bar:
    def __init__(self, stream: TextIO, what: str, total: int, clock: Callable[[], float]) -> None:
        self._stream, self._what, self._total, self._clock = stream, what, max(1, total), clock
        self._done, self._due, self._is_drawn = 0, clock() + QUICK, False
        self._is_over = False
        self._lock, self._first = threading.Lock(), threading.Timer(QUICK, self._draw)
        self._first.daemon = True
        self._first.start()

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._clock() >= self._due:
            self._draw()

    def wipe(self) -> None:
        self._first.cancel()
        with self._lock:
            self._is_over = True
            if self._is_drawn:
                self._write("\r\x1b[K")

    def _draw(self) -> None:
        with self._lock:
            if self._is_over:  # the timer was a moment late
                return
            self._due, self._is_drawn = self._clock() + SELDOM, True
            fraction = min(1.0, self._done / self._total)
            bar = paint_for(self._stream).bar(fraction, _BAR)
            self._write(f"\r{self._what} {bar} {fraction:4.0%} of {size(self._total)}\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
