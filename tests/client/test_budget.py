"""The budget keeps callers from draining PSRD by asking, and counts only what hubs have answered."""

import pytest
import trio
from hypothesis import given, strategies as st

from qfagent.client import budget
from qfagent.client.budget import HOUR, PER_ID, UNKNOWN, FetchBudget
from qfagent.errors import AgentError, FetchLimit, NotFound, TooFewHubs


def spend(made, secret_id, *, now, hubs=("h1",), uid=0):
    return made.spend(secret_id, hubs, uid=uid, now=now)


def test_an_id_may_be_fetched_three_times():
    made = FetchBudget()
    for _ in range(PER_ID):
        spend(made, "one", now=0.0)

    assert not spend(made, "one", now=10 * HOUR)
    assert {"h1"} == spend(made, "two", now=0.0)


def test_what_waits_is_fetched_as_often_as_it_is_found():
    made = FetchBudget()

    for _ in range(1000):
        spend(made, None, now=0.0)


def test_what_no_hub_answered_is_not_counted():
    made = FetchBudget()
    for _ in range(100):
        spend(made, "one", now=0.0)
        made.give_back("one", "h1")
    made.give_back(None, "h1")
    made.give_back("never asked", "h1")

    assert [{"h1"}] * PER_ID == [spend(made, "one", now=0.0) for _ in range(PER_ID)]
    assert not spend(made, "one", now=0.0)


def test_fetches_are_counted_at_each_hub_that_answers():
    """Before, three tries while too few hubs were up made a key unreachable until a restart."""
    made = FetchBudget()
    for _ in range(PER_ID):
        spend(made, "one", now=0.0, hubs=("h1", "h2"))
        made.give_back("one", "h2")

    assert {"h2", "h3"} == spend(made, "one", now=0.0, hubs=("h1", "h2", "h3"))


def test_one_users_misses_hold_no_other_up():
    made = FetchBudget()
    for _ in range(UNKNOWN):
        made.missed(uid=1000, now=0.0)

    with pytest.raises(FetchLimit):
        spend(made, "one", now=1.0, uid=1000)
    assert {"h1"} == spend(made, "one", now=1.0, uid=0)


def test_sixty_fetches_an_hour_may_find_nothing():
    made = FetchBudget()
    for number in range(UNKNOWN):
        spend(made, f"{number}", now=float(number))
        made.missed(uid=0, now=float(number))

    with pytest.raises(FetchLimit, match="60 fetches in an hour"):
        spend(made, "more", now=HOUR - 0.1)
    spend(made, "more", now=HOUR)


def test_the_limit_of_misses_stops_fetches_of_any_kind():
    made = FetchBudget()
    for _ in range(UNKNOWN):
        made.missed(uid=0, now=0.0)

    for wanted in ("one", None):
        with pytest.raises(FetchLimit):
            spend(made, wanted, now=1.0)


def test_memory_is_bounded_and_the_ids_of_latest_use_are_kept(monkeypatch):
    monkeypatch.setattr(budget, "_REMEMBERED", 10)
    made = FetchBudget()
    for _ in range(PER_ID):
        spend(made, "busy", now=0.0)
    for number in range(30):
        spend(made, f"{number}", now=0.0)
        assert not spend(made, "busy", now=0.0)

    assert 10 == len(made._asked)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 600)), max_size=200))
def test_never_more_than_three_answers_an_id_and_sixty_misses_in_any_hour(asked):
    made, now, answers, misses = FetchBudget(), 0.0, {}, []
    for wanted, found, wait in asked:
        now += wait
        try:
            open_to_it = spend(made, wanted, now=now)
        except FetchLimit:
            continue
        if not open_to_it:
            continue
        answers[wanted] = answers.get(wanted, 0) + 1
        if not found:
            made.missed(uid=0, now=now)
            misses.append(now)

    assert all(count <= PER_ID for count in answers.values())
    assert all(len([m for m in misses if at <= m < at + HOUR]) <= UNKNOWN for at in misses)


async def test_asking_while_no_hub_answers_uses_up_nothing(connected):
    """Before, three tries during an outage made a key unreachable for ever, and sixty stopped all fetching."""
    network = await connected()
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    bob = network.clients["bob"].client.recoverer
    for hub in network.hubs.values():
        await hub.crash()
    for _ in range(70):
        with pytest.raises(AgentError):
            await bob.recover(key_id, peer=None, uid=0)
    for hub in network.hubs.values():
        await hub.boot()
    await trio.sleep(400)

    assert ("alice", (key_id, key)) == await bob.recover(key_id, peer=None, uid=0)


async def test_asking_for_what_waits_while_no_hub_answers_uses_up_nothing(connected):
    network = await connected()
    bob = network.clients["bob"].client.recoverer
    for hub in network.hubs.values():
        await hub.crash()
    for _ in range(70):
        with pytest.raises(AgentError):
            await bob.wait_next("alice", uid=0)
    for hub in network.hubs.values():
        await hub.boot()
    await trio.sleep(400)

    with pytest.raises(NotFound):
        await bob.wait_next("alice", uid=0)


async def test_asking_while_too_few_hubs_are_up_uses_up_nothing(connected):
    network = await connected(hubs=2)
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    bob = network.clients["bob"].client.recoverer
    await network.hubs["h2"].crash()
    for _ in range(10):
        with pytest.raises(TooFewHubs):
            await bob.recover(key_id, peer="alice", uid=0)
    await network.hubs["h2"].boot()
    await trio.sleep(400)

    assert ("alice", (key_id, key)) == await bob.recover(key_id, peer="alice", uid=0)
