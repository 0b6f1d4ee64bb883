"""Encoding turns responses and requests into the bytes that go out: one piece, so one send.

* Every answer has a reason phrase and says its length, or that it comes in chunks, or ends with the connection.
* No Date and no Server: this agent vouches for no clock, and a version helps nobody but an attacker.
* No text with a line end gets into a head.
"""

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus

from qfagent.http.fields import BODILESS
from qfagent.http.message import Response, is_line

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def encode_answer(response: Response, *, keep_alive: bool, with_body: bool = True) -> bytes:
    """Head and body of an answer; without its body for HEAD."""
    start = _start(response.status, response.content_type, keep_alive)
    if response.headers:
        start += _lines(response.headers)
    if response.status in BODILESS:
        return start + b"\r\n"
    body = response.body
    return b"%bContent-Length: %d\r\n\r\n%b" % (start, len(body), body if with_body else b"")


def encode_stream_head(response: Response, *, chunked: bool) -> bytes:
    """Head of an answer that comes in pieces and ends with the connection, for version 1.0 without chunks."""
    coding = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"
    return _start(response.status, response.content_type, False) + _lines(response.headers) + coding


def encode_chunk(piece: bytes) -> bytes:
    """One chunk of at least a byte: an empty one would end the answer."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def encode_request(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes, *, host: str) -> bytes:
    """A request as it goes out; ValueError if one of the texts can't stand in a head."""
    start = _request_start(method, target, host)
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, _lines(headers), len(body), body)


@lru_cache(maxsize=256)
def _start(status: int, content_type: str, keep_alive: bool) -> bytes:
    fields = [] if status in BODILESS else [("Content-Type", content_type)]
    if not keep_alive:
        fields.append(("Connection", "close"))
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n".encode() + _lines(fields)


@lru_cache(maxsize=256)
def _request_start(method: str, target: str, host: str) -> bytes:
    if not (method.isalpha() and is_line(method + target + host) and " " not in target + host):
        raise ValueError("method, target and host are printable ASCII without blanks")
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode()


def _lines(fields: Sequence[tuple[str, str]]) -> bytes:
    text = "".join([f"{name}: {value}\r\n" for name, value in fields])
    if text.count("\r\n") != len(fields) or not is_line(text.replace("\r\n", "")):
        raise ValueError("a header is printable ASCII")
    return text.encode()
