"""A well-behaved client gets what HTTP/1.1 promises."""

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from qfagent.errors import NotPermitted
from qfagent.http.limits import Limits
from qfagent.http.message import Response, problem
from tests.http.wire import GET, echo, post, serving


def seen(requests):
    """A handler that keeps what it is asked."""

    async def handler(request):
        requests.append(request)
        return Response(200, b'"ok"')

    return handler


async def test_an_answer_says_its_length_type_and_reason():
    async with serving() as served:
        heard = await served.connect().ask(GET)

    assert heard == (
        200,
        "OK",
        {"content-type": "application/json", "content-length": "4"},
        b'"ok"',
    )


async def test_a_connection_serves_request_after_request():
    async with serving() as served:
        peer = served.connect()
        statuses = [(await peer.ask(GET)).status for _ in range(5)]

    assert statuses == [200] * 5


async def test_requests_sent_ahead_are_answered_in_their_order():
    async with serving(echo) as served:
        peer = served.connect()
        await peer.say(b"".join(post(b"%d" % i) for i in range(20)))
        bodies = [(await peer.hear()).body for _ in range(20)]

    assert bodies == [b"%d" % i for i in range(20)]


async def test_a_request_that_comes_byte_by_byte_is_served_as_one():
    async with serving(echo) as served:
        peer = served.connect()
        for byte in post(b"a body"):
            await peer.say(bytes([byte]))
            await wait_all_tasks_blocked()
        heard = await peer.hear()

    assert heard.body == b"a body"


async def test_a_body_of_many_reads_arrives_whole():
    body = bytes(range(256)) * 1024
    async with serving(echo) as served:
        heard = await served.connect().ask(post(body))

    assert heard.body == body


async def test_a_request_behind_a_large_body_is_served_as_well():
    async with serving(echo) as served:
        peer = served.connect()
        await peer.say(post(bytes(200_000)) + post(b"next"))
        bodies = [(await peer.hear()).body, (await peer.hear()).body]

    assert bodies == [bytes(200_000), b"next"]


async def test_a_request_holds_what_the_wire_said():
    requests = []
    async with serving(seen(requests), identify=lambda stream: "peer 7") as served:
        await served.connect().ask(post(b"{}", target="/a%2fb?c=d&e", headers=b"X-One: 1 \r\nx-one:2\r\nX-None:\r\n"))
    [request] = requests

    assert (request.method, request.target, request.body) == ("POST", "/a%2fb?c=d&e", b"{}")
    assert request.values(b"x-one") == [b"1", b"2"]
    assert request.values(b"x-none") == [b""]
    assert request.peer == "peer 7"


async def test_every_request_of_a_server_has_its_own_id():
    requests = []
    async with serving(seen(requests)) as served:
        for _ in range(3):
            peer = served.connect()
            for _ in range(3):
                await peer.ask(GET)

    assert len({request.id for request in requests}) == 9


async def test_head_is_answered_without_a_body():
    async with serving() as served:
        peer = served.connect()
        heard = await peer.ask(b"HEAD / HTTP/1.1\r\nHost: hub\r\n\r\n", body=False)
        after = await peer.ask(GET)

    assert (heard.status, heard.headers["content-length"]) == (200, "4")
    assert after.body == b'"ok"'


async def test_no_content_has_neither_body_nor_length():
    async def handler(request):
        return Response(204)

    async with serving(handler) as served:
        peer = served.connect()
        heard = [await peer.ask(GET), await peer.ask(GET)]

    assert heard == [(204, "No Content", {}, b"")] * 2


async def test_an_answer_carries_the_headers_of_its_response():
    async def handler(request):
        return Response(200, headers=(("Cache-Control", "no-store"), ("DSKE-Auth", "block=0")))

    async with serving(handler) as served:
        heard = await served.connect().ask(GET)

    assert heard.headers["cache-control"] == "no-store"
    assert heard.headers["dske-auth"] == "block=0"


