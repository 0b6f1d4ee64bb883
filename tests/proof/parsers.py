"""The parsers that meet bytes of strangers: what each may raise, what must hold of what it lets pass, and a corpus."""

import functools
import json
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import httptools

from qfagent import config
from qfagent.dske import envelope, ids, psrd, strict_json, wire
from qfagent.dske.secret import Secret
from qfagent.errors import BadConfig, BadHttp, BadRequest, HubUnavailable, Invalid, PsrdRejected
from qfagent.http import head
from qfagent.http.answer import receive_answer
from qfagent.http.encoding import encode_request
from qfagent.http.incoming import Incoming
from qfagent.http.routes import split_target
from qfagent.store import fence

CHANCE = Random(1)


class Parser(NamedTuple):
    """`parse(data)` raises one of `errors`, or returns; what it returns has passed its own checks."""

    parse: Callable
    errors: tuple
    corpus: list


def _psrd(data):
    block = psrd.decode(data)
    assert psrd.decode(psrd.encode(block)).id == block.id


def _wire(kind, data):
    message = wire.decode(kind, data)
    assert wire.decode(kind, wire.encode(message)) == message


def _auth(data):
    auth = envelope.parse_auth([data])
    assert str(auth).encode() == data


def _ids(data):
    text = data.decode()
    secret_id, index = ids.parse_key_id(text)
    assert ids.key_id(secret_id, index) == text


def _request(data):
    incoming = Incoming(httptools.HttpRequestParser)
    for at in range(0, len(data), 40):
        incoming.feed(data[at : at + 40])
    while (raw := incoming.head()) is not None:
        judged = head.judge(raw)
        incoming.take(judged.length)


class _Said:
    """A stream that says something, and ends."""

    def __init__(self, data):
        self._data = data

    async def receive_some(self, _=None):
        data, self._data = self._data[:40], self._data[40:]
        return data


def _answer(data):
    """Runs without an event loop: nothing here waits."""
    answering = receive_answer(_Said(data), Incoming(httptools.HttpResponseParser), most=4096)
    try:
        answering.send(None)
    except StopIteration as done:
        assert len(done.value.body) <= 4096


def _target(data):
    split_target(data.decode())


def _block():
    return psrd.Block(
        hub=psrd.HubAddress("a" * 32, "hub1.mesh", 27277),
        client_id="3aa06ce6-b00f-4a3c-aa2a-e129acf5951b",
        name="pool-1a2b3c4d",
        user=Secret(CHANCE.randbytes(1024)),
        server=Secret(CHANCE.randbytes(1024)),
    )


ID, BLOCK, SECRET = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b", "c" * 32, "685d6b4b-c7b2-8711-901c-257774930000"
_SHARING = {"secret_id": SECRET, "hubs": ["a" * 32, "b" * 32], "k": 2, "m": 1, "o": "A" * 22 + "=="}
_SHARE = "A" * 85 + "A=="[:3]
MESSAGES = {
    wire.Register: {"peer": "peer-a", "client_id": ID, "block": BLOCK},
    wire.Registered: {"hub_id": "a" * 32, "username": "peer-a"},
    wire.Deposits: {"deposits": [_SHARING | {"recoverer": "peer-b", "expires_in": 60, "share": _SHARE}]},
    wire.Results: {"results": [{"secret_id": SECRET, "status": "stored"}]},
    wire.Fetch: {
        "secrets": [{"generator": "peer-a"}, {"secret_id": SECRET}],
        "done": [{"generator": "peer-a", "secret_id": SECRET}],
        "seen": [{"block": BLOCK, "seen": 77}],
    },
    wire.Shares: {
        "shares": [_SHARING | {"generator": "peer-a", "expires_at": 9, "block": BLOCK, "offset": 16, "share": _SHARE}]
    },
    wire.BlockState: {"user_seen": 32, "registered": True, "retired": False},
    wire.Health: {"hub_id": "a" * 32, "version": "1"},
    wire.Problem: {"type": "https://dske.invalid/errors/bad-tag", "title": "bad tag", "status": 401, "detail": "no"},
}
AUTH = f"block={BLOCK}; offset=32; length=64; seen=16; tag={'d' * 32}"
REQUEST = encode_request("POST", "/dske/v1/secrets", [("DSKE-Auth", AUTH)], b"{}", host="hub1.mesh:27277")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CONFIG = b"""name = "peer-a"
role = "hub"
interface = "wg0"
[hub]
fqdn = "hub1.mesh"
share_ttl = "1h"
[hub.provisioner]
user_bytes = 131072
[client]
low_psrd = "20%"
hubs = []
"""


def _json(value):
    return json.dumps(value).encode()


def _messages():
    return {
        f"message {kind.__name__.lower()}": Parser(functools.partial(_wire, kind), (Invalid,), [_json(body)])
        for kind, body in MESSAGES.items()
    }


PARSERS = {
    "PSRD file": Parser(_psrd, (PsrdRejected,), [psrd.encode(_block())]),
    "strict JSON": Parser(strict_json.loads, (ValueError,), [_json(body) for body in MESSAGES.values()]),
    "DSKE-Auth": Parser(_auth, (Invalid,), [AUTH.encode()]),
    "key id": Parser(_ids, (Invalid, UnicodeDecodeError), [SECRET.encode()]),
    "configuration": Parser(lambda data: config.parse(data.decode()), (BadConfig, UnicodeDecodeError), [CONFIG]),
    "HTTP request": Parser(_request, (BadHttp,), [REQUEST]),
    "HTTP answer": Parser(_answer, (BadHttp, HubUnavailable), [ANSWER]),
    "request target": Parser(_target, (BadRequest, UnicodeDecodeError), [b"/v1/keys/x?peer=bob", b"/v1/keys?peer=%62"]),
    "fence": Parser(fence._decode, (), [b'{"code":"rollback","at":1,"evidence":"e","remedy":"r"}']),
    **_messages(),
}
