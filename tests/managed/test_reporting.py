"""Reports: every minute, at once when something has changed, and ever more rarely while they fail."""

from itertools import pairwise

import msgspec
import pytest
import trio

from qfagent.errors import ManagementRefused
from qfagent.managed.report import PsrdLevel, Report
from qfagent.managed.reporting import EVERY, LOOK, Reporting
from qfagent.world import World
from tests.conftest import on_a_clock_that_jumps

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)

LEVEL = PsrdLevel("a" * 32, "up", 1000, 1000, 0.52, 0.9, 3600.0)
REPORT = Report("alice", "client", "1", None, (LEVEL,), ())


def with_level(**changes):
    return msgspec.structs.replace(REPORT, psrd=(msgspec.structs.replace(LEVEL, **changes),))


class Somebody:
    """A source that takes reports, or not; `told_at` is when."""

    def __init__(self):
        self.reports, self.told_at, self.fails, self.current = [], [], False, REPORT
        self.events = []

    async def tell(self, report):
        self.told_at.append(trio.current_time())
        if self.fails:
            raise ManagementRefused("no")
        self.reports.append(report)

    async def report(self):
        return self.current

    def note(self, name, /, **fields):
        self.events.append(name)


@pytest.fixture
async def somebody(nursery):
    made = Somebody()
    world = World(random=lambda count: b"\xff" * count)  # the longest waits
    nursery.start_soon(Reporting(made, made.report, world=world, note=made.note).run)
    yield made
    nursery.cancel_scope.cancel()


async def test_a_report_goes_at_once_and_then_every_minute(somebody):
    began = trio.current_time()
    await trio.sleep(3 * EVERY + LOOK + 1)

    assert [0, 1, 2, 3] == [round((at - began) // EVERY) for at in somebody.told_at]


@pytest.mark.parametrize(
    "change",
    [
        with_level(state="down"),
        with_level(user_fraction=0.2),
        msgspec.structs.replace(REPORT, role="hub"),
        msgspec.structs.replace(REPORT, issues=("psrd-low",)),
    ],
)
async def test_what_has_changed_is_told_at_once(somebody, change):
    await trio.sleep(10)
    somebody.current = change
    await trio.sleep(LOOK + 0.1)

    assert [REPORT, change] == somebody.reports


async def test_a_level_that_sinks_a_little_waits_for_its_minute(somebody):
    await trio.sleep(10)
    somebody.current = with_level(user_left=999, user_fraction=0.519, lasts_s=3599.0)
    await trio.sleep(10)

    assert [REPORT] == somebody.reports


async def test_a_server_that_takes_no_reports_is_not_asked_every_time(somebody):
    await trio.sleep(1)
    somebody.fails = True
    await trio.sleep(600)
    told_at = somebody.told_at[1:]
    waits = [after - before for before, after in pairwise(told_at)]

    assert waits == sorted(waits)
    assert 5 < len(told_at) < 12
    assert {"management.report-failed"} == set(somebody.events)


async def test_after_a_pause_the_next_report_goes_at_once(somebody):
    await trio.sleep(5)
    somebody.current = None
    await trio.sleep(5)
    somebody.current = REPORT
    await trio.sleep(LOOK + 0.1)

    assert 2 == len(somebody.reports)
