"""Messages are valid from construction, and one spelling of a value is the only one."""

import base64
import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from qfagent.dske import strict_json, wire
from qfagent.dske.envelope import Auth, parse_auth
from qfagent.errors import Invalid

SECRET_ID = "685d6b4b-c7b2-8711-901c-257774930000"
SHARING = {
    "secret_id": SECRET_ID,
    "hubs": ["a" * 32, "b" * 32, "c" * 32],
    "k": 2,
    "m": 1,
    "o": base64.b64encode(bytes(16)).decode(),
    "share": base64.b64encode(bytes(64)).decode(),
}
DEPOSIT = SHARING | {"recoverer": "peer-b", "expires_in": 3600}
WRAPPED = SHARING | {"generator": "peer-a", "expires_at": 1, "block": "d" * 32, "offset": 16}
MESSAGES = {
    wire.Deposits: {"deposits": [DEPOSIT]},
    wire.Shares: {"shares": [WRAPPED]},
    wire.Fetch: {
        "secrets": [{"generator": "peer-a"}, {"secret_id": SECRET_ID}],
        "done": [{"generator": "peer-a", "secret_id": SECRET_ID}],
        "seen": [{"block": "d" * 32, "seen": 16}],
    },
    wire.Register: {"peer": "peer-a", "client_id": "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b", "block": "d" * 32},
    wire.Registered: {"hub_id": "d" * 32, "username": "peer-a"},
    wire.Results: {"results": [{"secret_id": SECRET_ID, "status": "stored"}]},
    wire.BlockState: {"user_seen": 32, "registered": True, "retired": False, "proofs_seen": 64},
    wire.Health: {"hub_id": "d" * 32, "version": "1"},
}


def verdict(kind, body):
    try:
        return wire.decode(kind, body)
    except Invalid as error:
        return error.kind


def strict_verdict(kind, body):
    """The slow way alone."""
    try:
        return msgspec.convert(strict_json.loads(body), kind, dec_hook=wire._from_text)
    except ValueError:
        return "malformed"


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_survives_the_wire(kind):
    body = json.dumps(MESSAGES[kind]).encode()
    message = wire.decode(kind, body)

    assert message == wire.decode(kind, wire.encode(message))
    assert MESSAGES[kind] == json.loads(wire.encode(message))


WRONG = {
    "k of 1": {"k": 1},
    "k of 17": {"k": 17},
    "k above the number of hubs": {"k": 4},
    "m of 0": {"m": 0, "share": base64.b64encode(bytes(32)).decode()},
    "m of 65": {"m": 65, "share": base64.b64encode(bytes(2112)).decode()},
    "m that does not fit the share": {"m": 2},
    "k as a float": {"k": 2.0},
    "k as true": {"k": True},
    "k as text": {"k": "2"},
    "k beyond any number": {"k": 10**400},
    "one hub": {"hubs": ["a" * 32]},
    "a hub twice": {"hubs": ["a" * 32, "a" * 32]},
    "17 hubs": {"hubs": [f"{i:032x}" for i in range(17)]},
    "a hub in upper case": {"hubs": ["A" * 32, "b" * 32]},
    "hubs as null": {"hubs": None},
    "o of 15 bytes": {"o": base64.b64encode(bytes(15)).decode()},
    "o with unused bits": {"o": "AAAAAAAAAAAAAAAAAAAAAB=="},
    "o not padded": {"o": "AAAAAAAAAAAAAAAAAAAAAA"},
    "o in the url alphabet": {"o": "____________________AA=="},
    "o with a newline": {"o": "AAAAAAAAAAAAAAAAAAAAAA==\n"},
    "a key id": {"secret_id": SECRET_ID[:-1] + "1"},
    "a secret id of version 4": {"secret_id": SECRET_ID[:14] + "4" + SECRET_ID[15:]},
    "a secret id with a newline": {"secret_id": SECRET_ID + "\n"},
    "a pool name": {"recoverer": "pool-00000000"},
    "a name with a newline": {"recoverer": "peer-b\n"},
    "expiry of 0": {"expires_in": 0},
    "expiry beyond a day": {"expires_in": 86_401},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_deposit_is_malformed_with(change):
    assert "malformed" == verdict(wire.Deposits, json.dumps({"deposits": [DEPOSIT | change]}).encode())


@pytest.mark.parametrize("name", DEPOSIT)
def test_a_deposit_is_malformed_without(name):
    deposit = {key: value for key, value in DEPOSIT.items() if key != name}

    assert "malformed" == verdict(wire.Deposits, json.dumps({"deposits": [deposit]}).encode())


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"1", b'"x"', b"\xff\xfe", b"{}", b"[" * 100_000, b'{"a":' * 50_000]
)
def test_what_is_no_message_is_malformed(kind, body):
    assert "malformed" == verdict(kind, body)


