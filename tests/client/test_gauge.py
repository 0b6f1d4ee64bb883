"""The gauge: what is left, minute by minute, and still known after a restart."""

import pytest
import trio

from qfagent.client import report
from qfagent.config import parse
from qfagent.store.levels import FINE


async def use(alice, keys):
    for _ in range(keys):
        await alice.client.generator.establish("bob", count=64)


async def test_a_forecast_survives_a_restart(connected):
    network = await connected()
    alice = network.clients["alice"]
    await trio.sleep(2 * FINE)
    await use(alice, 5)
    await trio.sleep(2 * FINE)
    before = {of.hub: of.lasts_s for of in await report.report_psrd(alice.client)}
    await alice.crash()
    await alice.boot()
    await trio.sleep(1)
    after = {of.hub: of.lasts_s for of in await report.report_psrd(alice.client)}

    assert set(before) == {hub.address.id for hub in network.hubs.values()}
    assert before == pytest.approx(after, rel=0.4)


async def test_the_history_ends_with_what_is_left_now(connected):
    network = await connected()
    alice = network.clients["alice"]
    full = {of.hub: of.user_left for of in await report.report_psrd(alice.client)}
    await trio.sleep(2 * FINE)
    await use(alice, 1)
    history = {of.hub: of.points for of in await alice.client.gauge.history()}
    left = {of.hub: of.user_left for of in await report.report_psrd(alice.client)}

    assert left == {hub: points[-1].user_left for hub, points in history.items()}
    assert all(len(points) >= 3 for points in history.values())
    assert all(left[hub] < full[hub] for hub in left)


async def test_little_is_left_at_no_time_without_use_and_now_below_the_limit(connected):
    network = await connected()
    alice = network.clients["alice"]
    await trio.sleep(120)
    unused = {of.low_in_s for of in await report.report_psrd(alice.client)}
    alice.config = parse('name = "alice"\n[client]\nlow_psrd = "99%"')
    await use(alice, 1)
    used = {of.low_in_s for of in await report.report_psrd(alice.client)}

    assert ({None}, {0.0}) == (unused, used)
