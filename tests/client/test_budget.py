"""The budget keeps callers from draining PSRD by asking, and counts only what hubs have answered."""

import pytest
import trio
from hypothesis import given, strategies as st

from qfagent.client import budget
from qfagent.client.budget import HOUR, PER_ID, UNKNOWN, FetchBudget
from qfagent.errors import AgentError, FetchLimit, NotFound


def test_an_id_may_be_fetched_three_times():
    made = FetchBudget()
    for _ in range(PER_ID):
        made.spend("one", now=0.0)

    with pytest.raises(FetchLimit, match="3 times already"):
        made.spend("one", now=10 * HOUR)
    made.spend("two", now=0.0)


def test_what_waits_is_fetched_as_often_as_it_is_found():
    made = FetchBudget()

    for _ in range(1000):
        made.spend(None, now=0.0)


def test_what_no_hub_answered_is_not_counted():
    made = FetchBudget()
    for _ in range(100):
        made.spend("one", now=0.0)
        made.give_back("one")
    made.give_back(None)
    made.give_back("never asked")

    for _ in range(PER_ID):
        made.spend("one", now=0.0)
    with pytest.raises(FetchLimit):
        made.spend("one", now=0.0)


def test_sixty_fetches_an_hour_may_find_nothing():
    made = FetchBudget()
    for number in range(UNKNOWN):
        made.spend(f"{number}", now=float(number))
        made.missed(now=float(number))

    with pytest.raises(FetchLimit, match="60 fetches in an hour"):
        made.spend("more", now=HOUR - 0.1)
    made.spend("more", now=HOUR)


def test_the_limit_of_misses_stops_fetches_of_any_kind():
    made = FetchBudget()
    for _ in range(UNKNOWN):
        made.missed(now=0.0)

    for wanted in ("one", None):
        with pytest.raises(FetchLimit):
            made.spend(wanted, now=1.0)


def test_memory_is_bounded_and_the_ids_of_latest_use_are_kept(monkeypatch):
    monkeypatch.setattr(budget, "_REMEMBERED", 10)
    made = FetchBudget()
    for _ in range(PER_ID):
        made.spend("busy", now=0.0)
    for number in range(30):
        made.spend(f"{number}", now=0.0)
        with pytest.raises(FetchLimit):
            made.spend("busy", now=0.0)

    assert 10 == len(made._asked)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 600)), max_size=200))
def test_never_more_than_three_answers_an_id_and_sixty_misses_in_any_hour(asked):
    made, now, answers, misses = FetchBudget(), 0.0, {}, []
    for wanted, found, wait in asked:
        now += wait
        try:
            made.spend(wanted, now=now)
        except FetchLimit:
            continue
        answers[wanted] = answers.get(wanted, 0) + 1
        if not found:
            made.missed(now=now)
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
