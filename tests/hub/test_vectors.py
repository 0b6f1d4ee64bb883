"""The worked exchange of the golden vectors, message by message, at three real hubs."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qfagent.dske import shamir, validation, wire
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.hub.books import open_books
from qfagent.hub.exchange import Message
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World
from tests import vectors

ALL = vectors.cases("deposit")
NOW = 1_800_000_000


def block_of(case, label):
    named = case["blocks"][label]
    data = hashlib.shake_256(named["seed"].encode()).digest(named["user_bytes"] + named["server_bytes"])
    body = next(step["request"]["body"] for step in case["steps"] if step["block"] == label)
    client = json.loads(body)["client_id"]
    user, server = Secret(data[: named["user_bytes"]]), Secret(data[named["user_bytes"] :])
    return Block(HubAddress(named["hub"], "hub.mesh", 27277), client, "pool-0a1b2c3d", user, server)


class VectorHub:
    """A hub that has handed out the files of a vector's two peers."""

    def __init__(self, disk, hub_id, blocks):
        self.store = Store(disk, "/state", machine="m", world=World(wall=lambda: NOW))
        self.books = open_books(self.store, World(wall=lambda: NOW), hub_id=hub_id, binding="open", share_ttl=3600)
        for block in blocks:
            self.store.pads.write(block)
            self.store.run(lambda block=block: self.take_in(block))

    def take_in(self, block):
        client = self.books.clients.add_for_pool(now=NOW)
        self.store.database.execute("UPDATE clients SET id = ? WHERE id = ?", block.client_id, client.id)
        self.books.ledger.ingest(block, own=Direction.SERVER, owner=block.client_id)

    def answer(self, message):
        return self.store.run(lambda: self.books.exchange.answer(message))


@pytest.fixture
def hubs_of(request):
    disks = []

    def build(case):
        hubs = {}
        for x, hub_id in enumerate(case["hubs"], 1):
            disks.append(MemoryDisk(x))
            blocks = [block_of(case, f"{peer} at {x}") for peer in ("peer-a", "peer-b")]
            hubs[str(x)] = VectorHub(disks[-1], hub_id, blocks)
        return hubs

    yield build
    for disk in disks:
        disk.close()


def answers(case, hubs):
    """Each step of the exchange, and what a real hub answers."""
    for step in case["steps"]:
        asked = step["request"]
        message = Message(asked["method"], asked["target"], asked["body"].encode(), [asked["header"].encode()])
        yield step, hubs[step["block"][-1]].answer(message)


def tag_over(body, told):
    """The tag that the vector's key makes over another spelling of its body."""
    return Poly1305.generate_tag(bytes.fromhex(told["key"]), bytes.fromhex(told["T_head"]) + body).hex()


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_hubs_answer_the_worked_exchange_under_the_very_tags(case, hubs_of):
    """Members may stand in another order; then the tag is the one that the vector's key makes over ours."""
    for step, answer in answers(case, hubs_of(case)):
        told = step["answer"]

        assert (told["status"], json.loads(told["body"])) == (answer.status, json.loads(answer.body))
        assert told["header"].replace(told["tag"], tag_over(answer.body, told)) == answer.auth


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_all_but_the_order_of_members_in_a_share_is_the_vectors_byte_for_byte(case, hubs_of):
    spelled_otherwise = {
        step["request"]["target"]
        for step, answer in answers(case, hubs_of(case))
        if (step["answer"]["header"], step["answer"]["body"].encode()) != (answer.auth, answer.body)
    }

    assert {wire.FETCH} == spelled_otherwise


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_shares_of_the_worked_exchange_open_and_combine(case, hubs_of):
    secret = bytes.fromhex(case["secret"]["S"])
    opened = [
        (x, bytes.fromhex(step["opened"])) for x, step in enumerate([s for s in case["steps"] if "opened" in s], 1)
    ]

    assert secret == shamir.combine(opened, k=2)
    assert validation.holds(secret, bytes.fromhex(case["o"]))
