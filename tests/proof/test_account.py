"""The judge of power cuts sees what it must see, and nothing else."""

from base64 import b64encode
from random import Random

import pytest

from qfagent.testing.witness import Broken
from tests.proof import cuts, guest
from tests.proof.account import Account
from tests.system.test_tap import message

KEY, OTHER = "80a2592c-29a1-8334-9fb4-7b249b9e0000", "80a2592c-29a1-8334-9fb4-7b249b9e0001"
MADE = ("made", "alice", "bob", KEY, "digest")
GONE = ("refused", "bob", KEY, "key-gone")


def after_a_cut(*before):
    """The books when power is back."""
    account = Account()
    for line in before:
        account.note(*line)
    account.orders(Random(0))
    return account


def broken_by(account, *lines):
    with pytest.raises(Broken) as broken:
        for line in lines:
            account.note(*line)
    return broken.value.promise


def test_what_is_kept_breaks_nothing():
    account = after_a_cut(MADE, ("handed", "hub1", "b"), ("ingested", "hub1", "bob", "b"))
    for line in (
        ("up",),
        ("known", "hub1", "b", True),
        ("ledger", "bob", [["b", "ready", ""]]),
        ("asked", KEY),
        ("refused", "bob", KEY, "too-few-hubs"),
        ("asked", KEY),
        ("out", KEY, "digest"),
        ("checked",),
    ):
        account.note(*line)

    assert 1 == account.counts["keys owed that came out"]


def test_what_is_owed_is_asked_for_and_what_is_out_too():
    out, asked = ("made", "bob", "alice", OTHER, "digest"), ("asked", OTHER)
    account = after_a_cut(MADE, out, asked, ("out", OTHER, "digest"), ("handed", "hub1", "b"))
    account.note("ingested", "hub1", "bob", "b")

    assert {
        "broken": "",
        "handed": [("hub1", "b")],
        "ingested": [["hub1", "bob"]],
        "owed": [("alice", "bob", KEY)],
        "out": [("bob", "alice", OTHER)],
    } == account.orders(Random(0))


def test_a_key_that_is_gone_before_it_was_asked_for_is_lost():
    assert "key-lost" == broken_by(after_a_cut(MADE), ("asked", KEY), GONE)


def test_a_key_that_does_not_come_out_is_lost():
    assert "key-lost" == broken_by(
        after_a_cut(MADE), ("asked", KEY), ("refused", "bob", KEY, "not-found"), ("checked",)
    )


def test_a_key_that_was_asked_for_without_an_answer_may_be_gone():
    account = after_a_cut(MADE, ("asked", KEY))
    for line in (("asked", KEY), GONE, ("checked",)):
        account.note(*line)

    assert 1 == account.counts["refused: key-gone"]


def test_a_key_stays_owed_through_a_start_that_was_cut():
    account = after_a_cut(MADE)
    account.note("up")

    assert [("alice", "bob", KEY)] == account.orders(Random(0))["owed"]


def test_a_key_that_comes_twice_is_noticed():
    account = after_a_cut(MADE, ("asked", KEY), ("out", KEY, "digest"))

    assert "key-released-twice" == broken_by(account, ("asked", KEY), ("out", KEY, "digest"))


def test_another_key_is_noticed():
    assert "wrong-key" == broken_by(after_a_cut(MADE), ("asked", KEY), ("out", KEY, "another"))


def test_a_block_that_its_hub_has_forgotten_is_noticed():
    assert "handover-lost" == broken_by(after_a_cut(("handed", "hub1", "b")), ("known", "hub1", "b", False))


def test_a_block_that_its_client_has_forgotten_is_noticed():
    account = after_a_cut(("ingested", "hub1", "bob", "b"), ("ingested", "hub1", "alice", "a"))

    assert "ingest-lost" == broken_by(account, ("ledger", "bob", [["a", "ready", ""]]))


def test_a_block_that_is_stopped_is_noticed():
    account = after_a_cut(("ingested", "hub1", "bob", "b"))

    assert "stopped-for-nothing" == broken_by(account, ("ledger", "bob", [["b", "stopped", "rolled-back"]]))


def test_a_span_with_another_content_after_a_cut_is_noticed():
    def use(tag, body):
        return ("message", "user", b64encode(message(32, 96, tag)).decode(), b64encode(body).decode(), True)

    account = after_a_cut(use(b"0", b"one"), use(b"0", b"one"))

    assert "span-used-twice" == broken_by(account, use(b"1", b"two"))


def test_a_machine_that_fails_is_a_finding():
    assert "surprise" == broken_by(after_a_cut(), ("failed", "a traceback"))


def test_a_machine_that_lacks_an_emulator_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(guest, "FROM", tmp_path)

    assert ["skipped: "] == [what[:9] for what in cuts.play(0)]
