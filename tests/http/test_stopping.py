"""A server that stops drops no request that it has begun, and waits for no peer that has nothing to say."""

import errno
from itertools import count

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from qfagent.http.limits import Limits
from qfagent.http.message import Response
from qfagent.http.server import Server
from tests.http.wire import GET, Listener, echo, ok, post, serving


async def test_run_has_started_when_it_accepts(nursery):
    listener = Listener()
    await nursery.start(Server(ok).run, [listener])
    heard = await listener.connect().ask(GET)

    assert heard.status == 200


async def test_run_serves_all_its_listeners(nursery):
    listeners = [Listener(), Listener()]
    await nursery.start(Server(ok).run, listeners)
    statuses = [(await listener.connect().ask(GET)).status for listener in listeners]

    assert statuses == [200, 200]


async def test_stop_closes_idle_connections_and_listeners_at_once(nursery, autojump_clock):
    listener, server, ended = Listener(), Server(ok), trio.Event()

    async def run(task_status):
        await server.run([listener], task_status=task_status)
        ended.set()

    await nursery.start(run)
    began = trio.current_time()
    quiet, used = listener.connect(), listener.connect()
    await used.ask(GET)
    server.stop()
    await ended.wait()

    assert [await quiet.is_closed(), await used.is_closed(), listener.closed] == [True, True, True]
    assert trio.current_time() == began


async def test_a_request_under_way_is_finished_and_told_to_close(nursery, autojump_clock):
    async def handler(request):
        await trio.sleep(5)
        return Response(200, b'"late"')

    listener, server = Listener(), Server(handler)
    await nursery.start(server.run, [listener])
    peer = listener.connect()
    await peer.say(GET + GET)
    await wait_all_tasks_blocked()
    server.stop()
    heard = await peer.hear()
    closed = await peer.is_closed()

    assert (heard.status, heard.headers["connection"], closed) == (200, "close", True)


@pytest.mark.parametrize("cut", [1, 20, -3])
async def test_a_request_that_is_half_here_is_read_and_answered(cut):
    request = post(b"body")
    async with serving(echo) as served:
        peer = served.connect()
        await peer.say(request[:cut])
        await wait_all_tasks_blocked()
        served.server.stop()
        heard = await peer.ask(request[cut:])
        closed = await peer.is_closed()

    assert (heard.body, heard.headers["connection"], closed) == (b"body", "close", True)


async def test_a_request_that_has_arrived_when_the_server_stops_is_answered():
    async with serving() as served:
        peer = served.connect()
        await wait_all_tasks_blocked()
        await peer.say(GET)
        served.server.stop()
        heard = await peer.hear()

    assert (heard.status, heard.headers["connection"]) == (200, "close")


async def test_who_waits_for_a_place_when_the_server_stops_is_told():
    async with serving(limits=Limits(connections=1)) as served:
        await served.connect().say(GET[:10])
        await wait_all_tasks_blocked()
        waiting = served.connect()
        await wait_all_tasks_blocked()
        served.server.stop()
        heard = await waiting.hear()

    assert (heard.status, heard.detail) == (503, "the agent is stopping")


async def test_who_comes_after_stop_is_told():
    async with serving() as served:
        served.server.stop()
        heard = await served.connect().hear()

    assert heard.status == 503


async def test_cancelling_run_closes_everything(nursery):
    listener, server = Listener(), Server(ok)
    await nursery.start(server.run, [listener])
    half, used = listener.connect(), listener.connect()
    await half.say(b"GET")
    await used.ask(GET)
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        closed = [await half.is_closed(), await used.is_closed()]

    assert closed == [True, True]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_running_out_of_descriptors_is_a_rest_of_100_ms_each_time(number, nursery, autojump_clock):
    listener = Listener(number, number, number)
    await nursery.start(Server(ok).run, [listener])
    began = trio.current_time()
    heard = await listener.connect().ask(GET)

    assert heard.status == 200
    assert listener.attempts >= 4
    assert trio.current_time() - began == pytest.approx(0.3)


async def test_no_more_is_accepted_than_may_be_connected_or_wait(nursery, autojump_clock):
    listener, uids = Listener(), count()
    server = Server(ok, identify=lambda _: next(uids), peer_key=lambda uid: uid, limits=Limits(connections=3, queue=2))
    await nursery.start(server.run, [listener])
    for _ in range(100):
        listener.connect()
    await wait_all_tasks_blocked()

    assert listener.accepted == 3 + 4 * 2
    await trio.sleep(2.5)

    assert listener.accepted > 3 + 4 * 2
