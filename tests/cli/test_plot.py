"""The plot of past use and forecast."""

import pytest

from qfagent.cli.paint import Paint
from qfagent.cli.plot import FUTURE, PAST, ROWS, plot

NOW, DAY = 1_800_000_000, 86_400
PAINT = Paint(color=False, blocks=True)


def falling(days=20, per_day=1000, level=100_000):
    points = [
        {"at": NOW - DAY * day, "user_left": level + per_day * day, "server_left": 0} for day in range(days, -1, -1)
    ]
    lasts = level / (per_day / DAY) if per_day else None
    return {"hub": "ab" * 16, "user_left": level, "user_lasts_s": lasts, "low_in_s": lasts and lasts / 2}, points


def curve(psrd, points):
    _, *rows, axis = plot(psrd, points, "user", PAINT)
    margin = len(axis) - len(axis.lstrip())
    return [row[margin:].ljust(PAST + FUTURE) for row in rows]


def heights(rows, sign):
    return [sum(row[column] in sign for row in rows) for column in range(PAST + FUTURE)]


def test_it_fits_into_80_columns_with_a_line_a_row():
    lines = list(plot(*falling(), "user", PAINT))

    assert ROWS + 2 == len(lines)
    assert max(map(len, lines)) <= 80


def test_the_past_falls_and_the_forecast_goes_on_falling():
    rows = curve(*falling(per_day=4000))
    past, future = heights(rows, "▁▂▃▄▅▆▇█")[:PAST], heights(rows, "░")[PAST:]

    assert past == sorted(past, reverse=True)
    assert future == sorted(future, reverse=True)
    assert past[0] > past[-1] >= future[-1]


def test_the_forecast_ends_where_the_pad_does():
    psrd, points = falling(days=20, per_day=20_000, level=100_000)  # five days are left, ten are drawn

    assert 0 == heights(curve(psrd, points), "░")[-1]


def test_a_new_file_is_a_step_up():
    psrd, points = falling()
    points[-1]["user_left"] = psrd["user_left"] = 300_000
    past = heights(curve(psrd, points), "▁▂▃▄▅▆▇█")[:PAST]

    assert past[-1] > past[-2]


def test_what_was_before_the_first_level_is_blank():
    psrd, points = falling()
    for point in points[:10]:
        point["user_left"] = 0

    assert 0 == heights(curve(psrd, points), "▁▂▃▄▅▆▇█")[0]


@pytest.mark.parametrize(
    "psrd, said",
    [
        ({"user_lasts_s": None}, "98 KiB left, not used at present"),
        ({"low_in_s": 0.0}, "98 KiB left, lasts 100 d, carry the next file now"),
        ({"low_in_s": 50 * DAY}, "98 KiB left, lasts 100 d, carry the next file by 2027-03-"),
    ],
)
def test_the_outlook_is_told_in_words(psrd, said):
    known, points = falling()
    first = next(plot(known | psrd, points, "user", PAINT))

    assert first.startswith(f"abababab user: {said}")


def test_a_single_level_is_no_failure():
    psrd, points = falling(days=0, per_day=0)

    assert ROWS == max(heights(curve(psrd, points), "█░"))


def test_without_blocks_it_is_ascii():
    assert "".join(plot(*falling(), "user", Paint(color=False, blocks=False))).isascii()
