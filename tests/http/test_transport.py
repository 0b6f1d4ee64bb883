"""Real sockets stay on their interface, and what goes wrong with them is said in words."""

import errno
import socket

import pytest
import trio

from qfagent.errors import HubUnavailable, InterfaceDown
from qfagent.http import transport
from qfagent.http.transport import dial, interface_address, listen_tcp

NO_SUCH = "qf-no-such0"


@pytest.fixture
async def listener():
    listener = await listen_tcp("127.0.0.1", 0)
    yield listener
    await listener.aclose()


def port_of(listener):
    return listener.socket.getsockname()[1]


async def test_a_dialled_connection_is_bound_to_its_interface_and_sends_without_delay(listener):
    stream = await dial("127.0.0.1", port_of(listener), interface="lo", source="127.0.0.2")
    async with stream, await listener.accept() as accepted:
        device = stream.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)

        assert device.rstrip(b"\0") == b"lo"
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.socket.getpeername()[0] == "127.0.0.2"


async def test_a_name_is_resolved_and_its_addresses_tried_in_order(listener):
    async with await dial("localhost", port_of(listener)) as stream:
        assert stream.socket.getpeername()[1] == port_of(listener)


async def test_the_next_address_is_tried_when_one_refuses(listener, monkeypatch):
    port = port_of(listener)
    found = [(socket.AF_INET, ("127.0.0.9", port)), (socket.AF_INET, ("127.0.0.1", port))]

    async def resolve(host, port):
        return found

    monkeypatch.setattr(transport, "_resolve", resolve)
    async with await dial("hub", port) as stream:
        assert stream.socket.getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize("interface", [NO_SUCH, "a-name-longer-than-15", "lo\0"])
async def test_nothing_is_dialled_without_the_interface(interface, listener):
    with pytest.raises(InterfaceDown, match="interface"):
        await dial("127.0.0.1", port_of(listener), interface=interface)
    with trio.move_on_after(0.05) as nobody_came:
        await listener.accept()

    assert nobody_came.cancelled_caught


async def test_a_name_too_long_for_the_kernel_does_not_become_another_interface(listener):
    with pytest.raises(InterfaceDown):
        await dial("127.0.0.1", port_of(listener), interface="lo" + "\0" * 20)


async def test_a_refused_connection_says_so(listener):
    port = port_of(listener)
    await listener.aclose()
    with pytest.raises(
        HubUnavailable, match=rf"no connection to 127\.0\.0\.1, port {port}: connection refused"
    ) as caught:
        await dial("127.0.0.1", port)

    assert not isinstance(caught.value, InterfaceDown)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 300, "\0"])
async def test_a_name_that_is_not_known_says_so(host):
    with pytest.raises(HubUnavailable, match=r"is not known: [a-z]"):
        await dial(host, 1)


async def test_an_address_that_is_not_ours_is_no_source(listener):
    with pytest.raises(HubUnavailable, match="cannot assign requested address"):
        await dial("127.0.0.1", port_of(listener), source="192.0.2.77")


async def test_listening_is_bound_to_its_interface():
    async with await listen_tcp("127.0.0.1", 0, interface="lo") as listener:
        device = listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)

    assert device.rstrip(b"\0") == b"lo"


async def test_nobody_listens_without_the_interface():
    with pytest.raises(InterfaceDown, match=f"the interface {NO_SUCH} is missing or down"):
        await listen_tcp("127.0.0.1", 0, interface=NO_SUCH)


async def test_nobody_listens_at_an_address_that_is_not_here_yet():
    with pytest.raises(InterfaceDown, match=r"does not have the address 192\.0\.2\.77"):
        await listen_tcp("192.0.2.77", 0)


async def test_a_port_in_use_is_said_to_be(listener):
    with pytest.raises(HubUnavailable, match="address already in use"):
        await listen_tcp("127.0.0.1", port_of(listener))


async def test_a_port_can_be_listened_at_again_at_once(listener):
    port = port_of(listener)
    async with await dial("127.0.0.1", port), await listener.accept():
        await listener.aclose()
    again = await listen_tcp("127.0.0.1", port)
    await again.aclose()


def test_an_interface_has_its_first_address():
    assert interface_address("lo") == "127.0.0.1"


@pytest.mark.parametrize("interface", [NO_SUCH, "", "a-name-longer-than-15"])
def test_an_interface_that_is_missing_is_down(interface):
    with pytest.raises(InterfaceDown):
        interface_address(interface)


INET6 = """\
fe8000000000000000fc00fffe000001 04 40 20 80      wg0
fd00000000000000000000000000002a 04 40 00 82      wg0
fd00000000000000000000000000002b 04 40 00 82      wg1
"""


@pytest.mark.parametrize("interface, address", [("wg0", "fd00::2a"), ("wg1", "fd00::2b"), ("wg", None)])
def test_without_ipv4_the_first_ipv6_address_beyond_the_link_is_taken(interface, address, tmp_path, monkeypatch):
    (tmp_path / "if_inet6").write_text(INET6)
    monkeypatch.setattr(transport, "_INET6", tmp_path / "if_inet6")

    assert transport._ipv6(interface) == address


def test_an_interface_without_an_address_is_down(monkeypatch):
    def ioctl(*_):
        raise OSError(errno.EADDRNOTAVAIL, "no")

    monkeypatch.setattr(transport.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(transport, "_INET6", transport.Path("/nowhere"))
    with pytest.raises(InterfaceDown, match="the interface lo has no address"):
        interface_address("lo")
