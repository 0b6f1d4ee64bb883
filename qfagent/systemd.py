"""What systemd wants to hear, and what it hands over: a datagram, and open sockets from number 3 on."""

import os
import socket
from typing import Final

_FIRST_FD: Final = 3


def notify(*lines: str) -> None:
    """Tells systemd `READY=1`, `STATUS=...`, `WATCHDOG=1` and the like; does nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(lines).encode(), address)


def listening_sockets() -> list[socket.socket]:
    """The sockets that systemd has opened for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=number) for number in range(_FIRST_FD, _FIRST_FD + count)]


def watchdog_seconds() -> float | None:
    """How often systemd wants a sign of life, in seconds; None if it does not."""
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1e6 if microseconds else None
