"""Whatever bytes come in, each side reads a message that means one thing, or raises an error that it declares."""

from itertools import pairwise

import httptools
import pytest
import trio
from hypothesis import assume, given, settings, strategies as st
from trio.testing import MemoryReceiveStream

from qfagent.errors import BadHttp, HubUnavailable
from qfagent.http.answer import receive_answer
from qfagent.http.head import judge
from qfagent.http.incoming import Incoming, RawHead
from tests.http.wire import ENDED, GET, echo, post, serving

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX:\r\nY: 1 \r\n\r\nbody"
LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /a?b HTTP/1.1",
        b"GET / HTTP/1.0",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 204",
        b"Host: hub",
        b"Host:",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Connection: close, upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"X: y",
        b" folded",
        b"",
        b"abc",
        b"3\r\nabc\r\n0\r\n",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b" \r\n", b""])
SENTENCES = st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=12).map(b"".join)
ANYTHING = st.binary(max_size=300) | SENTENCES | st.tuples(SENTENCES, st.binary(max_size=20)).map(b"".join)


def cut(data, places):
    """The data in pieces, none of them empty."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def heads(parser, pieces):
    """All heads in the pieces, and the error that ended them."""
    incoming, found = Incoming(parser), []
    try:
        for piece in pieces:
            incoming.feed(piece)
            while (raw := incoming.head()) is not None:
                found.append(raw)
    except BadHttp:
        return found, "refused"
    return found, "open"


@given(ANYTHING, st.lists(st.integers(0, 400), max_size=8))
@pytest.mark.parametrize("parser", [httptools.HttpRequestParser, httptools.HttpResponseParser])
def test_how_the_bytes_are_cut_changes_nothing(parser, data, places):
    whole, pieces, bytewise = (
        heads(parser, [data]),
        heads(parser, cut(data, places)),
        heads(parser, cut(data, range(999))),
    )

    assert whole == pieces == bytewise


@pytest.mark.parametrize("data", [GET, post(b""), post(b"", headers=b"A:\r\nB: \r\nC: d \t\r\n"), ANSWER[:-4]])
def test_a_good_head_is_read_the_same_however_it_is_cut(data):
    parser = httptools.HttpResponseParser if data.startswith(b"HTTP") else httptools.HttpRequestParser
    whole = heads(parser, [data])

    assert len(whole[0]) == 1
    assert all(heads(parser, [data[:i], data[i:]]) == whole for i in range(1, len(data)))


@given(ANYTHING)
def test_a_head_that_is_accepted_means_what_it_says(data):
    incoming = Incoming(httptools.HttpRequestParser)
    incoming.feed(data)
    try:
        head = judge(incoming.head() or assume(False))
    except BadHttp:
        return

    said = data[: data.index(b"\r\n\r\n")].lower()
    assert said.startswith(f"{head.method} {head.target} HTTP/1.".lower().encode())
    assert said.count(b"\nhost:") == 1
    assert b"\ntransfer-encoding" not in said
    assert len(said.split(b"\r\n")) == 1 + len(head.headers)
    assert said.count(b"\n") == said.count(b"\r") == said.count(b"\r\n")


@pytest.mark.parametrize("target", [b"/\xe4", b"/\x7f", b"/\t", b"", b"*", b"http://hub/"])
def test_a_target_is_judged_whatever_the_parser_lets_pass(target):
    with pytest.raises(BadHttp, match="a target starts with a slash"):
        judge(RawHead(b"GET " + target + b" HTTP/1.1", ((b"host", b"hub"),)))


@given(st.binary())
def test_what_lies_behind_a_head_is_kept_to_the_byte(data):
    incoming = Incoming(httptools.HttpRequestParser)
    incoming.feed(GET + data)
    incoming.head()

    assert incoming.take(len(data) + 1) == data


async def converse(data):
    """Says the data in one go and hears the server out."""
    async with serving(echo) as served:
        peer = served.connect()
        try:
            await peer.say(data)
            await peer.stream.send_eof()
            return await peer.rest()
        except ENDED:
            return b""


@given(ANYTHING)
@settings(deadline=None)
def test_no_bytes_hang_or_crash_the_server(data):
    said = trio.run(converse, data, clock=trio.testing.MockClock(autojump_threshold=0))

    assert not said or said.startswith(b"HTTP/1.1 ")


async def answer_of(data):
    stream = MemoryReceiveStream()
    stream.put_data(data)
    stream.put_eof()
    try:
        return await receive_answer(stream, Incoming(httptools.HttpResponseParser), most=1_000)
    except (BadHttp, HubUnavailable) as error:
        return error


@given(ANYTHING | ANYTHING.map(lambda data: ANSWER[:30] + data))
@settings(deadline=None)
def test_no_bytes_hang_or_crash_the_client(data):
    answer = trio.run(answer_of, data)

    assert isinstance(answer, BadHttp | HubUnavailable) or len(answer.body) <= 1_000
