"""Past levels: few enough to be kept, and none that was not read."""

from qfagent.store.levels import COARSE, FINE, FINE_FOR, KEPT_FOR, Level, Levels
from tests.store.stores import NOW, home

__all__ = ["home"]
START = NOW - NOW % COARSE


def keep(home, *levels):
    kept = Levels(home.database)
    home.run(lambda: kept.keep(levels))
    return kept


def test_the_first_level_of_ten_minutes_is_kept(home):
    kept = keep(home, *(Level("a", START + 60 * minute, 1000 - minute, 500) for minute in range(25)))

    assert [Level("a", START + FINE * slot, 1000 - 10 * slot, 500) for slot in range(3)] == kept.since(0)


def test_levels_of_hubs_stand_beside_each_other_oldest_first(home):
    kept = keep(home, Level("b", START, 1, 2), Level("a", START, 3, 4), Level("a", START + FINE, 5, 6))

    assert [("a", START), ("b", START), ("a", START + FINE)] == [(level.hub, level.at) for level in kept.since(0)]
    assert [START + FINE] == [level.at for level in kept.since(START + 1)]


def test_after_a_day_one_an_hour_is_left_and_after_five_weeks_none(home):
    kept = keep(home, *(Level("a", START + FINE * slot, slot, slot) for slot in range(40 * 144)))
    ages = [START + FINE * (40 * 144 - 1) - level.at for level in kept.since(0)]

    assert max(ages) <= KEPT_FOR
    assert FINE_FOR // FINE + 1 == sum(age <= FINE_FOR for age in ages)
    assert len(ages) <= FINE_FOR // FINE + KEPT_FOR // COARSE + 1


def test_levels_survive_a_crash(home):
    keep(home, Level("a", START, 1, 2))
    home.crash("all")

    assert [Level("a", START, 1, 2)] == Levels(home.database).since(0)
