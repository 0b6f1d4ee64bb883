"""An answer in pieces lasts as long as both sides want it, and a torn one can be told from a whole one."""

import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from qfagent.http.message import Response
from tests.http.wire import GET, serving

LAST_CHUNK = b"0\r\n\r\n"


class Source:
    """Gives pieces as they are put in; remembers that it was closed."""

    def __init__(self, *pieces):
        self.put, self.pieces = trio.open_memory_channel(100)
        self.closed = False
        for piece in pieces:
            self.put.send_nowait(piece)

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.pieces.__anext__()

    async def aclose(self):
        self.closed = True

    async def handler(self, request):
        return Response(200, content_type="application/x-ndjson", stream=self)


async def break_off():
    raise trio.BrokenResourceError


async def test_pieces_are_sent_as_they_happen():
    source = Source(b"first\n")
    async with serving(source.handler) as served:
        peer = served.connect()
        heard = await peer.ask(GET)
        first = await peer.hear_until(b"first\n\r\n")
        source.put.send_nowait(b"second\n")
        second = await peer.hear_until(b"second\n\r\n")

    assert heard.headers == {
        "content-type": "application/x-ndjson",
        "connection": "close",
        "transfer-encoding": "chunked",
    }
    assert (first, second) == (b"6\r\n", b"7\r\n")


async def test_a_whole_answer_ends_with_the_last_chunk_and_the_connection():
    source = Source(b"only")
    source.put.close()
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)

        assert await peer.rest() == b"4\r\nonly\r\n" + LAST_CHUNK
    assert source.closed


async def test_an_empty_piece_does_not_end_the_answer():
    source = Source(b"", b"a", b"", b"b")
    source.put.close()
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)

        assert await peer.rest() == b"1\r\na\r\n1\r\nb\r\n" + LAST_CHUNK


async def test_version_1_0_gets_pieces_without_chunks():
    source = Source(b"a", b"b")
    source.put.close()
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(b"GET / HTTP/1.0\r\nHost: hub\r\n\r\n")

        assert await peer.rest() == b"ab"


async def test_head_gets_no_piece():
    source = Source(b"a")
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(b"HEAD / HTTP/1.1\r\nHost: hub\r\n\r\n")

        assert await peer.is_closed()
    assert source.closed


async def test_a_client_that_leaves_ends_the_answer_at_once():
    source = Source(b"a")
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)
        await peer.hear_until(b"a\r\n")
        await peer.stream.aclose()
        await wait_all_tasks_blocked()

        assert (served.ended, source.closed) == (1, True)


async def test_a_connection_that_breaks_under_a_piece_ends_only_itself(autojump_clock):
    source = Source(b"a")
    async with serving(source.handler) as served:
        ours, theirs = memory_stream_pair()
        await served.connect((ours, theirs)).ask(GET)
        theirs.send_stream.send_all_hook = break_off
        source.put.send_nowait(b"b")
        await served.one_ended.wait()

    assert source.closed


async def test_what_a_client_says_during_the_answer_does_not_end_it():
    source = Source(b"a")
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)
        await peer.say(GET)
        await wait_all_tasks_blocked()

        assert not source.closed


async def test_an_answer_may_last_longer_than_any_request(autojump_clock):
    source = Source(b"a")
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)
        await trio.sleep(80_000)
        source.put.send_nowait(b"late")
        await peer.hear_until(b"late\r\n")


async def test_stop_ends_the_answer_between_two_pieces():
    source = Source(b"a")
    async with serving(source.handler) as served:
        peer = served.connect()
        await peer.ask(GET)
        await peer.hear_until(b"a\r\n")
        served.server.stop()

        assert await peer.rest() == LAST_CHUNK
    assert source.closed


async def test_stop_before_the_answer_began_lets_it_end_at_once():
    source = Source(b"a")

    async def handler(request):
        served.server.stop()
        return await source.handler(request)

    async with serving(handler) as served:
        peer = served.connect()
        await peer.ask(GET)

        assert await peer.rest() == LAST_CHUNK


async def test_an_answer_that_nobody_reads_is_given_up_and_torn(autojump_clock):
    source = Source(b"a" * 1000, b"b" * 1000)
    source.put.close()
    async with serving(source.handler) as served:
        peer = served.connect(lockstep_stream_pair())
        await peer.say(GET)
        await trio.sleep(1)
        await peer.hear()
        await trio.sleep(40)

        assert LAST_CHUNK not in await peer.rest()
    assert source.closed
