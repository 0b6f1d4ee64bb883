"""Transport opens and awaits TCP connections that stay on one interface, from their first packet on.

* A socket is bound to the interface before it connects or listens: bound later, it could have left by another.
* Without an interface of that name nothing is opened; there is no way around it by default route.
* Every address of a name is tried in the resolver's order; how long that may take is the caller's to say.
"""

import errno
import fcntl
import os
import socket
import struct
from contextlib import ExitStack
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import trio

from qfagent.errors import HubUnavailable, InterfaceDown

_BACKLOG = 1024
_DOWN = frozenset((errno.ENODEV, errno.ENXIO, errno.ENETDOWN))
_SIOCGIFADDR = 0x8915
_NAME_BYTES = 15
_LINK_SCOPE = 0x20
_INET6 = Path("/proc/net/if_inet6")

# what the resolver says of one address: its family, and what connect and bind take
Address = tuple[socket.AddressFamily, tuple[Any, ...]]


async def dial(host: str, port: int, *, interface: str = "", source: str = "") -> trio.SocketStream:
    """A TCP connection to `host`, bound to `interface` and to the address `source` where they are not empty.

    InterfaceDown if the interface is missing or down, HubUnavailable if the name or every address fails.
    """
    failures = []
    for family, address in await _resolve(host, port):
        try:
            return await _connect(family, address, interface, source)
        except OSError as error:
            failures.append(error)
    raise _unavailable(f"no connection to {host}, port {port}", interface, failures[0]) from failures[0]


async def listen_tcp(host: str, port: int, *, interface: str = "") -> trio.SocketListener:
    """Listens at the first address of `host`, and if `interface` is not empty only to what comes in by it.

    InterfaceDown if the interface is missing or down, or the address is not there (yet); HubUnavailable if the
    address can't be had for another reason.
    """
    family, address = (await _resolve(host, port))[0]
    try:
        return await _listen(family, address, interface)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InterfaceDown(f"this machine does not have the address {host}") from error
        raise _unavailable(f"can't listen at {host}, port {port}", interface, error) from error


def interface_address(interface: str) -> str:
    """The first IPv4 address of the interface, else its first IPv6 address that is not link-local.

    InterfaceDown if there is no such interface, or no such address.
    """
    name = _name(interface)
    address = _ipv4(interface, name) or _ipv6(interface)
    if address is None:
        raise InterfaceDown(f"the interface {interface} has no address")
    return address


def bound_to(interface: str) -> list[tuple[int, int, bytes]]:
    """The options of a socket that stays on the interface; none if that is empty. InterfaceDown."""
    return [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _name(interface) + b"\0")] if interface else []


async def _connect(
    family: socket.AddressFamily, address: tuple[Any, ...], interface: str, source: str
) -> trio.SocketStream:
    with ExitStack() as undo:
        sock = undo.enter_context(trio.socket.socket(family, socket.SOCK_STREAM))
        _stay_on(sock, interface)
        if source:
            await sock.bind((source, 0))
        await sock.connect(address)
        undo.pop_all()
    return trio.SocketStream(sock)  # which sets TCP_NODELAY


async def _listen(family: socket.AddressFamily, address: tuple[Any, ...], interface: str) -> trio.SocketListener:
    with ExitStack() as undo:
        sock = undo.enter_context(trio.socket.socket(family, socket.SOCK_STREAM))
        _stay_on(sock, interface)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await sock.bind(address)
        sock.listen(_BACKLOG)
        undo.pop_all()
    return trio.SocketListener(sock)


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # ValueError: not even a name
        raise HubUnavailable(f"the name {host} is not known: {_reason(error)}") from error
    return [(family, address) for family, _, _, _, address in found]


def _stay_on(sock: trio.socket.SocketType, interface: str) -> None:
    for option in bound_to(interface):
        sock.setsockopt(*option)


def _name(interface: str) -> bytes:
    """The name as the kernel takes it. It would cut a long one short, and an empty one would lift the binding."""
    name = os.fsencode(interface)
    if not 1 <= len(name) <= _NAME_BYTES or b"\0" in name:
        raise InterfaceDown(f"no interface can have the name {interface!r}")
    return name


def _ipv4(interface: str, name: bytes) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("40s", name))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return None
            raise _unavailable("can't ask for an address", interface, error) from error
    return socket.inet_ntoa(answer[20:24])


def _ipv6(interface: str) -> str | None:
    for line in _INET6.read_text().splitlines() if _INET6.exists() else ():
        digits, _, _, scope, _, name = line.split()
        if name == interface and int(scope, 16) != _LINK_SCOPE:
            return str(IPv6Address(bytes.fromhex(digits)))
    return None


def _unavailable(what: str, interface: str, error: OSError) -> HubUnavailable:
    if interface and error.errno in _DOWN:
        return InterfaceDown(f"the interface {interface} is missing or down")
    return HubUnavailable(f"{what}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What went wrong, without the address, which trio puts into the text."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    said = error.strerror if isinstance(error, socket.gaierror) else str(error)
    return str(said).lower()
