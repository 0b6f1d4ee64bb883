"""An answer is what a server said to a request of ours: complete, bounded and unambiguous, or none at all.

* Its length is said by one Content-Length; chunks, upgrades and answers that end with the connection are refused.
* A few interim answers (1xx) may come before it; their number is bounded like everything else.
* A body may hold shares, so no repr shows one.
"""

import msgspec
import trio

from qfagent.errors import BadHttp, HubUnavailable
from qfagent.http.fields import BODILESS, body_length, decisive, says_close
from qfagent.http.incoming import RECEIVE_BYTES, Incoming, RawHead, receive_body
from qfagent.http.message import Fields

_INTERIM = 4
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")

_CUT_OFF = "the connection was closed before the answer was complete"


class Answer(msgspec.Struct, frozen=True):
    """The final answer to one request; header names are lower case."""

    status: int
    headers: Fields
    body: bytes
    keep_alive: bool

    def values(self, name: bytes) -> list[bytes]:
        """All values of the header `name`, which is given in lower case."""
        return [value for key, value in self.headers if key == name]

    def __repr__(self) -> str:
        return f"<Answer {self.status} {len(self.body)} bytes>"


async def receive_answer(
    stream: trio.abc.ReceiveStream, incoming: Incoming, *, most: int, to_head: bool = False
) -> Answer:
    """The next final answer, with a body of at most `most` bytes (an answer to HEAD has none).

    BadHttp if it breaks a rule, HubUnavailable if the stream ends before the answer does.
    """
    for _ in range(1 + _INTERIM):
        raw = await _receive_head(stream, incoming)
        status, modern = _status_line(raw.line)
        if status >= 200:
            said = decisive(raw.fields)
            length = 0 if to_head else _length(status, said, most)
            body = await receive_body(stream, incoming, length)
            if body is None:
                raise HubUnavailable(_CUT_OFF)
            return Answer(status, raw.fields, body, modern and not says_close(said))
    raise BadHttp(f"more than {_INTERIM} interim answers")


async def _receive_head(stream: trio.abc.ReceiveStream, incoming: Incoming) -> RawHead:
    while (raw := incoming.head()) is None:
        data = await stream.receive_some(RECEIVE_BYTES)
        if not data:
            raise HubUnavailable(_CUT_OFF)
        incoming.feed(data)
    return raw


def _status_line(line: bytes) -> tuple[int, bool]:
    """The status, and whether the version is 1.1."""
    words = line.split(b" ", 2)
    if len(words) < 2 or words[0] not in _VERSIONS:
        raise BadHttp("a status line starts with HTTP/1.1 or HTTP/1.0")
    if len(words[1]) != 3 or not words[1].isdigit() or not b"100" <= words[1] < b"600":
        raise BadHttp("a status is 100 to 599")
    return int(words[1]), words[0] == _VERSIONS[0]


def _length(status: int, said: dict[bytes, bytes], most: int) -> int:
    length = 0 if status in BODILESS else body_length(said)
    if length is None:
        raise BadHttp("an answer has a content-length")
    if length > most:
        raise BadHttp(f"an answer has at most {most} bytes here")
    return length
