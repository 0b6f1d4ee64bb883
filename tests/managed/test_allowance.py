"""Roles may change some times at once, then once an hour, whatever a server says."""

import pytest
import trio

from qfagent.managed.allowance import CHANGE_EVERY, CHANGES, Allowance
from tests.conftest import on_a_clock_that_jumps

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)


async def test_the_first_changes_are_free_and_the_next_waits_an_hour():
    allowance, waits = Allowance(), []
    for _ in range(CHANGES + 1):
        waits.append(allowance.wait())
        allowance.spend()

    assert [0.0] * CHANGES == waits[:CHANGES]
    assert CHANGE_EVERY == waits[CHANGES]


async def test_a_server_that_changes_its_mind_all_day_gets_no_more_than_that():
    allowance, changes = Allowance(), 0
    began = trio.current_time()
    while trio.current_time() - began < 86_400:
        await trio.sleep(allowance.wait() + 0.001)
        allowance.spend()
        changes += 1

    assert changes <= CHANGES + 24


async def test_what_is_saved_up_is_no_more_than_at_first():
    allowance = Allowance()
    await trio.sleep(30 * CHANGE_EVERY)
    for _ in range(CHANGES):
        allowance.spend()

    assert allowance.wait() > 0
