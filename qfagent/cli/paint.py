"""Paint is colour and signs for a terminal, or for what is none: then without colour, or with plain letters.

* NO_COLOR is respected; what can't show block elements gets ASCII.
"""

import os
from typing import TextIO

from qfagent.cli.text import printable

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STEPS = " ▁▂▃▄▅▆▇█"
_COLORS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


class Paint:
    """What a terminal can show."""

    def __init__(self, *, color: bool, blocks: bool) -> None:
        self._color, self._blocks = color, blocks

    def ink(self, color: str, text: str) -> str:
        """The text in a colour of the table above; for text of its final width."""
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if self._color and text else text

    def sign(self, name: str) -> str:
        """A sign of one column."""
        return (
            {"good": "●", "bad": "✗", "remedy": "→", "line": "─", "more": "…"}[name]
            if self._blocks
            else {"good": "*", "bad": "x", "remedy": ">", "line": "-", "more": "~"}[name]
        )

    def clip(self, text: str, most: int) -> str:
        """The text in at most so many columns, without anything that a terminal would obey."""
        clean = printable(text)
        return clean if len(clean) <= most else clean[: most - 1] + self.sign("more")

    def bar(self, fraction: float, width: int) -> str:
        """A bar of that width, filled from the left."""
        eighths = round(min(1.0, max(0.0, fraction)) * width * 8)
        if not self._blocks:
            return ("#" * round(eighths / 8)).ljust(width, ".")
        full, rest = divmod(eighths, 8)
        bar = _EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")
        return bar.ljust(width, "░")

    def column(self, fraction: float, rows: int, *, foretold: bool) -> str:
        """A column of so many rows, its top first; what is foretold looks different."""
        eighths = round(min(1.0, max(0.0, fraction)) * rows * 8)
        full, rest = divmod(eighths, 8)
        if foretold or not self._blocks:
            fill = ("░" if self._blocks else ".") if foretold else "#"
            return (fill * round(eighths / 8)).rjust(rows)
        return ((_STEPS[rest] if rest else "") + _STEPS[8] * full).rjust(rows)


def paint_for(stream: TextIO) -> Paint:
    """What fits a stream."""
    is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    return Paint(color=is_terminal and not os.environ.get("NO_COLOR"), blocks=_can_show(stream))


def _can_show(stream: TextIO) -> bool:
    try:
        (_EIGHTHS + _STEPS).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
