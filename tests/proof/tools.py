"""The tools of the mesh: on every client somebody who makes keys and somebody who asks for them, and one book of all.

* A key is told to its recoverer by whatever way, late or never; every call is made by a uid of its own.
* The book knows what was made and what came out: never another key under the same id, never a key twice.
"""

from collections import Counter
from itertools import count

import trio

from qfagent.dske import ids
from qfagent.errors import AgentError
from qfagent.testing.witness import Broken


class Book:
    """What tools were given."""

    def __init__(self):
        self.made = {}  # (generator, key id) -> (recoverer, key)
        self.asked = set()  # secret ids
        self._out = {}  # (recoverer, generator, key id) -> key
        self.outcomes = Counter()

    def make(self, generator, recoverer, keys):
        for key_id, key in keys:
            self.made[generator, key_id] = (recoverer, key.reveal())
        self.outcomes["established"] += len(keys)

    def ask(self, key_id):
        self.asked.add(ids.parse_key_id(key_id)[0])

    def recover(self, recoverer, generator, keys):
        for key_id, key in keys:
            self.ask(key_id)
            self._check(recoverer, generator, key_id, key.reveal())
        self.outcomes["recovered"] += len(keys)

    def out(self, recoverer):
        """What the recoverer has handed out so far."""
        return frozenset(which for which in self._out if which[0] == recoverer)

    def turn_back(self, recoverer, out):
        """The recoverer knows of these only: what left since may leave once more (ADR 73)."""
        self._out = {which: key for which, key in self._out.items() if which[0] != recoverer or which in out}

    def _check(self, recoverer, generator, key_id, key):
        made = self.made.get((generator, key_id))  # None: its generator died before it could say so
        if made not in (None, (recoverer, key)):
            raise Broken("wrong-key", f"{recoverer} was given another key {key_id} of {generator} than was made")
        if (recoverer, generator, key_id) in self._out:
            raise Broken("key-released-twice", f"{recoverer}: key {key_id} of {generator}")
        self._out[recoverer, generator, key_id] = key


class Tools:
    """Everybody who wants keys, each client every `pause` seconds on average."""

    def __init__(self, mesh, *, pause=10):
        self._mesh, self.pause, self.chance = mesh, pause, mesh.chance
        self.book, self._uids = Book(), count(1000)

    async def work(self):
        async with trio.open_nursery() as nursery:
            for name in self._mesh.clients:
                nursery.start_soon(self._want_keys, name, nursery)

    async def _want_keys(self, name, nursery):
        while True:
            await trio.sleep(self.chance.expovariate(1 / self.pause))
            peer = self.chance.choice([other for other in self._mesh.clients if other != name])
            nursery.start_soon(self._make_and_tell, name, peer)

    async def _make_and_tell(self, name, peer):
        keys = await self.on(name, self.make, name, peer, self.chance.choice((1, 1, 1, 2, 8)))
        for key_id in keys or ():
            await trio.sleep(self.chance.expovariate(1 / 20))
            how = self.chance.random()
            if how < 0.6:
                await self.on(peer, self.recover, peer, name, key_id)
            elif how < 0.7:
                await self.on(peer, self.recover, peer, None, key_id)
            elif how < 0.9:
                await self.on(peer, self.recover_next, peer, name)

    async def on(self, machine, act, *args):
        """What a tool on this machine gets, or None if the machine is off or dies: then the tool dies with it."""
        client, done, results = self._mesh.clients[machine], trio.Event(), []
        if not client.is_up:
            return None

        async def tool():
            try:
                results.append(await act(*args))
            except AgentError as error:
                self.book.outcomes[error.slug] += 1
                results.append(error)
            finally:
                done.set()

        client.tools.start_soon(tool)
        await done.wait()
        return None if not results or isinstance(results[0], AgentError) else results[0]

    async def make(self, name, peer, size=1):
        """Establishes keys with a peer; their ids."""
        keys = await self._mesh.clients[name].client.generator.establish(peer, count=size)
        self.book.make(name, peer, keys)
        return [key_id for key_id, _ in keys]

    async def recover(self, name, generator, key_id):
        """Recovers one key."""
        self.book.ask(key_id)
        recoverer = self._mesh.clients[name].client.recoverer
        found, key = await recoverer.recover(key_id, peer=generator, uid=next(self._uids))
        self.book.recover(name, found, [key])

    async def recover_next(self, name, generator):
        """Recovers what waits longest from a peer."""
        keys = await self._mesh.clients[name].client.recoverer.wait_next(generator, uid=next(self._uids))
        self.book.recover(name, generator, keys)
