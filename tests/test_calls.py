"""Requests to a role that ends: those under way are answered first, later ones are told to ask again."""

import pytest
import trio
import trio.testing

from qfagent.calls import Calls
from qfagent.errors import RoleChanging
from qfagent.http.message import Request
from qfagent.http.routes import Call, Route

CALL = Call(Request("GET", "/x", (), None, "1"), {}, {}, 0)


def gated(calls, handler):
    return calls.gate(Route("GET", "/x", "observe", handler, "x")).handler


async def test_a_role_ends_when_the_last_request_under_way_is_answered(nursery, autojump_clock):
    calls, told = Calls(), []

    async def slow(_):
        await trio.sleep(5)
        told.append("answered")

    async def close():
        await calls.close()
        told.append("closed")

    handler = gated(calls, slow)
    for _ in range(2):
        nursery.start_soon(handler, CALL)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(close)
    await trio.sleep(6)

    assert ["answered", "answered", "closed"] == told


async def test_who_comes_later_is_told_to_ask_again():
    calls = Calls()

    async def never(_):
        raise AssertionError

    await calls.close()
    with pytest.raises(RoleChanging):
        await gated(calls, never)(CALL)


async def test_a_request_that_fails_is_over_too():
    calls = Calls()

    async def fail(_):
        raise KeyError

    with pytest.raises(KeyError):
        await gated(calls, fail)(CALL)
    with trio.fail_after(1):
        await calls.close()
