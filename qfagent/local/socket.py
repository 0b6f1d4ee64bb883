"""The control socket knows who is calling: the kernel says so when the connection is made.

* Only root, the agent's own user and members of two groups are known; everybody else may do nothing.
* A caller from another user namespace shows as uid 65534, whoever it is, and is refused.
* A socket that is left over is removed only if nobody answers on it.
"""

import errno
import grp
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

import msgspec
import trio

from qfagent.errors import WrongState
from qfagent.http.routes import Verb

OVERFLOW_UID: Final = 65534
MODE: Final = 0o660
_SO_PEERGROUPS: Final = 59
_MOST_GROUPS: Final = 256  # what Python's getsockopt can take; a caller with more is told so by an OSError
_BACKLOG: Final = 256
EVERYTHING: Final[frozenset[Verb]] = frozenset(("observe", "keys", "operate", "admin"))
MEMBERS: Final[frozenset[Verb]] = frozenset(("observe", "keys"))


class Caller(msgspec.Struct, frozen=True):
    """Who has connected, as the kernel saw it then."""

    pid: int
    uid: int
    groups: frozenset[int]


class Access(msgspec.Struct, frozen=True):
    """Which groups may do what; None where a group does not exist."""

    group: int | None
    admin_group: int | None

    def verbs(self, caller: Caller) -> frozenset[Verb]:
        """What the caller may do."""
        if caller.uid in (0, os.geteuid()):
            return EVERYTHING
        if caller.uid == OVERFLOW_UID:
            return frozenset()
        if self.admin_group in caller.groups:
            return EVERYTHING
        return MEMBERS if self.group in caller.groups else frozenset()


def identify(stream: trio.abc.Stream) -> Caller:
    """Who has connected; OSError if that is in too many groups to be told."""
    assert isinstance(stream, trio.SocketStream), "the control socket is a socket"
    pid, uid, gid = struct.unpack("3I", stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Caller(pid, uid, frozenset((gid, *_peer_groups(stream))))


def find_group(name: str) -> int | None:
    """The number of a group, if it exists."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def give(path: str, group: int) -> None:
    """Lets the members of a group connect to the socket."""
    if Path(path).stat().st_gid != group:  # as in a file's case, see `disk.py`
        os.chown(path, -1, group)


async def listen(path: str, *, group: int | None) -> trio.SocketListener:
    """Listens on a Unix socket; WrongState if another agent does, or the folder does not let it."""
    try:
        return await _listen(path, group)
    except OSError as error:
        raise WrongState(f"can't listen on {path}: {(error.strerror or str(error)).lower()}") from error


async def _listen(path: str, group: int | None) -> trio.SocketListener:
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await _bind(sock, path)
        if group is not None:
            give(path, group)
        Path(path).chmod(MODE)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


async def _bind(sock: trio.socket.SocketType, path: str) -> None:
    previous = os.umask(0o177)  # nobody may connect before the mode is set
    try:
        await sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        await _remove_if_dead(path)
        await sock.bind(path)
    finally:
        os.umask(previous)


async def _remove_if_dead(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise WrongState(f"what is at {path} is no socket", remedy="name another path in control.socket")
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            await probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise WrongState(f"another agent answers on {path}", remedy="stop it first")


def _peer_groups(stream: trio.SocketStream) -> tuple[int, ...]:
    data = stream.socket.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS * 4)
    return struct.unpack(f"{len(data) // 4}I", data)
