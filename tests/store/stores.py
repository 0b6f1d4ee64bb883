"""Stores over a disk in memory, and blocks in them."""

import random

import pytest

from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World

HUB = HubAddress("a" * 32, "hub1.mesh", 27277)
CLIENT = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"
NOW = 1_800_000_000


def block_of(seed=1, *, user=2048, server=2048, client=CLIENT, hub=HUB):
    chance = random.Random(seed)
    return Block(hub, client, "pool-0a1b2c3d", Secret(chance.randbytes(user)), Secret(chance.randbytes(server)))


class Home:
    """A store that can be started again."""

    def __init__(self, disk, *, step=1):
        self.disk, self.step = disk, step
        self.boot()

    def boot(self, machine="m"):
        self.store = Store(self.disk, "/state", machine=machine, world=World(wall=lambda: NOW), step=self.step)
        self.ledger, self.pads, self.database = self.store.ledger, self.store.pads, self.store.database

    def crash(self, lose="some"):
        self.disk.crash(lose=lose)
        self.boot()

    def run(self, operation):
        return self.store.run(operation)

    def ingest(self, block, own=Direction.USER, owner=None):
        self.pads.write(block)
        self.run(lambda: self.ledger.ingest(block, own=own, owner=owner))
        return block.id

    def take(self, block, length):
        return self.run(lambda: self.ledger.take(block, length))

    def pad_file(self, block):
        return self.disk.files()[f"/state/pads/{block}"]


@pytest.fixture
def home():
    with MemoryDisk() as disk:
        yield Home(disk)
