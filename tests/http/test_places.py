"""So many connections, so many of one peer, and a short queue before a refusal."""

from itertools import count

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from qfagent.http.limits import Limits
from qfagent.http.server import Server
from tests.http.wire import GET, Listener, ok, serving


async def hold(served, number):
    """Connections that have a place: each was served once and stays."""
    peers = [served.connect() for _ in range(number)]
    for peer in peers:
        assert (await peer.ask(GET)).status == 200
    return peers


async def test_256_connections_are_served_and_the_next_is_refused_after_a_second(autojump_clock):
    async with serving() as served:
        await hold(served, 256)
        began = trio.current_time()
        peer = served.connect()
        heard = await peer.hear()
        closed = await peer.is_closed()

    assert (heard.status, heard.slug, closed) == (503, "too-many-connections", True)
    assert trio.current_time() - began == pytest.approx(1)


async def test_who_waits_gets_the_place_of_one_that_leaves(autojump_clock):
    async with serving(limits=Limits(connections=2)) as served:
        first, _ = await hold(served, 2)
        waiting = served.connect()
        await trio.sleep(0.9)
        await first.stream.aclose()
        heard = await waiting.ask(GET)

    assert heard.status == 200


async def test_a_place_that_becomes_free_is_given_to_one_only(autojump_clock):
    async with serving(limits=Limits(connections=1)) as served:
        [first] = await hold(served, 1)
        waiting = [served.connect() for _ in range(5)]
        await wait_all_tasks_blocked()
        await first.stream.aclose()
        statuses = [(await peer.ask(GET)).status for peer in waiting]

    assert sorted(statuses) == [200, 503, 503, 503, 503]


async def test_a_full_queue_refuses_at_once(autojump_clock):
    async with serving(limits=Limits(connections=1, queue=3)) as served:
        await hold(served, 1)
        for _ in range(3):
            served.connect()
        await wait_all_tasks_blocked()
        began = trio.current_time()
        heard = await served.connect().hear()

    assert (heard.status, trio.current_time()) == (503, began)


async def test_64_connections_of_a_uid_are_served_and_no_other_uid_notices(autojump_clock):
    uids = iter([1000] * 65 + [1001] * 2)
    limits = Limits(each=64)
    async with serving(limits=limits, identify=lambda stream: next(uids), peer_key=lambda uid: uid) as served:
        await hold(served, 64)
        refused = served.connect()
        await wait_all_tasks_blocked()
        await hold(served, 2)
        heard = await refused.hear()

    assert heard.status == 503


async def test_one_peer_fills_no_other_peers_queue(autojump_clock):
    uids = iter([1000] * 4 + [1001])
    limits = Limits(each=1, queue=2)
    async with serving(limits=limits, identify=lambda stream: next(uids), peer_key=lambda uid: uid) as served:
        await hold(served, 1)
        for _ in range(3):
            served.connect()
        await wait_all_tasks_blocked()

        await hold(served, 1)


async def test_a_peer_that_connects_and_connects_keeps_nobody_else_out(nursery, autojump_clock):
    """Before, each refused connection held its room for a second of farewell: one local user kept root out."""
    flood = [1000] * 20
    uids = iter(([*flood, 0]) * 30)
    listener, limits = Listener(), Limits(connections=4, each=1, queue=1)
    server = Server(ok, identify=lambda stream: next(uids), peer_key=lambda uid: uid, limits=limits)
    await nursery.start(server.run, [listener])
    pushing, statuses = [], []
    for _ in range(30):
        pushing += [listener.connect() for _ in flood]
        began, peer = trio.current_time(), listener.connect()
        statuses.append(((await peer.ask(GET)).status, trio.current_time() - began))
        await peer.stream.aclose()
        await trio.sleep(0.1)

    assert statuses == [(200, 0)] * 30


async def test_who_finds_the_queue_full_is_told_and_not_waited_for(autojump_clock):
    async with serving(limits=Limits(connections=1, queue=0)) as served:
        await hold(served, 1)
        began, peer = trio.current_time(), served.connect()
        await served.one_ended.wait()
        heard = await peer.hear()

    assert (heard.status, heard.slug, trio.current_time()) == (503, "too-many-connections", began)


async def test_places_come_back_however_a_connection_ends(autojump_clock):
    async with serving(limits=Limits(connections=1)) as served:
        for last_words in (b"", b"GET", b"garbage\r\n\r\n", GET):
            peer = served.connect()
            await peer.say(last_words)
            await wait_all_tasks_blocked()
            await peer.stream.aclose()
        [last] = await hold(served, 1)

    assert last


async def test_peers_that_have_gone_are_not_remembered():
    uids = count()
    async with serving(identify=lambda stream: next(uids), peer_key=lambda uid: uid) as served:
        for _ in range(20):
            [peer] = await hold(served, 1)
            await peer.stream.aclose()
        await wait_all_tasks_blocked()

        assert not served.server._places._taken
        assert not served.server._places._waiting


def test_a_server_without_a_single_connection_is_a_mistake():
    with pytest.raises(ValueError, match="serves nobody"):
        Limits(connections=0)
