"""An exchange has one complete answer or fails, nothing is sent twice, and no stale connection is ever used."""

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from qfagent.errors import BadHttp, HubUnavailable
from qfagent.http.message import Response
from qfagent.http.pool import Pool
from qfagent.http.server import Server
from tests.http.wire import ENDED, echo

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Hub:
    """A hub that answers each request with what it is told to say, and counts what it heard."""

    def __init__(self, nursery, *script):
        self.nursery = nursery
        self.script = list(script)
        self.connections = []
        self.heard = []

    async def connect(self):
        ours, theirs = memory_stream_pair()
        self.connections.append(theirs)
        self.nursery.start_soon(self._answer, theirs)
        return ours

    async def _answer(self, stream):
        try:
            while request := await stream.receive_some():
                self.heard.append(bytes(request))
                said = self.script.pop(0) if self.script else OK
                await stream.send_all(said.removesuffix(b"<end>"))
                if said.endswith(b"<end>"):
                    await stream.send_eof()
        except ENDED:
            pass


@pytest.fixture
def hub(nursery):
    return Hub(nursery)


async def get(pool, **options):
    async with pool.connection() as connection:
        return await connection.exchange("GET", "/", host="hub", **options)


async def test_an_exchange_says_its_request_to_the_letter(hub):
    async with Pool(hub.connect).connection() as connection:
        await connection.exchange("POST", "/secrets", (("DSKE-Auth", "a=b; c=d"),), b"{}", host="hub:27277")

    assert hub.heard == [
        b"POST /secrets HTTP/1.1\r\nHost: hub:27277\r\nDSKE-Auth: a=b; c=d\r\nContent-Length: 2\r\n\r\n{}"
    ]


async def test_an_answer_holds_what_the_wire_said(hub):
    hub.script = [b"HTTP/1.1 409 \r\nContent-Length: 3\r\nDSKE-Auth:  x \r\nEmpty:\r\n\r\n\0\xff\n"]
    answer = await get(Pool(hub.connect))

    assert (answer.status, answer.body) == (409, b"\0\xff\n")
    assert answer.values(b"dske-auth") == [b"x"]
    assert answer.values(b"empty") == [b""]


async def test_exchanges_in_a_row_share_one_connection(hub):
    pool = Pool(hub.connect)
    for _ in range(5):
        await get(pool)

    assert (len(hub.heard), len(hub.connections)) == (5, 1)


async def test_a_connection_is_open_before_it_is_handed_out(hub):
    async with Pool(hub.connect).connection():
        assert len(hub.connections) == 1
    assert hub.heard == []


@pytest.mark.parametrize("wait", [0, 61])
async def test_a_connection_that_the_hub_closed_meanwhile_is_not_used(wait, hub, autojump_clock):
    pool = Pool(hub.connect)
    await get(pool)
    await hub.connections[0].aclose()
    await trio.sleep(wait)
    answer = await get(pool)

    assert (answer.status, len(hub.connections), len(hub.heard)) == (200, 2, 2)


async def test_a_connection_with_an_unasked_answer_is_not_used(hub):
    pool = Pool(hub.connect)
    await get(pool)
    await hub.connections[0].send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    answer = await get(pool)

    assert (answer.status, len(hub.connections)) == (200, 2)


async def test_a_connection_with_bytes_behind_its_answer_is_not_used(hub):
    hub.script = [OK + b"H"]
    pool = Pool(hub.connect)
    await get(pool)
    await get(pool)

    assert len(hub.connections) == 2


async def test_a_connection_is_not_used_after_a_minute_of_rest(hub, autojump_clock):
    pool = Pool(hub.connect)
    for wait in (0, 59, 61):
        await trio.sleep(wait)
        await get(pool)

    assert len(hub.connections) == 2


@pytest.mark.parametrize(
    "last", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", OK.replace(b"1.1", b"1.0")]
)
async def test_a_connection_that_the_hub_will_close_is_not_used(last, hub):
    hub.script = [last]
    pool = Pool(hub.connect)
    await get(pool)
    await get(pool)

    assert len(hub.connections) == 2


async def test_a_cancelled_exchange_closes_its_connection_and_sends_nothing_again(hub, autojump_clock):
    hub.script = [OK[:20]]
    pool = Pool(hub.connect)
    with trio.move_on_after(3) as deadline:
        await get(pool)
    await wait_all_tasks_blocked()
    await get(pool)

    assert deadline.cancelled_caught
    assert (len(hub.heard), len(hub.connections)) == (2, 2)
    with pytest.raises(ENDED):
        await hub.connections[0].send_all(b"x")


async def test_no_more_than_the_limit_is_in_use_and_the_next_waits(hub, autojump_clock):
    pool = Pool(hub.connect, limit=2)
    used, most = 0, 0

    async def use():
        nonlocal used, most
        async with pool.connection() as connection:
            used += 1
            most = max(most, used)
            await trio.sleep(1)
            await connection.exchange("GET", "/", host="hub")
            used -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(use)

    assert (most, len(hub.connections), len(hub.heard)) == (2, 2, 6)


async def test_a_failure_to_connect_keeps_no_place(hub):
    async def refuse():
        raise HubUnavailable("connection refused")

    pool = Pool(refuse, limit=1)
    for _ in range(3):
        with pytest.raises(HubUnavailable, match="connection refused"):
            await get(pool)


