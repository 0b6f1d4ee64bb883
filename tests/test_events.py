"""Events: told in order to log and listeners, under stable names, and nobody waits for who does not keep up."""

import json
import logging
import re
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from qfagent.events import ALARMS, BACKLOG, RECENT, WARNINGS, Bus, Journal
from qfagent.logs import JsonLines
from qfagent.world import World


@pytest.fixture
def bus():
    return Bus(World(wall=lambda: 1_800_000_000.1239))


async def hear(listener, count):
    return [await anext(listener) for _ in range(count)]


async def test_events_are_heard_in_order_with_their_time(bus):
    with bus.listen() as listener:
        for number in range(3):
            bus.note("test.happened", number=number)

        assert [
            {"ts": 1_800_000_000.124, "event": "test.happened", "number": number} for number in range(3)
        ] == await hear(listener, 3)


async def test_a_listener_hears_what_happens_from_then_on_and_no_longer_than_it_listens(bus):
    bus.note("test.before")
    with bus.listen() as listener:
        bus.note("test.during")
    bus.note("test.after")

    assert ["test.during"] == [event["event"] for event in await hear(listener, 1)]
    with trio.move_on_after(0.01) as timed_out:
        await anext(listener)
    assert timed_out.cancelled_caught


async def test_whoever_waits_is_woken(bus, nursery):
    heard = []

    async def wait(listener):
        heard.extend(await hear(listener, 2))

    with bus.listen() as listener:
        nursery.start_soon(wait, listener)
        await trio.testing.wait_all_tasks_blocked()
        bus.note("test.one")
        await trio.testing.wait_all_tasks_blocked()
        bus.note("test.two")
        await trio.testing.wait_all_tasks_blocked()

    assert ["test.one", "test.two"] == [event["event"] for event in heard]


async def test_what_is_lost_is_counted_and_told_after_what_was_kept(bus):
    with bus.listen() as listener:
        for number in range(BACKLOG + 7):
            bus.note("test.happened", number=number)
        events = await hear(listener, BACKLOG + 1)
        bus.note("test.later")
        later = await hear(listener, 1)

    assert list(range(BACKLOG)) == [event["number"] for event in events[:-1]]
    assert {"event": "events.lost", "count": 7} == events[-1]
    assert "test.later" == later[0]["event"]


async def test_listeners_are_independent_of_each_other(bus):
    with bus.listen() as slow, bus.listen() as quick:
        for number in range(2 * BACKLOG):
            bus.note("test.happened", number=number)
            assert number == (await anext(quick))["number"]

        assert BACKLOG == len(slow._heard)
        assert BACKLOG == slow._lost


@given(st.lists(st.integers(1, BACKLOG + 50), max_size=6))
def test_kept_and_lost_are_all_that_happened(bursts):
    bus = Bus(World(wall=lambda: 0.0))

    async def play():
        kept = lost = 0
        with bus.listen() as listener:
            for burst in bursts:
                for _ in range(burst):
                    bus.note("test.happened")
                while listener._heard or listener._lost:
                    event = await anext(listener)
                    lost += event.get("count", 0)
                    kept += event["event"] == "test.happened"
        return kept + lost

    assert sum(bursts) == trio.run(play)


def test_the_latest_are_kept_for_those_who_come_later(bus):
    for number in range(RECENT + 10):
        bus.note("test.happened", number=number)

    assert list(range(10, RECENT + 10)) == [event["number"] for event in bus.recent]


def test_whoever_counts_is_told_name_and_fields(bus):
    counted = []
    bus.count = lambda name, fields: counted.append((name, fields))
    bus.note("test.happened", number=1)

    assert [("test.happened", {"number": 1})] == counted


def test_a_journal_gives_what_was_noted_once_and_in_order():
    journal = Journal()
    journal.note("test.one", a=1)
    journal.note("test.two")

    assert [("test.one", {"a": 1}), ("test.two", {})] == [(event.name, event.fields) for event in journal.drain()]
    assert () == journal.drain()


# --- the log --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, level", [("block.retired", "ERROR"), ("hub.down", "WARNING"), ("hub.up", "INFO")])
def test_an_event_is_logged_at_the_level_of_its_name(bus, caplog, name, level):
    with caplog.at_level(logging.INFO, logger="qfagent"):
        bus.note(name, block="f" * 32)

    [record] = caplog.records
    assert (level, "event", name, {"block": "f" * 32}) == (
        record.levelname,
        record.getMessage(),
        record.event,
        record.fields,
    )


def test_a_log_line_is_one_json_object_with_constant_text(bus, caplog):
    with caplog.at_level(logging.INFO, logger="qfagent"):
        bus.note("psrd.rejected", file="a\nb", reason='"quoted"')
    line = JsonLines().format(caplog.records[0])
    content = json.loads(line)

    assert "\n" not in line
    assert ("event", "psrd.rejected", "warning", "a\nb") == (
        content["msg"],
        content["event"],
        content["level"],
        content["file"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", content["ts"])


def noted():
    """Every event that the agent may tell."""
    pattern = re.compile(r'note[(,]\s*(?:"([a-z]+\.[a-z-]+)"(?: if .*? else "([a-z]+\.[a-z-]+)")?)', re.DOTALL)
    found = set()
    for path in Path("qfagent").rglob("*.py"):
        for match in pattern.finditer(path.read_text()):
            found |= {name for name in match.groups() if name}
    return found


def test_every_name_that_has_a_level_is_one_that_is_told():
    named_otherwise = {"psrd.contradiction", "psrd.rejected"}  # chosen before they are noted
    named_otherwise |= {"hub.not-listening", "management.not-listening"}  # put together by the door

    assert set() == (ALARMS | WARNINGS) - noted() - named_otherwise


def test_no_name_has_two_levels():
    assert ALARMS.isdisjoint(WARNINGS)


def test_names_are_a_noun_and_what_became_of_it():
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", name) for name in noted())
