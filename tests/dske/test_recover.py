"""Out of shares from hubs that may lie comes the secret, or nothing; and the names of those who deviate."""

import os

from hypothesis import given, settings, strategies as st

from qfagent.dske.establish import establish
from qfagent.dske.recover import Entry, Recovery, Terms
from qfagent.dske.secret import Secret


def hub(number):
    return f"{number:032x}"


def made(k, n, count=1):
    """An establishment and its honest entries, by hub."""
    establishment = establish("bob", hubs=[hub(i) for i in range(n)], k=k, count=count, random=os.urandom)
    entries = {
        name: Entry(Terms(draft.hubs, draft.k, draft.m, draft.o), draft.share)
        for name, draft in establishment.drafts.items()
    }
    return establishment, entries


def bent(entry, at=0):
    share = bytearray(entry.share.reveal())
    share[at] ^= 1
    return Entry(entry.terms, Secret(bytes(share)))


def test_k_entries_are_enough_and_fewer_are_not():
    establishment, entries = made(3, 5)
    recovery = Recovery(k=3)
    for number in range(2):
        recovery.add(hub(number), entries[hub(number)])
    before = recovery.recovered
    recovery.add(hub(4), entries[hub(4)])

    assert before is None
    assert establishment.keys == recovery.recovered.keys


def test_a_hub_counts_once_its_first_entry():
    _, entries = made(2, 3)
    recovery = Recovery(k=2)
    recovery.add(hub(0), bent(entries[hub(0)]))
    recovery.add(hub(0), entries[hub(0)])
    recovery.add(hub(1), entries[hub(1)])

    assert recovery.recovered is None


def test_a_hub_that_is_not_in_the_list_does_not_count():
    _, entries = made(2, 3)
    recovery = Recovery(k=2)
    recovery.add(hub(9), entries[hub(0)])
    recovery.add(hub(1), entries[hub(1)])

    assert (None, (hub(1),)) == (recovery.recovered, recovery.hubs)


def test_another_threshold_than_our_own_is_never_used():
    _, entries = made(2, 3)
    recovery = Recovery(k=3)
    for name, entry in entries.items():
        recovery.add(name, entry)

    assert recovery.recovered is None
    assert {2} == recovery.thresholds


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_with_k_honest_hubs_the_secret_comes_whatever_the_others_do(data):
    k = data.draw(st.integers(2, 4))
    n = data.draw(st.integers(k, 6))
    establishment, entries = made(k, n, data.draw(st.integers(1, 2)))
    liars = data.draw(st.sets(st.sampled_from(sorted(entries)), max_size=n - k))
    recovery = Recovery(k=k)
    for name in data.draw(st.permutations(sorted(entries))):
        recovery.add(name, bent(entries[name], at=data.draw(st.integers(0, 63))) if name in liars else entries[name])

    assert establishment.keys == recovery.recovered.keys
    if n - len(liars) >= 2 * k - 2:
        assert liars == recovery.suspects()


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_fewer_than_k_liars_never_make_a_wrong_key(data):
    k = data.draw(st.integers(2, 4))
    establishment, entries = made(k, k)
    liars = data.draw(st.sets(st.sampled_from(sorted(entries)), min_size=1, max_size=k - 1))
    recovery = Recovery(k=k)
    for name, entry in entries.items():
        recovery.add(name, bent(entry, at=data.draw(st.integers(0, 63))) if name in liars else entry)

    assert recovery.recovered is None or establishment.keys == recovery.recovered.keys


def test_too_few_honest_shares_name_nobody():
    """With k = 3, four shares on the polynomial are needed to tell a liar; three could be the liars' own."""
    _, entries = made(3, 4)
    recovery = Recovery(k=3)
    for number in range(3):
        recovery.add(hub(number), entries[hub(number)])
    recovery.add(hub(3), bent(entries[hub(3)]))

    assert set() == recovery.suspects()


def test_every_secret_has_its_own_id_and_keys():
    some = [made(2, 3, 2)[0] for _ in range(20)]

    assert 20 == len({establishment.secret_id for establishment in some})
    assert 40 == len({key.reveal() for establishment in some for key in establishment.keys})


def test_k_minus_1_liars_who_come_first_change_nothing_whatever_k_is():
    for k in (2, 4, 5):
        establishment, entries = made(k, 2 * k - 1)
        recovery = Recovery(k=k)
        for number in range(2 * k - 1):
            entry = entries[hub(number)]
            recovery.add(hub(number), bent(entry, at=number) if number < k - 1 else entry)

        assert establishment.keys == recovery.recovered.keys


def test_garbage_from_a_generator_is_given_up_after_so_many_attempts():
    """Before, sixteen hubs with garbage of one generator's cost a second of computing for every secret."""
    _, entries = made(4, 16)
    recovery = Recovery(k=4)
    for number in range(16):
        entry = entries[hub(number)]
        recovery.add(hub(number), bent(entry, at=number) if number < 12 else entry)

    assert recovery.recovered is None
