"""A witness that never objects is no witness: each promise, broken in front of it."""

import msgspec
import pytest

from qfagent.dske import wire
from qfagent.testing.audit import check_pads
from qfagent.testing.witness import Broken, Release, Which
from tests.power.places import STATE
from tests.power.plays import play, prologue
from tests.power.stage import Stage

RELEASE = Release("peer-a", "peer-b", "id")


@pytest.fixture
def stage():
    """Both clients are registered; peer-a has deposited one secret, and its answer is on the way."""
    with Stage(2) as made:
        prologue(made)
        made.play("make", who=0, count=0)
        made.play("deposit", who=0, pick=0, width=0, block=0, wait=0)
        made.play("deliver", pick=0, width=0, again=1, wait=0)
        yield made


def broken(call, *args, **kwargs):
    with pytest.raises(Broken) as caught:
        call(*args, **kwargs)
    return caught.value.promise


def test_the_same_request_may_leave_again(stage):
    (flight,) = stage.requests

    stage.witness.request("peer-a", flight.sent, now=stage.now)


def test_a_span_under_another_content_is_noticed(stage):
    (flight,) = stage.requests
    other = msgspec.structs.replace(flight.sent, body=flight.sent.body + b" ")

    assert "span-used-twice" == broken(stage.witness.request, "peer-a", other, now=stage.now)


def test_a_tag_that_was_not_made_with_the_bytes_of_its_span_is_noticed(stage):
    (flight,) = stage.requests
    beyond = msgspec.structs.replace(flight.sent.auth, offset=flight.sent.auth.offset + 256)
    other = msgspec.structs.replace(flight.sent, auth=beyond)

    assert "wrong-bytes" == broken(stage.witness.request, "peer-a", other, now=stage.now)


def test_a_second_answer_to_one_request_is_noticed(stage):
    (back,) = stage.answers
    other = msgspec.structs.replace(back.answer, auth=back.answer.auth.replace("offset=", "offset=1"))

    assert "answered-twice" == broken(stage.witness.answer, "peer-a", back.flight.sent, other)


def test_a_share_that_opens_to_something_else_is_noticed(stage):
    (which,) = stage.witness.kept
    stage.witness._sent[which] = stage.witness._sent[which]._replace(share=bytes(64))

    with pytest.raises(Broken, match="share-changed"):
        stage.play("converse", who=1, what=2, block=0)


def test_a_key_that_leaves_twice_is_noticed(stage):
    stage.witness.release(RELEASE, [0], now=stage.now)
    stage.witness.release(RELEASE, [1], now=stage.now)

    assert "key-released-twice" == broken(stage.witness.release, RELEASE, [1], now=stage.now)


def test_what_the_recoverer_calls_done_need_not_be_kept(stage):
    (which,) = stage.witness.kept
    assert which == Which("peer-b", "peer-a", which.secret_id)
    stage.clients[1].link.done["peer-a", which.secret_id] = None
    stage.play("fetch", who=1, how=2, block=0, wait=0)

    assert {} == stage.witness.kept
    assert wire.FETCH == stage.requests[-1].sent.target


@pytest.mark.parametrize(
    "at,value,promise",
    [(20, 0, "pad-damaged"), (32, 1, "not-erased"), (500, 0, "pad-damaged"), (2047, 0, "pad-damaged")],
    ids=["r", "a spent byte", "an unspent byte", "a byte of a proof"],
)
def test_one_wrong_byte_of_a_pad_file_is_noticed(stage, at, value, promise):
    client = stage.clients[0]
    client.erase()
    (block,) = [block for block in stage.witness.blocks.values() if block.id in client.receipts]
    data = bytearray(client.files(f"{STATE}/pads")[block.id])
    check_pads(block, bytes(data), client.store, erased=True)
    data[at] = value

    assert promise == broken(check_pads, block, bytes(data), client.store, erased=True)


def test_no_byte_of_a_pad_is_ever_in_a_database():
    for seed in range(6):
        play(seed, end=expect_no_pad_in_a_database)


def expect_no_pad_in_a_database(stage):
    for machine in stage.machines:
        databases = [data for path, data in machine.disk.files().items() if "/store.db" in path]
        for block in stage.witness.blocks.values():
            pads = block.user.reveal()[32:] + block.server.reveal()
            pieces = [pads[at : at + 16] for at in range(0, len(pads) - 16, 16)]
            assert not any(piece in data for data in databases for piece in pieces)
