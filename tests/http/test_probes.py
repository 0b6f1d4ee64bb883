"""What must be refused or closed: each probe by its name, with the status it gets."""

import pytest
import trio

from tests.http.wire import ENDED, GET, post, serving

HOST = b"Host: hub\r\n"

PROBES = {
    "100 KB of header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "100 KB of target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "one byte of head too many": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 8_159 + b"\r\n\r\n", 431),
    "2,000 headers": (b"GET / HTTP/1.1\r\n" + HOST + b"A:b\r\n" * 2_000 + b"\r\n", 431),
    "65 headers": (b"GET / HTTP/1.1\r\n" + HOST + b"A:b\r\n" * 64 + b"\r\n", 431),
    "length and coding": (post(b"abc", headers=b"Transfer-Encoding: chunked\r\n"), 400),
    "coding and length": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding nobody knows": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    "identity coding": (b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n" * 2 + b"\r\nabc", 400),
    "two lengths in one": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc", 400),
    "hexadecimal length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "empty length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\nabc", 400),
    "length of 20 digits": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10000000000000000000\r\n\r\n", 400),
    "length with 5,000 zeros": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"0" * 5_000 + b"3\r\n\r\nabc",
        400,
    ),
    "length of petabytes": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999999999\r\n\r\n", 413),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: hub\n\n", 400),
    "bare line feed behind a header": (b"GET / HTTP/1.1\r\nHost: hub\nA: b\r\n\r\n", 400),
    "bare line feed at the end": (b"GET / HTTP/1.1\r\nHost: hub\r\n\n", 400),
    "bare carriage return": (b"GET / HTTP/1.1\r\nHost: hub\rA: b\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: hub\r\nA: b\r\n c\r\n\r\n", 400),
    "folded header, tab": (b"GET / HTTP/1.1\r\nHost: hub\r\n\tA: b\r\n\r\n", 400),
    "blank before the first header": (b"GET / HTTP/1.1\r\n Host: hub\r\n\r\n", 400),
    "blank before a colon": (b"GET / HTTP/1.1\r\nHost : hub\r\n\r\n", 400),
    "header without a colon": (b"GET / HTTP/1.1\r\nHost: hub\r\nA\r\n\r\n", 400),
    "header without a name": (b"GET / HTTP/1.1\r\nHost: hub\r\n: a\r\n\r\n", 400),
    "zero byte in a header": (b"GET / HTTP/1.1\r\nHost: hub\r\nA: b\0c\r\n\r\n", 400),
    "control byte in a header": (b"GET / HTTP/1.1\r\nHost: hub\r\nA: b\x0bc\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400),
    "no header at all": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no host, version 1.0": (b"GET / HTTP/1.0\r\nA: b\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: hub\r\nHost: hub\r\n\r\n", 400),
    "two hosts, spelt differently": (b"GET / HTTP/1.1\r\nHost: hub\r\nhOST: bad\r\n\r\n", 400),
    "version 2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "version 2": (b"GET / HTTP/2\r\n" + HOST + b"\r\n", 400),
    "version 0.9": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "version 1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "version 1.10": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "version in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "another protocol": (b"OPTIONS / RTSP/1.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no version": (b"GET /\r\n" + HOST + b"\r\n", 400),
    "no version, no header": (b"GET /\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two blanks before the version": (b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blank behind the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "blank before the method": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "tab for a blank": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blank in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "zero byte in the target": (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "high byte in the target": (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute target": (b"GET http://hub/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "relative target": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "connect": (b"CONNECT hub:443 HTTP/1.1\r\nHost: hub:443\r\n\r\n", 400),
    "connect with a path": (b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "upgrade": (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    "upgrade without connection": (b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\n\r\n", 400),
    "lower case method": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown method": (b"HACK / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown expectation": (post(b"", headers=b"Expect: 200-ok\r\n"), 417),
    "two expectations": (post(b"", headers=b"Expect: 100-continue\r\n" * 2), 400),
    "empty line first": (b"\r\n" + GET, 400),
    "empty lines only": (b"\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(100), 400),
    "zero bytes": (bytes(100), 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
}


@pytest.mark.parametrize("name", PROBES)
async def test_a_probe_is_refused_at_once_and_closed(name, autojump_clock):
    probe, status = PROBES[name]
    async with serving() as served:
        began = trio.current_time()
        peer = served.connect()
        heard = await peer.ask(probe)
        closed = await peer.is_closed()

    assert (heard.status, heard.headers["connection"], closed) == (status, "close", True)
    assert heard.detail
    assert trio.current_time() - began < 1


@pytest.mark.parametrize("name", PROBES)
async def test_a_probe_behind_a_good_request_is_refused_as_well(name):
    probe, status = PROBES[name]
    async with serving() as served:
        peer = served.connect()
        await peer.say(GET + probe)
        statuses = [(await peer.hear()).status, (await peer.hear()).status]

    assert statuses == [200, status]


async def test_a_head_of_exactly_8192_bytes_and_64_headers_is_served():
    head = b"GET / HTTP/1.1\r\n" + HOST + b"A:b\r\n" * 62 + b"X: "
    async with serving() as served:
        heard = await served.connect().ask(head + b"a" * (8_192 - len(head) - 4) + b"\r\n\r\n")

    assert heard.status == 200


async def drip(peer, data):
    """Says a byte every half second for as long as the other side stands it."""
    try:
        for byte in data:
            await peer.say(bytes([byte]))
            await trio.sleep(0.5)
    except ENDED:
        pass


async def time_dripping(data):
    async with serving() as served:
        peer = served.connect()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, peer, data)
            heard = await peer.hear()
            ended = trio.current_time()
            closed = await peer.is_closed()
    return heard, ended - began, closed


async def test_a_head_of_one_byte_every_half_second_is_closed_after_10_seconds(autojump_clock):
    heard, seconds, closed = await time_dripping(b"GET /" + b"a" * 1_000)

    assert (heard.status, heard.detail, closed) == (408, "the request took too long to arrive", True)
    assert seconds == pytest.approx(10)


async def test_a_body_of_one_byte_every_half_second_is_closed_after_30_seconds(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        began = trio.current_time()
        await peer.say(post(bytes(1_000))[:-1_000])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, peer, bytes(1_000))
            heard = await peer.hear()
            ended = trio.current_time()

    assert heard.status == 408
    assert 30 <= ended - began <= 31


async def test_the_deadline_of_a_body_counts_from_the_first_byte_of_the_head(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        began = trio.current_time()
        await peer.say(b"P")
        await trio.sleep(9)
        await peer.say(post(bytes(1_000))[1:-1_000])
        heard = await peer.hear()
        ended = trio.current_time()

    assert heard.status == 408
    assert 30 <= ended - began <= 31


async def test_a_connection_that_says_nothing_is_closed_after_75_seconds_without_a_word(autojump_clock):
    async with serving() as served:
        began = trio.current_time()
        closed = await served.connect().is_closed()

    assert closed
    assert trio.current_time() - began == pytest.approx(75)


async def test_an_idle_connection_is_closed_75_seconds_after_its_last_answer(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        await trio.sleep(50)
        await peer.ask(GET)
        began = trio.current_time()
        closed = await peer.is_closed()

    assert closed
    assert trio.current_time() - began == pytest.approx(75)


async def test_half_a_head_and_then_nothing_is_closed_after_10_seconds(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        began = trio.current_time()
        await peer.say(GET[:-1])
        heard = await peer.hear()

    assert heard.status == 408
    assert trio.current_time() - began == pytest.approx(10)


async def test_who_is_refused_and_stays_is_left_after_a_second(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        await peer.ask(b"\n\n\n\n")
        await peer.is_closed()
        began = trio.current_time()
        await served.one_ended.wait()

    assert trio.current_time() - began == pytest.approx(1)
