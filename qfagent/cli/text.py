"""Text is how a command shows a person what it has found: aligned, in 80 columns, nothing that a terminal obeys.

* Sizes are binary, durations have one unit; a machine reads `--json`.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

WIDTH: Final = 80
_SIZES: Final = ("B", "KiB", "MiB", "GiB")
_DURATIONS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def show(arguments: argparse.Namespace, found: T, lines: Callable[[T], Iterable[str]]) -> None:
    """Prints what was found, as JSON or as lines."""
    if arguments.json:
        print(json.dumps(found))
        return
    for line in lines(found):
        print(line)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Aligned columns under a head; cells beyond the head are remarks and stand below their row."""
    cells = [list(head), *([printable(str(cell)) for cell in row] for row in rows)]
    columns = range(len(head))
    widths = [max(len(row[column]) for row in cells) for column in columns]
    lines = []
    for row in cells:
        lines.append("  ".join(row[column].ljust(widths[column]) for column in columns).rstrip())
        lines.extend(line for remark in row[len(head) :] for line in wrapped(remark, indent=2))
    return lines


def facts(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """A name and a value a line, aligned."""
    known = [(name, printable(str(value))) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    return [f"{name.ljust(width)}  {value}".rstrip() for name, value in known]


def wrapped(text: str, *, indent: int = 0, width: int = WIDTH) -> list[str]:
    """The text in as many lines as it takes; words stay whole."""
    lines = [""]
    for word in printable(text).split():
        if lines[-1] and indent + len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return [f"{' ' * indent}{line}" for line in lines if line]


def size(number: float) -> str:
    """Bytes, as a person reads them."""
    unit = 0
    while number >= 1024 and unit < len(_SIZES) - 1:
        number, unit = number / 1024, unit + 1
    return f"{_short(number)} {_SIZES[unit]}"


def duration(seconds: float | None) -> str:
    """Seconds, as a person reads them; `-` if there is nothing to say."""
    if seconds is None:
        return "-"
    length, unit = next(((length, unit) for length, unit in _DURATIONS if seconds >= length), (1, "s"))
    return f"{_short(seconds / length)} {unit}"


def printable(text: str) -> str:
    """The text without anything that a terminal would obey, so in one line."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def clause(text: str) -> str:
    """The text as an error says it: in one line, no capital ahead of a common word, no full stop behind."""
    clean = printable(text).strip().removesuffix(".")
    first = clean.partition(" ")[0]
    return clean[:1].lower() + clean[1:] if len(first) == 1 or first[1:].islower() else clean


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}"
