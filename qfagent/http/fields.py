"""Fields decide how a message is read: how long its body is, and whether the connection goes on behind it.

* Each of them occurs once (Connection may be repeated) or the message is refused.
* Transfer-Encoding and Upgrade are refused whatever they say.
"""

from qfagent.errors import BadHttp
from qfagent.http.message import Fields

BODILESS = frozenset((204, 304))
"""The final statuses whose answers have neither a body nor a length."""

_DECISIVE = frozenset((b"host", b"content-length", b"transfer-encoding", b"upgrade", b"connection", b"expect"))
_LENGTH_DIGITS = 15  # far beyond every limit, and short enough for int()


def decisive(fields: Fields) -> dict[bytes, bytes]:
    """The fields that decide something; BadHttp if they contradict each other or us."""
    said: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in _DECISIVE:
            if name in said and name != b"connection":
                raise BadHttp(f"the header {name.decode()} occurs once")
            said[name] = said[name] + b"," + value if name in said else value
    if b"transfer-encoding" in said or b"upgrade" in said:
        raise BadHttp("neither transfer-encoding nor upgrade is spoken here")
    return said


def body_length(said: dict[bytes, bytes]) -> int | None:
    """What Content-Length says, in bytes; None if it is missing."""
    value = said.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise BadHttp(f"a content-length has 1 to {_LENGTH_DIGITS} digits")
    return int(value)


def says_close(said: dict[bytes, bytes]) -> bool:
    """Whether one of the options of Connection is `close`."""
    value = said.get(b"connection")
    return value is not None and b"close" in [option.strip() for option in value.lower().split(b",")]
