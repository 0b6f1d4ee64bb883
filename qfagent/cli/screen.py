"""The screen is a terminal that is drawn upon, and given back as it was, however the drawing ends."""

import os
import select
import shutil
import signal
import sys
import termios
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn, Self

from qfagent.errors import BadRequest

_ENTER = "\x1b[?1049h\x1b[?25l"  # another screen, no cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_QUIT = frozenset(b"qQ\x03\x04")  # ^C and ^D as well: the terminal makes no signals of them meanwhile


class Screen:
    """A context; `draw`, then `wait`. BadRequest if there is no terminal."""

    def __enter__(self) -> Self:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise BadRequest("expected a terminal", remedy="say --once for a single frame")
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)
        self._on_term = signal.signal(signal.SIGTERM, _end)
        mode = termios.tcgetattr(self._input)
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
        termios.tcsetattr(self._input, termios.TCSADRAIN, mode)
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGTERM, self._on_term)

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as of now."""
        return shutil.get_terminal_size()

    def draw(self, lines: Iterable[str]) -> None:
        """Shows the lines, from the top; nothing flickers, as nothing is wiped before it is written over."""
        self._write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")

    def wait(self, seconds: float) -> bool:
        """Waits; whether somebody wants to go on."""
        ready, _, _ = select.select([self._input], [], [], seconds)
        pressed = os.read(self._input, 64) if ready else b"-"
        return bool(pressed) and not _QUIT & set(pressed)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
