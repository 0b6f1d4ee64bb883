"""A PSRD file is decoded whole, or refused with the member that is wrong."""

import base64
import hashlib
import json

import pytest
from hypothesis import given, strategies as st

from qfagent.dske import psrd
from qfagent.errors import PsrdIncomplete, PsrdRejected
from tests import vectors

ALL = vectors.cases("psrd_file")
KINDS = {PsrdIncomplete: "incomplete", PsrdRejected: "malformed"}


def file_of(case):
    text = case["file"]
    if "psrd" in case:
        data = hashlib.shake_256(case["psrd"]["seed"].encode()).digest(case["psrd"]["bytes"])
        text = text.replace("@PSRD@", base64.b64encode(data).decode())
    return text.encode(case.get("encoding", "utf-8"))[: case.get("cut")]


def outcome(data):
    try:
        block = psrd.decode(data)
    except PsrdRejected as error:
        return KINDS[type(error)], str(error)
    return "ok", block


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_vector(case):
    kind, found = outcome(file_of(case))

    assert case["expect"] == kind
    if kind == "ok":
        assert expected_of(case) == described(found)
    elif "field" in case:
        assert found.startswith(f"{case['field']}: ")


def expected_of(case):
    skipped = ("name", "file", "psrd", "expect", "encoding")
    return {key: value for key, value in case.items() if key not in skipped} | {"version": 2}


def described(block):
    user, server = block.user.reveal(), block.server.reveal()
    return {
        "version": 2,
        "security_hub_fqdn": block.hub.host,
        "security_hub_id": block.hub.id,
        "security_hub_port": block.hub.port,
        "dske_client_id": block.client_id,
        "dske_client_username": block.name,
        "user_bytes": len(user),
        "server_bytes": len(server),
        "block_id": block.id,
        "r_user": user[16:32].hex(),
        "r_server": server[:16].hex(),
        "user_sha256": hashlib.sha256(user).hexdigest(),
        "server_sha256": hashlib.sha256(server).hexdigest(),
    }


def test_what_was_encoded_decodes_to_the_same_block():
    block = psrd.decode(file_of(ALL[2]))

    assert block == psrd.decode(psrd.encode(block))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_and_nothing_else(data):
    assert outcome(data)[0] in ("incomplete", "malformed")


@given(st.integers(0, len(file_of(ALL[0])) - 1))
def test_every_cut_of_a_good_file_is_incomplete(cut):
    assert outcome(file_of(ALL[0])[:cut])[0] == "incomplete"


@given(st.integers(0, 300), st.binary(min_size=1, max_size=3))
def test_a_damaged_head_never_passes_for_another_file_by_accident(at, noise):
    good = file_of(ALL[0])
    kind, found = outcome(good[:at] + noise + good[at + len(noise) :])

    assert kind in ("incomplete", "malformed") or described(found)["user_sha256"]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"version":' + "9" * 5000 + "}"])
def test_json_bombs_are_refused(text):
    assert outcome(text.encode())[0] in ("incomplete", "malformed")


def test_an_error_shows_no_piece_of_the_pad():
    members = json.loads(file_of(ALL[0]))
    members["psrd"] = members["psrd"][:-1]
    _, text = outcome(json.dumps(members).encode())

    assert not any(members["psrd"][i : i + 8] in text for i in range(len(members["psrd"]) - 8))
