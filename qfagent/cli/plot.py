"""A plot is the past and the forecast of one pad at one hub, as a curve in a terminal: pure, like the dashboard.

* A column stands for a stretch of time and shows the level at its end; what is foretold is drawn otherwise.
* Past and forecast share one scale. The forecast goes on at the present rate.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from qfagent.cli.paint import Paint
from qfagent.cli.text import WIDTH, duration, size

PAST: Final = 44  # columns
FUTURE: Final = 22
ROWS: Final = 5
DAY: Final = 86_400  # seconds
_MARGIN: Final = WIDTH - PAST - FUTURE - 4  # columns for the scale

Json = dict[str, Any]


def plot(psrd: Json, points: Sequence[Json], direction: str, paint: Paint) -> Iterator[str]:
    """The lines for one direction; the last of the points is of now."""
    left, lasts = psrd[f"{direction}_left"], psrd[f"{direction}_lasts_s"]
    now, span = points[-1]["at"], max(PAST * 60, points[-1]["at"] - points[0]["at"])
    step = span / PAST
    past = [_level_at(points, now - step * (PAST - 1 - column), direction) for column in range(PAST)]
    rate = 0.0 if not lasts else left / lasts
    future = [max(0.0, left - rate * step * column) for column in range(1, FUTURE + 1)]
    top = max(1.0, *(level for level in (*past, *future) if level is not None))
    yield f"{psrd['hub'][:8]} {direction}: {size(left)} left, {_outlook(lasts, psrd['low_in_s'], now)}"
    yield from _curve(past, future, top, paint)
    yield _axis(step, paint)


def _level_at(points: Sequence[Json], at: float, direction: str) -> float | None:
    """The latest level that was read by then."""
    known = [point[f"{direction}_left"] for point in points if point["at"] <= at]
    return known[-1] if known else None


def _outlook(lasts: float | None, low_in: float | None, now: float) -> str:
    if lasts is None:
        return "not used at present"
    if not low_in:
        return f"lasts {duration(lasts)}, carry the next file now"
    form = "%H:%M" if low_in < DAY else "%Y-%m-%d"
    return f"lasts {duration(lasts)}, carry the next file by {time.strftime(form, time.localtime(now + low_in))}"


def _curve(past: Sequence[float | None], future: Sequence[float], top: float, paint: Paint) -> Iterator[str]:
    columns = [paint.column((level or 0) / top, ROWS, foretold=False) for level in past]
    columns += [paint.column(level / top, ROWS, foretold=True) for level in future]
    for row in range(ROWS):
        scale = size(top * (ROWS - row) / ROWS)
        line = "".join(column[row] for column in columns)
        yield f"{scale:>{_MARGIN}} {paint.ink('green', line[:PAST])}{paint.ink('yellow', line[PAST:])}".rstrip()


def _axis(step: float, paint: Paint) -> str:
    began, ends = f"{duration(step * PAST)} ago", f"in {duration(step * FUTURE)}"
    blank = " " * (_MARGIN + 1)
    return blank + paint.ink("dim", f"{began:{PAST - 3}}now{ends:>{FUTURE}}")
