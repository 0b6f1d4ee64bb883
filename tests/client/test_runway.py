"""The runway: how long the PSRD of a hub lasts at the rate of the last day."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from qfagent.client.runway import EVERY, WINDOW, Left, Runway, by_hub
from qfagent.store.holdings import Level


def level(hub="h", state="ready", *, user=1000, server=1000, spent=32, seen=16):
    return Level("b", hub, state, "", user, server, spent, seen)


def test_what_is_left_is_what_can_be_spent_below_the_proofs():
    left = by_hub([level(user=1024, server=2048, spent=100, seen=500)])

    assert {"h": Left(1024 - 64 - 100, 2048 - 500, 1024, 2048)} == left


def test_blocks_of_a_hub_add_up_and_stopped_ones_do_not_count():
    left = by_hub([level(), level(state="new"), level(state="stopped"), level("other")])

    assert (2 * (1000 - 64 - 32), 2000) == (left["h"].user, left["h"].user_of)
    assert 1000 == left["other"].user_of


def test_nothing_left_is_nothing_and_not_less():
    assert (0, 0) == (by_hub([level(spent=990)])["h"].user, by_hub([level(seen=1001)])["h"].server)
    assert (0.0, 0.0) == Left().fractions


def test_it_lasts_as_long_as_the_pad_that_ends_first():
    runway = Runway()
    runway.sample({"h": Left(10_000, 10_000)}, now=0.0)
    runway.sample({"h": Left(9_000, 8_000)}, now=100.0)

    assert (10.0, 20.0) == runway.rates("h")
    assert 400.0 == runway.lasts("h", Left(9_000, 8_000))


@pytest.mark.parametrize("samples", [[], [(0.0, 500)], [(0.0, 500), (60.0, 500)]])
def test_without_use_nothing_is_foretold(samples):
    runway = Runway()
    for now, user in samples:
        runway.sample({"h": Left(user, user)}, now=now)

    assert runway.lasts("h", Left(500, 500)) is None
    assert (0.0, 0.0) == runway.rates("h")


def test_what_arrives_is_not_taken_for_negative_use():
    runway = Runway()
    for now, user in enumerate((1000, 900, 5000, 4900)):
        runway.sample({"h": Left(user, 0)}, now=float(now))

    assert 200 / 3 == runway.rates("h")[0]


def test_a_hub_that_is_new_or_gone_has_used_nothing_before():
    runway = Runway()
    runway.sample({}, now=0.0)
    runway.sample({"h": Left(1000, 1000)}, now=60.0)

    assert (0.0, 0.0) == runway.rates("h") == runway.rates("never seen")


def test_what_was_used_more_than_a_day_ago_is_forgotten():
    runway = Runway()
    runway.sample({"h": Left(10_000, 0)}, now=0.0)
    for number in range(1, int(WINDOW / EVERY) + 2):
        runway.sample({"h": Left(5_000, 0)}, now=number * EVERY)

    assert 0.0 == runway.rates("h")[0]
    assert int(WINDOW / EVERY) + 1 == len(runway._used)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30))
def test_a_rate_is_never_negative_and_counts_every_loss(lefts):
    runway = Runway()
    for number, user in enumerate(lefts):
        runway.sample({"h": Left(user, 0)}, now=number * EVERY)
    lost = sum(max(0, before - after) for before, after in pairwise(lefts))

    assert runway.rates("h")[0] == pytest.approx(lost / ((len(lefts) - 1) * EVERY))


@pytest.mark.parametrize(
    "left, low, expected",
    [
        (Left(900, 900, 1000, 1000), 0.2, 70.0),
        (Left(900, 300, 1000, 1000), 0.2, 10.0),
        (Left(900, 199, 1000, 1000), 0.2, 0.0),
        (Left(900, 900, 1000, 1000), 0.0, 90.0),
    ],
)
def test_low_it_is_when_the_first_pad_is_down_to_the_fraction(left, low, expected):
    runway = Runway()
    runway.sample({"h": Left(2000, 2000)}, now=0.0)
    runway.sample({"h": Left(1000, 1000)}, now=100.0)

    assert expected == runway.low_in("h", left, low=low)


def test_each_pad_lasts_by_its_own_rate():
    runway = Runway()
    runway.sample({"h": Left(1000, 1000)}, now=0.0)
    runway.sample({"h": Left(900, 1000)}, now=100.0)

    assert (50.0, None) == runway.each_lasts("h", Left(50, 50))