def test_unknown_members_are_ignored():
    body = json.dumps({"deposits": [DEPOSIT | {"x": [1.5, None]}], "note": "é"}).encode()

    assert wire.decode(wire.Deposits, body) == wire.decode(wire.Deposits, json.dumps({"deposits": [DEPOSIT]}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"hub_id":"%s","version":"1","version":"1"}' % (b"d" * 32),
        b'{"hub_id":"%s","version":"1","versio\\u006e":"2"}' % (b"d" * 32),
        b'{"hub_id":"%s","version":"1","x":1,"x":1}' % (b"d" * 32),
        b'{"hub_id":"%s","version":"1","x":NaN}' % (b"d" * 32),
        b'{"hub_id":"%s","version":"1"} {}' % (b"d" * 32),
    ],
)
def test_spelling_that_two_readers_could_read_in_two_ways_is_malformed(body):
    assert "malformed" == verdict(wire.Health, body)


@pytest.mark.parametrize("name", ["secrets", "done"])
def test_more_than_64_entries_or_the_same_twice_are_malformed(name):
    some = [{"generator": "peer-a", "secret_id": f"685d6b4b-c7b2-8711-901c-{i:08x}0000"} for i in range(65)]
    body = {"secrets": [], "done": []}

    assert "malformed" == verdict(wire.Fetch, json.dumps(body | {name: some}).encode())
    assert "malformed" == verdict(wire.Fetch, json.dumps(body | {name: some[:2] + some[:1]}).encode())
    assert "malformed" != verdict(wire.Fetch, json.dumps(body | {name: some[:64]}).encode())


def test_a_wanted_secret_names_something():
    assert "malformed" == verdict(wire.Fetch, b'{"secrets":[{}]}')


@given(st.sampled_from(list(MESSAGES)), st.binary(max_size=200))
def test_arbitrary_bytes_are_malformed(kind, body):
    assert "malformed" == verdict(kind, body)


TOKENS = st.sampled_from(
    [b'"', b",", b":", b"{", b"}", b" ", b"\\u0061", b"1", b"1.0", b"null", b"=", b"A", b'"k":2,', b"\n"]
)


@given(st.sampled_from(list(MESSAGES)), st.data())
def test_the_fast_way_and_the_slow_way_agree(kind, data):
    """Bodies near valid ones: bytes cut out, put in, repeated."""
    body = wire.encode(wire.decode(kind, json.dumps(MESSAGES[kind]).encode()))
    for _ in range(data.draw(st.integers(0, 2))):
        at, cut = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 3))
        body = body[:at] + data.draw(TOKENS) + body[at + cut :]

    assert strict_verdict(kind, body) == verdict(kind, body)


def test_an_error_says_where():
    with pytest.raises(Invalid, match=r"deposits\[0\]\.k"):
        wire.decode(wire.Deposits, json.dumps({"deposits": [DEPOSIT | {"k": "x"}]}).encode())


@given(st.binary(max_size=120))
def test_arbitrary_headers_are_refused(value):
    with pytest.raises(Invalid):
        parse_auth([value])


@given(
    st.integers(0, 999_999_999),
    st.integers(0, 999_999_999),
    st.integers(0, 999_999_999),
    st.binary(min_size=16, max_size=16),
)
def test_a_header_survives_the_wire(offset, length, seen, tag):
    auth = Auth("ab" * 16, offset, length, seen, tag)

    assert auth == parse_auth([str(auth).encode()])
