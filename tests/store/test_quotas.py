"""Quotas: what one generator, and all together, may leave with a recoverer."""

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.store.quotas import PERIOD, Quotas
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import Home, home

__all__ = ["home"]

T0 = 1000 * PERIOD


class Kept:
    """Quotas in a store of their own."""

    def __init__(self, home):
        self.home = home
        self.open()

    def open(self):
        self.quotas = Quotas(self.home.database)
        self.home.store.add(self.quotas)

    def restart(self):
        self.home.crash()
        self.open()

    def charge(self, recoverer, generator, size, *, now=T0):
        self.home.run(lambda: self.quotas.charge(recoverer, generator, size, now=now))

    def owed(self, recoverer, generator, *, now=T0):
        return self.home.run(lambda: self.quotas.owed(recoverer, generator, now=now))


@pytest.fixture
def kept(home):
    return Kept(home)


def test_nothing_is_owed_at_first(kept):
    assert (0, 0) == kept.owed("bob", "alice")


def test_charges_add_up_by_generator_and_in_all(kept):
    for generator, size in (("alice", 64), ("carol", 100), ("alice", 64)):
        kept.charge("bob", generator, size)

    assert [(128, 228), (100, 228), (0, 228)] == [kept.owed("bob", name) for name in ("alice", "carol", "dave")]
    assert (0, 0) == kept.owed("alice", "alice")


def test_what_is_fetched_is_owed_no_more_and_never_less_than_nothing(kept):
    kept.charge("bob", "alice", 100)
    kept.charge("bob", "carol", 10)
    kept.charge("bob", "alice", -60)
    assert (40, 50) == kept.owed("bob", "alice")
    kept.charge("bob", "alice", -60)

    assert (0, 10) == kept.owed("bob", "alice")


@pytest.mark.parametrize("periods, left", [(0, 101), (1, 50), (2, 25), (3, 12), (6, 1), (7, 0), (1000, 0)])
@pytest.mark.parametrize("restart", [True, False])
def test_it_halves_with_every_period(kept, periods, left, restart):
    kept.charge("bob", "alice", 101)
    if restart:
        kept.restart()

    assert (left, left) == kept.owed("bob", "alice", now=T0 + periods * PERIOD)


def test_periods_begin_at_the_same_time_for_all(kept):
    kept.charge("bob", "alice", 100, now=T0 + PERIOD - 1)
    kept.charge("bob", "carol", 100, now=T0 + 1)

    assert (50, 100) == kept.owed("bob", "alice", now=T0 + PERIOD)
    assert (50, 100) == kept.owed("bob", "carol", now=T0 + PERIOD)


def test_a_clock_that_goes_back_doubles_nothing(kept):
    kept.charge("bob", "alice", 100, now=T0 + PERIOD)
    assert (100, 100) == kept.owed("bob", "alice", now=T0)
    kept.restart()

    assert (100, 100) == kept.owed("bob", "alice", now=T0)


def test_what_a_failed_transaction_charged_is_not_owed(kept):
    def fail():
        kept.quotas.charge("bob", "alice", 100, now=T0)
        raise RuntimeError

    kept.charge("bob", "alice", 10)
    with pytest.raises(RuntimeError):
        kept.home.run(fail)

    assert (10, 10) == kept.owed("bob", "alice")


def test_a_peer_that_is_removed_owes_and_is_owed_nothing(kept):
    for recoverer, generator in (("bob", "alice"), ("bob", "carol"), ("alice", "carol")):
        kept.charge(recoverer, generator, 100)
    kept.home.run(lambda: kept.quotas.delete_of("alice"))

    assert [(0, 100), (100, 100), (0, 0)] == [
        kept.owed(recoverer, generator)
        for recoverer, generator in (("bob", "alice"), ("bob", "carol"), ("alice", "carol"))
    ]


def test_removing_counts_what_the_same_transaction_charged(kept):
    def both():
        kept.quotas.charge("bob", "carol", 7, now=T0)
        kept.quotas.delete_of("alice")

    kept.home.run(both)
    kept.restart()

    assert (7, 7) == kept.owed("bob", "carol")


def test_memory_is_bounded_and_forgets_nothing(kept, monkeypatch):
    monkeypatch.setattr("qfagent.store.quotas._HELD_RECOVERERS", 3)
    for number in range(20):
        kept.charge(f"r{number}", "alice", number)

    assert [(number, number) for number in range(20)] == [kept.owed(f"r{number}", "alice") for number in range(20)]
    assert len(kept.quotas._held) <= 4


CHARGES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-200, 300), st.integers(0, 2), st.booleans()),
    max_size=25,
)


@given(CHARGES)
@settings(max_examples=40, deadline=None)
def test_memory_and_disk_agree_whatever_is_charged_and_forgotten(charges):
    model, now = {}, T0
    with MemoryDisk() as disk:
        kept = Kept(Home(disk))
        for recoverer, generator, size, periods, restart in charges:
            now += periods * PERIOD
            model = {key: owed >> periods for key, owed in model.items()}
            model[recoverer, generator] = max(0, model.get((recoverer, generator), 0) + size)
            kept.charge(recoverer, generator, size, now=now)
            if restart:
                kept.restart()
            in_all = sum(owed for (name, _), owed in model.items() if name == recoverer)
            assert (model[recoverer, generator], in_all) == kept.owed(recoverer, generator, now=now)
