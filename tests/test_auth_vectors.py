"""Golden vectors of the envelope, read by a real hub (requests) and a real client (answers), kinds included."""

import hashlib

import pytest

from qfagent.client.exchange import Exchange, Received, Sent
from qfagent.dske.envelope import Auth, parse_auth
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.dske.spans import Span
from qfagent.errors import Invalid, Refusal, Unproven
from qfagent.hub.books import open_books
from qfagent.hub.exchange import Message
from qfagent.store.holdings import Holdings
from qfagent.store.keys import KeyLog
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World
from tests import vectors

BLOCKS = vectors.load("auth")["blocks"]
REQUESTS = vectors.cases("auth", direction="request")
ANSWERS = vectors.cases("auth", direction="answer")
HUB = HubAddress("0" * 32, "hub", 27277)


def block_of(name):
    named = BLOCKS[name]
    data = hashlib.shake_256(named["seed"].encode()).digest(2048)
    client = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"
    return Block(HUB, client, "pool-0a1b2c3d", Secret(data[:1024]), Secret(data[1024:]))


@pytest.fixture
def store():
    with MemoryDisk() as disk:
        yield Store(disk, "/state", machine="m", world=World(), step=1)


def take_in(store, own):
    for name in BLOCKS:
        block = block_of(name)
        store.pads.write(block)
        store.run(lambda block=block: store.ledger.ingest(block, own=own, owner=block.client_id))


@pytest.fixture
def hub(store):
    books = open_books(store, World(), hub_id=HUB.id, binding="open", share_ttl=3600)
    take_in(store, Direction.SERVER)
    store.database.execute(
        "INSERT INTO clients (id, name, peer, created, handout) VALUES (?, 'a', 'a', 0, 'none')",
        block_of("one").client_id,
    )
    store.database.execute("UPDATE blocks SET state = 'ready'")
    return books


def values(case):
    return [header.encode() for header in case["headers"]]


@pytest.mark.parametrize("case", REQUESTS, ids=vectors.names(REQUESTS))
def test_a_request_is_read_as_the_vector_says(case, store, hub):
    for start, end in case.get("accepted", []):
        store.run(
            lambda start=start, end=end: hub.ledger.claim(
                hub.ledger.look(BLOCKS["one"]["block_id"], Span(start, end - start), least=1)
            )
        )
    message = Message(case["method"], case["target"], case["body"].encode(), values(case))

    assert case["expect"] == kind_of_request(hub, store, message)


def kind_of_request(hub, store, message):
    try:
        parse_auth(message.auth)
    except Invalid as error:
        assert store.run(lambda: hub.exchange.answer(message)).slug == "bad-tag"
        return error.kind
    try:
        hub.exchange._verified(message)
    except Refusal as error:
        assert error.slug == store.run(lambda: hub.exchange.answer(message)).slug
        return error.slug
    answer = store.run(lambda: hub.exchange.answer(message))
    return answer.slug if answer.slug == "bad-length" else "ok"


@pytest.mark.parametrize("case", ANSWERS, ids=vectors.names(ANSWERS))
def test_an_answer_is_read_as_the_vector_says(case, store):
    take_in(store, Direction.USER)
    holdings, keys = Holdings(store.database, store.ledger), KeyLog(store.database, store.ledger)
    exchange = Exchange(store.ledger, holdings, keys, lambda: 0)
    block = BLOCKS[case["block"]]["block_id"]
    sent = Sent(block, "/dske/v1/secrets/fetch", b"", Auth(block, 96, 32, 16, bytes.fromhex(case["request_tag"])))
    received = Received(case["status"], case["body"].encode(), values(case))

    assert case["expect"] == kind_of_answer(store, exchange, sent, received)


def kind_of_answer(store, exchange, sent, received):
    try:
        store.run(lambda: exchange.accept(sent, received))
    except Unproven as error:
        return error.kind
    return "ok"


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["expect"] == "ok"], ids=lambda case: case["name"])
def test_our_own_tag_is_the_vectors(case):
    auth = parse_auth(values(case))
    with MemoryDisk() as disk:
        store = Store(disk, "/state", machine="m", world=World(), step=1)
        take_in(store, Direction.SERVER)
        pad = store.run(lambda: store.ledger.look(auth.block, auth.span))
    context = Message(case["method"], case["target"], b"").context

    assert bytes.fromhex(case["tag"]) == pad.authenticator().tag(
        seen=auth.seen, context=context, body=case["body"].encode()
    )
