"""A head is what a request says before its body, judged: what gets through here means one thing only.

* The request line is three words with one blank between each; the version is 1.1 or 1.0.
* There is exactly one Host, and the fields that decide about framing are beyond doubt.
* The target is printable ASCII in origin form.
"""

import msgspec

from qfagent.errors import BadHttp
from qfagent.http.fields import body_length, decisive, says_close
from qfagent.http.incoming import RawHead
from qfagent.http.message import Fields, is_line

_VERSIONS = {b"HTTP/1.1": True, b"HTTP/1.0": False}


class Head(msgspec.Struct, frozen=True):
    """A request without its body, which has `length` bytes; `modern` is version 1.1."""

    method: str
    target: str
    headers: Fields
    length: int
    modern: bool
    keep_alive: bool
    expects_continue: bool


def judge(raw: RawHead) -> Head:
    """The head that `raw` means; BadHttp with the status to answer if it breaks a rule."""
    method, target, modern = _request_line(raw.line)
    said = decisive(raw.fields)
    if b"host" not in said:
        raise BadHttp("a request has one Host header")
    length = body_length(said) or 0
    keep_alive = modern and not says_close(said)
    return Head(method, target, raw.fields, length, modern, keep_alive, modern and _expects_continue(said))


def _request_line(line: bytes) -> tuple[str, str, bool]:
    words = line.split(b" ")
    if len(words) != 3:
        raise BadHttp("a request line has a method, a target and a version, one blank between each")
    modern = _VERSIONS.get(words[2])
    if modern is None:
        raise BadHttp("the version is HTTP/1.1 or HTTP/1.0", answer_status=505)
    return words[0].decode("ascii"), _target(words[1]), modern


def _target(word: bytes) -> str:
    target = word.decode("latin-1")
    if not (target.startswith("/") and is_line(target)):
        raise BadHttp("a target starts with a slash and is printable ASCII")
    return target


def _expects_continue(said: dict[bytes, bytes]) -> bool:
    value = said.get(b"expect")
    if value is not None and value.lower() != b"100-continue":
        raise BadHttp("the only expectation is 100-continue", answer_status=417)
    return value is not None