async def test_who_is_cancelled_while_connecting_keeps_no_place(hub, autojump_clock):
    attempts = []

    async def connect():
        attempts.append(1)
        if len(attempts) == 1:
            await trio.sleep_forever()
        return await hub.connect()

    pool = Pool(connect, limit=1)
    with trio.move_on_after(1):
        await get(pool)

    assert (await get(pool)).status == 200


async def test_who_is_cancelled_while_a_connection_is_looked_at_closes_it(hub, autojump_clock):
    pool = Pool(hub.connect, limit=1)
    await get(pool)
    with trio.CancelScope() as scope:
        scope.cancel()
        await get(pool)
    answer = await get(pool)

    assert (await is_closed(hub.connections[0]), len(hub.connections), answer.status) == (True, 2, 200)


async def test_a_closed_pool_closes_what_is_idle_now_and_what_is_in_use_later(hub):
    pool = Pool(hub.connect)
    async with pool.connection() as used:
        await get(pool)
        await pool.aclose()
        idle_closed = await is_closed(hub.connections[1])
        answer = await used.exchange("GET", "/", host="hub")
    used_closed = await is_closed(hub.connections[0])

    assert (idle_closed, answer.status, used_closed) == (True, 200, True)
    with pytest.raises(HubUnavailable, match="being closed"):
        await get(pool)


async def is_closed(stream):
    try:
        await stream.send_all(b"x")
    except ENDED:
        return True
    return False


async def test_interim_answers_are_passed_over(hub):
    hub.script = [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK]
    answer = await get(Pool(hub.connect))

    assert (answer.status, answer.body) == (200, b"ok")


async def test_head_has_an_answer_without_a_body(hub):
    hub.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"]
    async with Pool(hub.connect).connection() as connection:
        answer = await connection.exchange("HEAD", "/", host="hub")
        again = await connection.exchange("GET", "/", host="hub")

    assert (answer.body, again.body) == (b"", b"ok")


async def test_no_content_needs_no_length(hub):
    hub.script = [b"HTTP/1.1 204 No Content\r\n\r\n"]

    assert (await get(Pool(hub.connect))).status == 204


NO_ANSWERS = {
    "garbage": b"\x16\x03\x01garbage\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "folded header": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\n c\r\n\r\n",
    "status 000": b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
    "status 20": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "101 without upgrade": b"HTTP/1.1 101 Switching\r\n\r\n" + OK,
    "five interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + OK,
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    "endless head": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000,
    "2,000 headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 2_000 + b"Content-Length: 0\r\n\r\n",
    "body beyond the limit": b"HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n",
    "empty line first": b"\r\n" + OK,
}


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_what_is_no_answer_is_refused_and_its_connection_closed(name, hub):
    hub.script = [NO_ANSWERS[name]]
    pool = Pool(hub.connect)
    with pytest.raises(BadHttp):
        await get(pool)
    await get(pool)

    assert len(hub.connections) == 2


@pytest.mark.parametrize("cut", range(len(OK)))
async def test_half_an_answer_is_none(cut, hub):
    hub.script = [OK[:cut] + b"<end>"]
    with pytest.raises(HubUnavailable, match="closed before the answer was complete"):
        await get(Pool(hub.connect))

    assert len(hub.heard) == 1


async def test_a_connection_that_breaks_is_no_answer(nursery):
    async def connect():
        ours, theirs = lockstep_stream_pair()
        nursery.start_soon(theirs.aclose)
        return ours

    with pytest.raises(HubUnavailable, match="broke before the answer was complete"):
        await get(Pool(connect))


async def test_the_caller_sets_the_limit_of_an_answer(hub):
    hub.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)]

    assert len((await get(Pool(hub.connect), most=300_000)).body) == 300_000


@pytest.mark.parametrize(
    "options",
    [
        {"target": "/a b"},
        {"target": "/a\r\nX: y"},
        {"method": "GET /"},
        {"host": "hub\r\nX: y"},
        {"host": "hüb"},
        {"headers": (("X", "a\r\nY: b"),)},
        {"headers": (("X", "a\nb"),)},
        {"headers": (("X\r\nY", "a"),)},
        {"headers": (("X", "ä"),)},
    ],
)
async def test_a_request_that_would_say_something_else_is_not_sent(options, hub):
    pool = Pool(hub.connect)
    async with pool.connection() as connection:
        with pytest.raises(ValueError, match="printable ASCII"):
            await connection.exchange(**{"method": "GET", "target": "/", "host": "hub"} | options)
    await get(pool)

    assert (len(hub.heard), len(hub.connections)) == (1, 1)


async def test_the_pool_and_the_server_understand_each_other(nursery):
    server = Server(echo)

    async def connect():
        ours, theirs = memory_stream_pair()
        nursery.start_soon(server.serve_stream, theirs)
        return ours

    pool = Pool(connect, limit=4)
    bodies = []

    async def exchange(body):
        async with pool.connection() as connection:
            bodies.append((await connection.exchange("POST", "/", (), body, host="hub")).body)

    async with trio.open_nursery() as exchanges:
        for number in range(50):
            exchanges.start_soon(exchange, b"%d" % number * 100)

    assert sorted(bodies) == sorted(b"%d" % number * 100 for number in range(50))


def test_a_response_shows_no_body_and_smuggles_nothing():
    assert "secret" not in repr(Response(200, b"secret"))
    with pytest.raises(ValueError, match="printable ASCII"):
        Response(200, headers=(("X", "a\r\nSet-Cookie: b"),))
    with pytest.raises(ValueError, match="200 to 599"):
        Response(100)
