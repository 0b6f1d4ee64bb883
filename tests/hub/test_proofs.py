"""A proof for a further pool file: the last 64 bytes of another block of that peer, once each, and nothing else."""

import msgspec
import pytest

from qfagent.dske import spans, wire
from tests.hub.parties import House, deposit_of

END = 8192  # of a user pad


@pytest.fixture
def house():
    with House() as made:
        yield made


@pytest.fixture
def alice(house):
    return house.voice("alice")


def register(voice, name, voucher, **where):
    """A register message that carries a proof of the voucher, from any place in its pad."""
    body = {"peer": name, "client_id": voice.block.client_id, "block": voice.block.id}
    message = voice.message(wire.REGISTER, body)
    proof = voucher.sign(message.target, message.body, **{"offset": END - 64} | where)
    return msgspec.structs.replace(message, proof=[str(proof).encode()])


def said(voice, message):
    heard = voice.send(message)
    return heard.slug, heard.authenticated


@pytest.mark.parametrize("offset", [END - 64, END - 50, END - 32])
def test_32_of_the_last_64_bytes_prove(house, alice, offset):
    two = house.voice()

    assert ("ok", True) == said(two, register(two, "alice", alice, offset=offset))
    assert ["ready", "ready"] == [house.state(alice.block), house.state(two.block)]


@pytest.mark.parametrize("where", [{"offset": END - 65}, {"offset": END - 96}, {"offset": 1000}, {"length": 64}])
def test_no_other_span_proves_and_none_of_it_is_claimed(house, alice, where):
    two = house.voice()
    before = list(house.books.ledger._marks(alice.block.id).accepted)

    assert ("proof-required", True) == said(two, register(two, "alice", alice, **where))
    assert before == list(house.books.ledger._marks(alice.block.id).accepted)
    assert "new" == house.state(two.block)


def test_a_proof_is_good_for_one_registration(house, alice):
    two, three = house.voice(), house.voice()
    slugs = [said(voice, register(voice, "alice", alice))[0] for voice in (two, three)]

    assert ["ok", "proof-required"] == slugs


def test_a_proof_that_binds_nothing_is_not_claimed(house, alice):
    two = house.voice()
    assert ("ok", True) == said(two, register(two, "carol", alice))
    three = house.voice()

    assert ("ok", True) == said(three, register(three, "alice", alice))


def test_another_peers_block_proves_nothing(house, alice):
    mallory, two = house.voice("mallory"), house.voice()

    assert ("proof-required", True) == said(two, register(two, "alice", mallory))
    assert ("proof-required", True) == said(two, register(two, "alice", house.voice()))


def test_a_proof_that_has_seen_more_than_was_spent_retires_its_block_and_proves_nothing(house, alice):
    """This hub was rolled back: it would wrap under bytes that it has used before."""
    bob, two, three = house.voice("bob"), house.voice(), house.voice()
    bob.deposit(deposit_of("alice"))
    seen = house.books.ledger.spent(alice.block.id) + 1

    assert ("name-taken", True) == said(two, register(two, "alice", alice, seen=seen))
    assert ("retired", []) == (house.state(alice.block), house.shares())
    assert ("block.retired", {"block": alice.block.id, "code": "rolled-back"}) == house.events[-1]
    assert ("name-taken", True) == said(three, register(three, "alice", alice, offset=END - 32))


def test_what_a_proof_has_seen_is_believed_only_under_a_right_tag(house, alice):
    two = house.voice()
    message = register(two, "alice", alice, seen=9999)
    [proof] = message.proof
    forged = proof[:-1] + (b"0" if proof[-1:] != b"0" else b"1")

    assert ("proof-required", True) == said(two, msgspec.structs.replace(message, proof=[forged]))
    assert "ready" == house.state(alice.block)


def test_the_block_that_registers_is_no_proof_for_itself_whatever_it_has_seen(house, alice):
    two = house.voice()

    assert ("proof-required", True) == said(two, register(two, "alice", two, seen=9999))
    assert ["ready", "new"] == [house.state(alice.block), house.state(two.block)]


@pytest.mark.parametrize("change", [lambda p: p * 2, lambda p: [p[0] + b" "], lambda p: [b""], lambda p: []])
def test_a_proof_that_is_not_one_canonical_header_is_none(house, alice, change):
    two = house.voice()
    message = register(two, "alice", alice)

    assert ("proof-required", True) == said(two, msgspec.structs.replace(message, proof=change(message.proof)))


def test_many_lost_messages_after_a_proof_do_not_make_the_hub_see_the_pad_to_its_end(house, alice, monkeypatch):
    monkeypatch.setattr(spans, "MAX_INTERVALS", 3)
    house.answer(register(house.voice(), "alice", alice))

    for _ in range(6):
        alice.next += 32  # lost

        assert alice.fetch().authenticated
        assert alice.next == house.books.block_state(alice.block.id).user_seen
