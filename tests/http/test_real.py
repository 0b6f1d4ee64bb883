"""Real sockets, and clients that know nothing of us."""

import os
import resource
import socket

import httpx
import pytest
import trio

from qfagent.errors import HubUnavailable
from qfagent.http.limits import Limits
from qfagent.http.message import Response
from qfagent.http.pool import Pool
from qfagent.http.server import Server, source_address
from qfagent.http.sockets import QuickSocket
from qfagent.http.transport import dial, listen_tcp
from tests.http.wire import GET, Peer, echo, ok


@pytest.fixture
async def listener():
    async with await listen_tcp("127.0.0.1", 0) as listener:
        yield listener


def port_of(listener):
    return listener.socket.getsockname()[1]


async def test_httpx_is_served_over_tcp(nursery, listener):
    async def handler(request):
        return Response(201, request.body + str(request.peer).encode(), "text/plain")

    await nursery.start(Server(handler, identify=source_address).run, [listener])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(listener)}", trust_env=False) as client:
        answers = [await client.post("/a?b", content=b"hello from ") for _ in range(3)]
        head = await client.head("/")
        refused = await client.get("/", headers={"Upgrade": "websocket"})

    assert [(answer.status_code, answer.text) for answer in answers] == [(201, "hello from 127.0.0.1")] * 3
    assert (head.status_code, head.content) == (201, b"")
    assert (refused.status_code, refused.json()["status"]) == (400, 400)


async def test_httpx_is_served_over_a_unix_socket(nursery, tmp_path):
    path = str(tmp_path / "sock")
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await sock.bind(path)
    sock.listen()
    await nursery.start(Server(echo).run, [trio.SocketListener(sock)])
    body = os.urandom(200_000)
    transport = httpx.AsyncHTTPTransport(uds=path)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answers = [await client.put("/", content=body) for _ in range(3)]
        refused = await client.put("/", content=bytes(1_000_000))

    assert [answer.content == body for answer in answers] == [True] * 3
    assert refused.status_code == 413


async def test_httpx_reads_a_streamed_answer(nursery, listener):
    async def lines():
        for number in range(3):
            yield b"%d\n" % number

    async def handler(request):
        return Response(200, content_type="application/x-ndjson", stream=lines())

    await nursery.start(Server(handler).run, [listener])
    url = f"http://127.0.0.1:{port_of(listener)}/events"
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as answer:
        read = [line async for line in answer.aiter_lines()]

    assert read == ["0", "1", "2"]


async def test_the_pool_exchanges_megabytes_over_tcp(nursery, listener):
    server = Server(echo, limits=Limits(body=5_000_000))
    await nursery.start(server.run, [listener])
    pool = Pool(lambda: dial("127.0.0.1", port_of(listener)))
    body = os.urandom(5_000_000)
    async with pool.connection() as connection:
        answers = [await connection.exchange("POST", "/", (), body, host="hub", most=len(body)) for _ in range(2)]
    await pool.aclose()

    assert [answer.body == body for answer in answers] == [True, True]


async def test_a_socket_that_the_server_closed_meanwhile_is_not_used(nursery, listener):
    server = Server(ok)
    accepted = []

    async def accept():
        while True:
            accepted.append(await listener.accept())
            nursery.start_soon(server.serve_stream, accepted[-1])

    nursery.start_soon(accept)
    pool = Pool(lambda: dial("127.0.0.1", port_of(listener)))
    statuses = []
    for _ in range(3):
        async with pool.connection() as connection:
            statuses.append((await connection.exchange("GET", "/", host="hub")).status)
        accepted[-1].socket.shutdown(socket.SHUT_WR)
    await pool.aclose()

    assert (statuses, len(accepted)) == ([200] * 3, 3)


async def test_a_refusal_reaches_a_client_that_is_still_sending(nursery, listener):
    await nursery.start(Server(ok, limits=Limits(body=10)).run, [listener])
    stream = await dial("127.0.0.1", port_of(listener))
    async with stream:
        peer = Peer(stream)
        await peer.say(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))
        heard = await peer.hear()

    assert heard.status == 413


async def test_who_sends_many_requests_ahead_takes_turns_with_the_others(nursery, listener):
    targets = []

    async def handler(request):
        targets.append(request.target)
        return Response(204)

    await nursery.start(Server(handler).run, [listener])
    greedy, modest = [QuickSocket(await dial("127.0.0.1", port_of(listener))) for _ in range(2)]
    await trio.testing.wait_all_tasks_blocked(0.01)
    await greedy.send_all(b"GET /greedy HTTP/1.1\r\nHost: hub\r\n\r\n" * 500)
    await modest.send_all(b"GET /modest HTTP/1.1\r\nHost: hub\r\n\r\n")
    await Peer(modest).hear()
    await greedy.aclose()
    await modest.aclose()

    assert targets.index("/modest") <= 2


async def test_a_reset_connection_ends_only_itself(nursery, listener):
    await nursery.start(Server(ok).run, [listener])
    for _ in range(3):
        stream = await dial("127.0.0.1", port_of(listener))
        await stream.send_all(GET[:20])
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
    async with await dial("127.0.0.1", port_of(listener)) as stream:
        heard = await Peer(stream).ask(GET)

    assert heard.status == 200


async def test_a_hub_that_resets_is_unavailable(nursery, listener):
    async def reset():
        stream = await listener.accept()
        await stream.receive_some()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()

    nursery.start_soon(reset)
    pool = Pool(lambda: dial("127.0.0.1", port_of(listener)))
    with pytest.raises(HubUnavailable, match="broke before"):
        async with pool.connection() as connection:
            await connection.exchange("GET", "/", host="hub")


async def test_the_server_outlives_a_lack_of_descriptors(nursery, listener):
    await nursery.start(Server(ok).run, [listener])
    port = port_of(listener)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with await dial("127.0.0.1", port) as stream:
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        with trio.move_on_after(0.25):
            await Peer(stream).hear()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        heard = await Peer(stream).ask(GET)

    assert heard.status == 200


async def test_a_quick_socket_fails_as_the_socket_it_stands_for(listener):
    stream = QuickSocket(await dial("127.0.0.1", port_of(listener)))
    await stream.wait_send_all_might_not_block()
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some(1)
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")


async def test_a_quick_socket_that_is_closed_while_it_waits_says_so(nursery, listener):
    stream = QuickSocket(await dial("127.0.0.1", port_of(listener)))
    raised = trio.Event()

    async def receive():
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some(1)
        raised.set()

    nursery.start_soon(receive)
    await trio.testing.wait_all_tasks_blocked()
    await stream.aclose()
    await raised.wait()


async def test_a_quick_socket_sends_what_no_buffer_holds(nursery, listener):
    data = os.urandom(20_000_000)
    sender = QuickSocket(await dial("127.0.0.1", port_of(listener)))
    receiver = QuickSocket(await listener.accept())

    async def send():
        await sender.send_all(data)
        await sender.send_eof()

    nursery.start_soon(send)
    received = bytearray()
    while piece := await receiver.receive_some():
        received += piece
    await sender.aclose()
    await receiver.aclose()

    assert received == data
