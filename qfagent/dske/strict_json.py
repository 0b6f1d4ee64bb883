"""JSON as the protocol allows it: UTF-8, every member once, numbers finite.

* Everything raised is a ValueError; `Incomplete` is one that more bytes could cure, `Repeated` names the member.
* Base64 is the standard alphabet, padded, with its unused bits zero: one spelling for one value.
"""

import binascii
import json
from typing import Any, NoReturn

_LITERALS = ("true", "false", "null")


class Incomplete(ValueError):
    """The text ends where JSON can't end; more bytes could still make it JSON."""


class Repeated(ValueError):
    """An object names a member twice."""

    def __init__(self, member: str) -> None:
        super().__init__("expected every member once")
        self.member = member


def loads(data: bytes) -> Any:
    """The value of a JSON text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        kind = Incomplete if error.reason == "unexpected end of data" else ValueError
        raise kind("expected UTF-8") from None
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        kind = Incomplete if _is_cut(text, error) else ValueError
        raise kind(f"{error.msg.lower().removesuffix(' at')} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def base64(text: str) -> bytes:
    """The bytes of a canonical base64 text."""
    data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    tail = len(data) // 3 * 3
    if text[tail // 3 * 4 :].encode() != binascii.b2a_base64(data[tail:], newline=False):
        raise ValueError("expected canonical base64")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise Repeated(next(name for name in names if names.count(name) > 1))
    return members


def _finite(_: str) -> NoReturn:
    raise ValueError("expected finite numbers")


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    rest = text[error.pos :].rstrip()
    if not rest or error.msg.startswith("Unterminated string"):
        return True
    if error.msg.startswith("Invalid \\"):  # an escape, cut in its midst
        return len(rest) < len("\\uXXXX") and '"' not in rest
    return rest == "-" or any(word.startswith(rest) for word in _LITERALS)


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_finite)
