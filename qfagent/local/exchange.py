"""An exchange is one request to the agent and its answer: blocking, over the Unix socket, from the standard library.

* One connection for each exchange: nothing is shared, so threads and forks need no care.
* A file goes out when the agent has asked for it and not before: whoever may not ingest has sent no pad.
* What the socket can't do is an error with its reason; what the agent refuses is the error that it names.
* Imports nothing that is dear: every command comes this way.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final, Self

from qfagent.errors import (
    REFUSALS,
    AgentError,
    AgentNotRunning,
    BadRequest,
    NotPermitted,
    PsrdIncomplete,
    Refusal,
    TimedOut,
)

PIECE: Final = 65_536  # bytes that are in hand at a time
_LINE: Final = 8_192  # bytes of a line of the head
_ANSWERS: Final = (200, 503)  # the latter without a problem: not ready, and why
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Exchange:
    """One connection to the agent, for one request; to be used in a `with` statement.

    `timeout` is in seconds: how long the agent may be silent. AgentNotRunning, NotPermitted, TimedOut, AgentError.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._reader = self._socket.makefile("rb")
        self._fields: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            with _faults(self._path):
                self._connect()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ask(self, method: str, target: str, content: Any = None) -> None:
        """Sends a request, with `content` as JSON; returns when the answer begins, raises what the agent refuses."""
        body = b"" if content is None else json.dumps(content).encode()
        self._send(_head(method, target, len(body)) + body)
        self._receive_answer()

    def offer(self, method: str, target: str, file: BinaryIO, size: int) -> None:
        """Sends a request with `size` bytes of a file, if the agent wants them; else as `ask`."""
        self._send(_head(method, target, size, "Expect: 100-continue\r\n"))
        status = self._receive_head()
        if status == 100:
            self._send_file(file, size)
            self._receive_answer()
        else:
            self._check_answer(status)

    def content(self) -> Any:
        """The answer, which is JSON."""
        try:
            return json.loads(self.body())
        except ValueError:
            raise self._no_agent() from None

    def body(self) -> bytes:
        """The whole answer."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The answer as it comes; AgentError if it is cut off."""
        if self._fields.get("transfer-encoding") == "chunked":
            return self._chunks()
        return self._run(int(self._fields.get("content-length", "0")))

    def lines(self) -> Iterator[bytes]:
        """The answer line by line, for as long as it goes on: from here on the agent may be silent."""
        self._socket.settimeout(None)
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole

    # --- sending

    def _connect(self) -> None:
        """Waits for a place in the queue of an agent that is busy: only a blocking connect does."""
        seconds, rest = divmod(self._timeout, 1)
        limit = struct.pack("ll", int(seconds), int(rest * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket.connect(self._path)
        self._socket.settimeout(self._timeout)

    def _send(self, data: bytes) -> None:
        with _faults(self._path), suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)  # whoever refuses a connection closes it, but has said why

    def _send_file(self, file: BinaryIO, size: int) -> None:
        while size:
            piece = file.read(min(PIECE, size))
            if not piece:
                raise PsrdIncomplete("the file became shorter while it was read")
            self._send(piece)
            size -= len(piece)

    # --- receiving

    def _receive_answer(self) -> None:
        while (status := self._receive_head()) < 200:
            pass
        self._check_answer(status)

    def _receive_head(self) -> int:
        """The status; the fields are kept."""
        words = self._line().split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise self._no_agent()
        self._fields = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            self._fields[name.lower()] = value.strip()
        return int(words[1])

    def _check_answer(self, status: int) -> None:
        if self._fields.get("content-type") == "application/problem+json":
            raise _refusal(self.content())
        if status not in _ANSWERS:
            raise self._no_agent()

    def _line(self) -> bytes:
        with _faults(self._path):
            line = self._reader.readline(_LINE)
        if not line:
            raise _cut_off()
        if not line.endswith(b"\r\n"):
            raise self._no_agent()
        return line[:-2]

    def _run(self, size: int) -> Iterator[bytes]:
        while size:
            with _faults(self._path):
                piece = self._reader.read1(min(PIECE, size))
            if not piece:
                raise _cut_off()
            size -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line(), 16):
            yield from self._run(size)
            self._line()

    def _no_agent(self) -> AgentError:
        return AgentError(f"what answers on {self._path} is no agent", remedy="name the agent's socket with --socket")

    def _close(self) -> None:
        self._reader.close()
        self._socket.close()


def quote(text: str) -> str:
    """The text as one segment of a path, or one value of a query; BadRequest if there is none."""
    if not text:
        raise BadRequest("expected a value, found an empty one")
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in os.fsencode(text))


def _head(method: str, target: str, size: int, more: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: qfagent\r\nContent-Length: {size}\r\n{more}\r\n".encode("ascii")


def _cut_off() -> AgentError:
    return AgentError("the agent ended the connection before its answer was complete", remedy="see its log")


@contextmanager
def _faults(path: str) -> Iterator[None]:
    """What a Unix socket can meet, in our words."""
    try:
        yield
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        remedy = "start the agent, or name its socket with --socket"
        raise AgentNotRunning(f"nobody listens on {path}", remedy=remedy) from None
    except PermissionError:
        remedy = "ask as root, or as a member of its group"
        raise NotPermitted(f"this user may not connect to {path}", remedy=remedy) from None
    except (TimeoutError, BlockingIOError):
        raise TimedOut(f"the agent on {path} does not answer", remedy="see its log") from None
    except ConnectionResetError:
        raise _cut_off() from None
    except OSError as error:
        raise BadRequest(f"{path}: {str(error.strerror or error).lower()}") from None


def _refusal(problem: dict[str, Any]) -> AgentError:
    """The error that a problem's `type` names; one without a class here is an AgentError of that slug."""
    slug, detail = str(problem.get("type", "")).rpartition("/")[2], str(problem.get("detail", ""))
    kind = _kinds().get(slug)
    if kind is not None:
        return kind(detail)
    if slug in REFUSALS:
        return Refusal(slug, detail)
    error = AgentError(detail)
    error.slug = slug or error.slug  # type: ignore[misc]  # a newer agent may know more words than this client
    return error


def _kinds() -> dict[str, type[AgentError]]:
    """The errors that are made of their text alone, by slug."""
    kinds: dict[str, type[AgentError]] = {}
    for kind in _family(AgentError):
        if kind.__init__ is AgentError.__init__:
            kinds.setdefault(kind.slug, kind)
    return kinds


def _family(kind: type[AgentError]) -> Iterator[type[AgentError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)
