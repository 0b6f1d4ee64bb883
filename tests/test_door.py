"""A door: it starts without its interface, says so once, and listens anew when the interface is made anew."""

import pytest
import trio

from qfagent.door import GRACE, LOOK, Door, Listening
from qfagent.errors import InterfaceDown
from qfagent.http.message import Response
from qfagent.http.server import Server
from tests.conftest import on_a_clock_that_jumps

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)


class Place:
    """An interface that comes, goes and comes back as another."""

    def __init__(self):
        self.number, self.told, self.door = None, [], Door("hub", self.note)
        self.listeners = []

    def note(self, name, /, **fields):
        self.told.append(name)

    def where(self):
        if self.number is None:
            raise InterfaceDown("the interface wg0 is missing")
        return self.number

    async def listen(self):
        self.where()
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.listeners.append(listener)
        return Listening(listener, f"place {self.number}", self.where)

    def is_open(self):
        return [listener.socket.fileno() >= 0 for listener in self.listeners]


def server():
    async def respond(_):
        return Response(200)

    return Server(respond)


async def test_it_says_once_that_its_interface_is_missing_and_listens_when_that_is_there(nursery):
    place, stopping = Place(), trio.Event()
    nursery.start_soon(place.door.serve, server, place.listen, stopping)
    await trio.sleep(3 * LOOK + 1)
    missing, issues = place.door.address, place.door.issues
    place.number = 1
    await trio.sleep(LOOK)

    assert ("", {"interface-down": "the interface wg0 is missing"}) == (missing, issues)
    assert (["hub.not-listening", "hub.listening"], "place 1", {}) == (
        place.told,
        place.door.address,
        place.door.issues,
    )
    stopping.set()


async def test_it_listens_anew_when_the_interface_is_another_and_lets_go_of_the_old_one(nursery):
    place, stopping = Place(), trio.Event()
    place.number = 1
    nursery.start_soon(place.door.serve, server, place.listen, stopping)
    await trio.sleep(LOOK)
    place.number = 2
    await trio.sleep(2 * LOOK)

    assert ("place 2", [False, True]) == (place.door.address, place.is_open())
    stopping.set()


async def test_it_closes_when_the_interface_goes_away(nursery):
    place, stopping = Place(), trio.Event()
    place.number = 1
    nursery.start_soon(place.door.serve, server, place.listen, stopping)
    await trio.sleep(LOOK)
    place.number = None
    await trio.sleep(2 * LOOK)

    assert (["hub.listening", "hub.not-listening"], [False], "") == (place.told, place.is_open(), place.door.address)
    stopping.set()


async def test_it_ends_at_once_when_it_is_to_stop_whether_it_listens_or_not():
    for number in (None, 1):
        place, stopping = Place(), trio.Event()
        place.number = number
        async with trio.open_nursery() as inner:
            inner.start_soon(place.door.serve, server, place.listen, stopping)
            await trio.sleep(LOOK / 2)
            began = trio.current_time()
            stopping.set()

        assert 0 == trio.current_time() - began
        assert "" == place.door.address


async def test_a_request_that_does_not_arrive_holds_nothing_up_for_long():
    place, stopping = Place(), trio.Event()
    place.number = 1
    async with trio.open_nursery() as inner:
        inner.start_soon(place.door.serve, server, place.listen, stopping)
        await trio.sleep(LOOK / 2)
        async with await trio.open_tcp_stream(*place.listeners[0].socket.getsockname()) as stream:
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 9\r\n\r\nhalf")
            await trio.sleep(LOOK)
            began = trio.current_time()
            stopping.set()
            while place.door.address:
                await trio.sleep(0.1)

    assert GRACE == pytest.approx(trio.current_time() - began, abs=0.2)
