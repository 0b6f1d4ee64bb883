"""An inbox with nothing around it but a store, on a disk in memory or a real one, and what is dropped into it."""

import ctypes
import json
import os
import random
from contextlib import closing, contextmanager

from qfagent.client.desk import open_desk
from qfagent.client.dropped import DropFolder
from qfagent.client.inbox import Inbox
from qfagent.client.ingestion import Ingestion
from qfagent.config import parse
from qfagent.dske import psrd
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.store.committer import Inline
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.world import World, at_once

HUB = HubAddress("a" * 32, "hub1.mesh", 27277)
CLIENT = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"
AGENT_UID = 51_001  # nobody's
_libc = ctypes.CDLL(None)


def make_block(seed=1, *, user=1024, server=1024, name="pool-0a1b2c3d", hub=HUB):
    chance = random.Random(seed)
    return Block(hub, CLIENT, name, Secret(chance.randbytes(user)), Secret(chance.randbytes(server)))


def file_of(seed=1, **how):
    return psrd.encode(make_block(seed, **how))


def altered(data, **members):
    """The file with other members; None takes one out."""
    changed = json.loads(data) | members
    return json.dumps({name: value for name, value in changed.items() if value is not None}).encode()


class Box:
    """An agent that has nothing but an inbox."""

    def __init__(self, disk, root, settings="", *, in_thread=at_once):
        self.disk, self.root = disk, root
        self.folder, self.rejected = f"{root}/in", f"{root}/private/rejected"
        self.events, self.met = [], []
        self.config = parse(f'name = "alice"\ninterface = ""\n[client]\n{settings}')
        self.world = World(wall=lambda: 1_800_000_000, random=random.Random(5).randbytes, in_thread=in_thread)
        self.boot()

    def boot(self):
        """Starts the agent, or starts it again."""
        self.store = Store(self.disk, f"{self.root}/private", machine="m", world=self.world)
        around = Surroundings(
            self.store, Inline(self.store), self.disk, self.world, self.note, lambda: self.config, None
        )
        self.desk = open_desk(around)
        folder = DropFolder(self.disk, self.folder, rejected=self.rejected)
        self.ingestion = Ingestion(self.desk, self.met.append)
        self.inbox = Inbox(folder, self.ingestion, self.desk)
        folder.prepare()

    def note(self, name, /, **fields):
        self.events.append((name, fields))

    def happened(self, name):
        return [fields for event, fields in self.events if event == name]

    def path(self, name):
        return f"{self.folder}/{name}"

    def drop(self, name, data):
        """Puts a file into the folder, durably."""
        with closing(self.disk.create(self.path(name), len(data))) as file:
            file.write_at(0, data)
            file.sync()
        self.disk.sync_dir(self.folder)

    def append(self, name, data):
        with closing(self.disk.open(self.path(name))) as file:
            file.write_at(file.size(), data)

    def read(self, path):
        with closing(self.disk.open(path, write=False)) as file:
            return file.read_at(0, file.size())

    async def scan(self):
        """One look at the folder."""
        return await self.inbox._round()

    @property
    def waiting(self):
        return self.disk.list(self.folder)

    @property
    def refused(self):
        """What was set aside, and the reasons."""
        names = self.disk.list(self.rejected)
        return [name for name in names if not name.endswith(".reason.json")]

    def reason(self, name):
        return json.loads(self.read(f"{self.rejected}/{name}.reason.json"))

    @property
    def blocks(self):
        return [level.id for level in self.desk.holdings.history()]

    @property
    def pads(self):
        return [name for name in self.disk.list(f"{self.root}/private/pads") if name != "CACHEDIR.TAG"]


@contextmanager
def as_user(uid, gid=None):
    """This thread touches files as another user; who is not root stays who he is."""
    if os.geteuid():
        yield
        return
    _libc.setfsgid(uid if gid is None else gid)
    _libc.setfsuid(uid)
    try:
        yield
    finally:
        _libc.setfsuid(0)
        _libc.setfsgid(0)