async def test_a_client_that_says_close_is_answered_and_closed():
    async with serving() as served:
        peer = served.connect()
        heard = await peer.ask(b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: x, Close\r\n\r\n")
        closed = await peer.is_closed()

    assert (heard.status, heard.headers["connection"], closed) == (200, "close", True)


async def test_connection_may_be_said_twice():
    async with serving() as served:
        peer = served.connect()
        heard = await peer.ask(b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nConnection: x\r\n\r\n")

    assert (heard.status, heard.headers["connection"]) == (200, "close")


async def test_version_1_0_is_answered_and_closed():
    async with serving() as served:
        peer = served.connect()
        heard = await peer.ask(b"GET / HTTP/1.0\r\nHost: hub\r\nConnection: keep-alive\r\n\r\n")
        closed = await peer.is_closed()

    assert (heard.status, heard.headers["connection"], closed) == (200, "close", True)


async def test_a_client_that_half_closes_after_its_request_is_answered():
    async with serving() as served:
        peer = served.connect()
        await peer.say(GET)
        await peer.stream.send_eof()
        heard = await peer.hear()

    assert heard.status == 200


async def test_who_expects_100_continue_hears_it_before_the_body():
    async with serving(echo) as served:
        peer = served.connect()
        head, body = post(b"body", headers=b"Expect: 100-Continue\r\n").split(b"\r\n\r\n")
        interim = await peer.ask(head + b"\r\n\r\n")
        final = await peer.ask(body)

    assert (interim.status, interim.reason) == (100, "Continue")
    assert final.body == b"body"


async def test_who_sends_the_body_at_once_hears_no_100_continue():
    async with serving(echo) as served:
        heard = await served.connect().ask(post(b"body", headers=b"Expect: 100-continue\r\n"))

    assert heard.status == 200


async def test_a_refused_request_hears_no_100_continue_and_its_body_is_not_read():
    async with serving(admit=lambda request: problem(NotPermitted())) as served:
        peer = served.connect()
        head, _ = post(b"body", headers=b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
        heard = await peer.ask(head + b"\r\n\r\n")
        closed = await peer.is_closed()

    assert (heard.status, heard.slug, closed) == (403, "not-permitted", True)


async def test_admission_is_decided_on_the_head_alone():
    asked = []

    def admit(request):
        asked.append((request.target, request.body))
        return 100

    async with serving(echo, admit=admit) as served:
        await served.connect().ask(post(b"body"))

    assert asked == [("/secrets", b"")]


async def test_a_refusal_without_a_pending_body_keeps_the_connection():
    async with serving(admit=lambda request: problem(NotPermitted())) as served:
        peer = served.connect()
        statuses = [(await peer.ask(GET)).status for _ in range(3)]

    assert statuses == [403] * 3


async def test_each_route_has_its_own_body_limit():
    def admit(request):
        return 1_000_000 if request.target == "/psrd" else 10

    async with serving(echo, admit=admit) as served:
        large = await served.connect().ask(post(bytes(1_000_000), target="/psrd"))
        small = await served.connect().ask(post(bytes(10)))
        too_large = await served.connect().ask(post(bytes(11)))

    assert [large.status, small.status, too_large.status] == [200, 200, 413]
    assert too_large.slug == "too-large"


async def test_a_body_beyond_the_limit_is_refused_before_it_is_sent():
    async with serving(limits=Limits(body=262_144)) as served:
        heard = await served.connect().ask(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 262145\r\n\r\n")

    assert (heard.status, heard.headers["connection"]) == (413, "close")


async def test_a_refused_client_that_keeps_sending_still_hears_why():
    async with serving(limits=Limits(body=10)) as served:
        peer = served.connect()
        await peer.say(post(bytes(1_000_000)))
        heard = await peer.hear()

    assert heard.status == 413


async def test_a_peer_that_is_not_let_in_is_told_why():
    def identify(stream):
        raise NotPermitted("unknown uid 65534")

    async with serving(identify=identify) as served:
        peer = served.connect()
        heard = await peer.hear()
        closed = await peer.is_closed()

    assert (heard.status, heard.detail, closed) == (403, "unknown uid 65534", True)


async def test_a_peer_that_is_gone_before_it_is_identified_is_forgotten():
    def identify(stream):
        raise OSError

    async with serving(identify=identify) as served:
        closed = await served.connect().is_closed()
        await served.one_ended.wait()

    assert closed


async def test_a_refused_peer_that_is_gone_already_ends_only_itself():
    def identify(stream):
        raise NotPermitted

    async with serving(identify=identify) as served:
        await served.connect().stream.aclose()
        await served.one_ended.wait()


async def test_a_connection_that_breaks_anywhere_ends_only_itself():
    request = post(b"body")
    async with serving() as served:
        for cut in range(len(request) + 1):
            peer = served.connect()
            await peer.say(request[:cut])
            await peer.stream.aclose()
        heard = await served.connect().ask(GET)
        await wait_all_tasks_blocked()

    assert heard.status == 200
    assert served.ended == len(request) + 1


async def test_a_connection_that_breaks_while_it_is_answered_ends_only_itself(autojump_clock):
    async def handler(request):
        await trio.sleep(1)
        return Response(200)

    async with serving(handler) as served:
        peer = served.connect()
        await peer.say(GET)
        await wait_all_tasks_blocked()
        await peer.stream.aclose()
        heard = await served.connect().ask(GET)
        await served.one_ended.wait()

    assert heard.status == 200


async def test_what_a_handler_raises_is_not_hidden():
    async def handler(request):
        raise ZeroDivisionError

    raised = []
    try:
        async with serving(handler) as served:
            await served.connect().say(GET)
            await trio.sleep_forever()
    except* ZeroDivisionError as group:
        raised = group.exceptions

    assert len(raised) == 1


async def test_a_request_whose_handler_takes_too_long_is_answered(autojump_clock):
    cancelled = []

    async def handler(request):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time() - began)

    async with serving(handler) as served:
        began = trio.current_time()
        peer = served.connect()
        heard = await peer.ask(GET)
        closed = await peer.is_closed()

    assert (heard.status, heard.slug, closed) == (504, "timed-out", True)
    assert 30 <= cancelled[0] <= 31


async def test_a_client_that_does_not_read_its_answer_is_given_up(autojump_clock):
    async with serving() as served:
        began = trio.current_time()
        peer = served.connect(lockstep_stream_pair())
        await peer.say(GET)
        await served.one_ended.wait()

    assert 30 <= trio.current_time() - began <= 31.2


async def test_a_long_lived_connection_outlives_its_first_deadlines(autojump_clock):
    async with serving() as served:
        peer = served.connect()
        statuses = []
        for _ in range(10):
            statuses.append((await peer.ask(GET)).status)
            await trio.sleep(74)

    assert statuses == [200] * 10


async def test_a_request_at_the_very_moment_of_an_old_deadline_is_served(autojump_clock):
    async def handler(request):
        await trio.sleep(5)
        return Response(200)

    async with serving(handler) as served:
        statuses = []
        for wait in (24.9, 25.0, 25.9, 26.0, 26.1, 69.9):
            peer = served.connect()
            await peer.ask(GET)
            await trio.sleep(wait)
            statuses.append((await peer.ask(GET)).status)

    assert statuses == [200] * 6


@pytest.mark.parametrize("seconds", [31, 75, 80])
async def test_a_request_that_arrives_just_as_time_runs_out_is_served(seconds, mock_clock):
    async def handler(request):
        await trio.lowlevel.checkpoint()
        return Response(200)

    async with serving(handler) as served:
        peer = served.connect()
        await peer.ask(GET)
        await wait_all_tasks_blocked()
        await peer.say(GET)
        mock_clock.jump(seconds)  # before the server has had its turn
        heard = await peer.hear()

    assert heard.status == 200
