"""The machine: its interface, groups, clock, source of chance, and how many files may be open."""

import fcntl
import grp
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from qfagent.config import Config
from qfagent.doctor.finding import Finding, fault, ok, skipped, warning
from qfagent.errors import InterfaceDown
from qfagent.health import WARNINGS, clock_is_synchronized
from qfagent.http.transport import interface_address

FILES_NEEDED: Final = {"client": 1024}
FILES_OF_A_SERVER: Final = 8192  # its connections, and pads that are open
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 1


def check_interface(name: str) -> Finding:
    """Whether the interface that all traffic with hubs is bound to is there, up, and has an address."""
    if not name:
        return ok("interface", "traffic with hubs is bound to none, as the configuration says")
    if name not in (known for _, known in socket.if_nameindex()):
        remedy = f"bring it up, for example with `wg-quick up {name}`, or name another `interface`"
        return fault("interface", f"there is no interface {name}", remedy)
    if not _is_up(name):
        return fault("interface", f"the interface {name} is down", f"`ip link set {name} up`")
    try:
        return ok("interface", f"{name} is up, with the address {interface_address(name)}")
    except InterfaceDown as error:
        return fault("interface", str(error), f"give it one: `ip address add ADDRESS dev {name}`")


def check_groups(config: Config) -> Iterator[Finding]:
    """Whether the groups that may use the control socket exist."""
    named = dict.fromkeys((config.control.group, config.control.admin_group))
    missing = [name for name in named if name not in {group.gr_name for group in grp.getgrall()}]
    for name in missing:
        yield warning(
            "groups",
            f"there is no group {name}: its members may do nothing",
            f"`groupadd --system {name}`, then reload the agent, or restart one that is not root",
        )
    if not missing:
        yield ok("groups", f"{' and '.join(named)} exist")


def check_clock(is_synchronized: Callable[[], bool] = clock_is_synchronized) -> Finding:
    """Whether the clock follows a reference: shares expire by it."""
    if is_synchronized():
        return ok("clock", "is synchronized")
    return warning("clock", "is not synchronized: shares may expire early or late", WARNINGS["clock-unsynced"])


def check_entropy(getrandom: Callable[[int, int], bytes] = os.getrandom) -> Finding:
    """Whether the kernel's generator has been seeded: keys and pads come out of it."""
    try:
        getrandom(1, os.GRND_NONBLOCK)
    except BlockingIOError:
        remedy = "wait for it; give a virtual machine a virtio-rng device"
        return fault("entropy", "the kernel's random generator has no seed yet: nothing starts before", remedy)
    return ok("entropy", "the kernel's random generator is seeded")


def check_open_files(role: str, *, pid: int | None = None) -> Finding:
    """How many files the agent may open; without one that runs, how many a process may."""
    try:
        most, needed = _most_files(pid), FILES_NEEDED.get(role, FILES_OF_A_SERVER)
    except OSError:  # of another process namespace
        return skipped("open-files", f"the limits of process {pid} can't be seen from here", "ask where the agent runs")
    who = "a process" if pid is None else "the agent"
    if most >= needed:
        return ok("open-files", f"{who} may open {most}")
    remedy = f"set LimitNOFILE={needed} with `systemctl edit qfagent`, or `ulimit -n {needed}` before it starts"
    return warning("open-files", f"{who} may open {most}, a {role} may need {needed}", remedy)


def _is_up(name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("40s", name.encode()))
    return bool(struct.unpack_from("H", answer, 16)[0] & _IFF_UP)


def _most_files(pid: int | None) -> int:
    if pid is not None:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        hard = next(line.split()[4] for line in lines if line.startswith("Max open files"))
        return 1 << 30 if hard == "unlimited" else int(hard)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 30 if most == resource.RLIM_INFINITY else most
