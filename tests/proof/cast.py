"""The cast: hubs and clients that lose power at any call of their disks, with clocks of their own, in bad weather.

* All code but for disk, wires and clock is the agent's own, as in `qfagent.testing.network`.
* What a machine's power loss interrupts ends with it, its local tools included.
"""

from collections import Counter
from contextlib import suppress
from functools import partial

import trio
import trio.testing

from qfagent.client.desk import open_desk
from qfagent.client.dropped import DropFolder
from qfagent.client.role import client_at_work
from qfagent.errors import AgentError, HubUnavailable
from qfagent.http.incoming import BROKEN
from qfagent.http.server import Server
from qfagent.testing.disk import MemoryDisk
from qfagent.testing.liar import LyingHub
from qfagent.testing.network import ClientMachine, Network
from qfagent.testing.pipe import pipe
from qfagent.world import World, at_once
from tests.proof.observer import Observer
from tests.proof.weather import Weather, Wire


class Clock:
    """A wall clock that somebody sets, or that stands; `on_set` hears of it."""

    def __init__(self, true_time, on_set):
        self._true_time, self._on_set, self._off, self._stands_at = true_time, on_set, 0.0, None

    def __call__(self):
        return self._true_time() + self._off if self._stands_at is None else self._stands_at

    def jump(self, seconds):
        self._off, self._stands_at = self() + seconds - self._true_time(), None
        self._on_set()

    def stop(self):
        self._stands_at = self()

    def set_right(self):
        if self() != self._true_time():
            self._off, self._stands_at = 0.0, None
            self._on_set()


class Mortal:
    """What both kinds of machine have in common: to be mixed in before them."""

    def __init__(self, network, name, settings=""):
        super().__init__(network, name, settings)
        self.disk.close()
        self.disk = MemoryDisk(network.chance.getrandbits(32))
        self.clock = Clock(network.wall, partial(network.observer.excuse, name))
        self.world = World(wall=self.clock, random=network.random, in_thread=at_once)
        self._lives, self.count = False, Counter()

    @property
    def is_up(self):
        return self._lives and not self.disk.dead

    async def boot(self):
        """Starts a life, unless power is lost again on the way."""
        try:
            await super().boot()
        except RuntimeError:
            assert self.disk.dead, "a machine that has power comes up"

    async def crash(self):
        self.disk.power_off()
        self._life.cancel()
        await trio.testing.wait_all_tasks_blocked()
        self.disk.crash()

    def snapshot(self):
        """What a backup of its whole disk would hold."""
        return {path: data for path, data in self.disk.files().items() if not path.endswith("/lock")}

    async def restore(self, files):
        """Turns it back to a snapshot, and starts it again."""
        await self.crash()
        self.disk.close()
        self.disk = MemoryDisk(self.network.chance.getrandbits(32))
        for path, data in files.items():
            folder = path.rpartition("/")[0]
            self.disk.make_dir(folder, 0o700)
            file = self.disk.create(path, len(data))
            file.write_at(0, data)
            file.sync()
            self.disk.sync_dir(folder)
        await self.boot()

    async def recover(self):
        """Its disk is well, and it is up."""
        self.disk.heal()
        self.disk.power_off_after(None)
        if not self.is_up:
            await self.crash()
            await self.boot()

    async def _live(self, *, task_status=trio.TASK_STATUS_IGNORED):
        self._lives = True
        try:
            with self.disk.until_power_fails():
                await super()._live(task_status=task_status)
        finally:
            self._lives = False

    def _note(self, name, /, **fields):
        self.count[name] += 1
        self.network.observer.happened(self.name, name, sorted(fields.items()))


class Hub(Mortal, LyingHub):
    """A hub that may lie."""

    def reach(self, client):
        """A connection of a client's."""
        if not (self.is_up and self.reachable):
            raise HubUnavailable("no connection: it can't be reached")
        network, pair = self.network, (client, self.name)
        conversation = network.observer.conversation(*pair)
        here, there = pipe()
        wire = Wire(there, network.weather, pair, conversation.heard_hub)
        self._nursery.start_soon(Server(self.hub.respond).serve_stream, wire)
        return Wire(here, network.weather, pair, partial(network.heard_client, conversation))


class Client(Mortal, ClientMachine):
    """A client, and the tools on its machine that live and die with it."""

    async def work(self, around, task_status):
        folder = DropFolder(self.disk, self.config.inbox, rejected=f"{self.config.private}/rejected")
        at_work = client_at_work(open_desk(around), self._dial, folder)
        async with at_work as self.client, trio.open_nursery() as self.tools:
            task_status.started()
            await trio.sleep_forever()

    def _dial(self, address):
        async def connect():
            await self.network.weather.delay(self.name, address.host)
            return self.network.hubs[address.host].reach(self.name)

        return connect


class Mesh(Network):
    """A network in bad weather, under observation."""

    def __init__(self, nursery, chance):
        super().__init__(nursery, seed=chance.getrandbits(32))
        self.chance, self.weather, self.observer = chance, Weather(chance), Observer(self.wall)

    async def add(self, kind, name, settings="", *, lies=False):
        """A machine that is up."""
        machine = kind(self, name, settings)
        if isinstance(machine, Hub):
            self.hubs[name] = machine
            self.observer.watch(name, lies=lies)
        else:
            self.clients[name] = machine
        await machine.boot()
        return machine

    async def carry(self, hub, client):
        """An operator carries a file, if both machines let them."""
        with suppress(AgentError, OSError), hub.disk.until_power_fails(), client.disk.until_power_fails():
            data = await hub.hub.provisioner.take()
            self.observer.learn(hub.name, data)
            client.drop(f"{hub.name}-{self.chance.getrandbits(32):08x}.json", data)

    def heard_client(self, conversation, data):
        """What a client has sent; somebody on the wire may send it again, now or later."""
        conversation.heard_client(data)
        if self.weather.repeats():
            self.nursery.start_soon(self._repeat, conversation, data)

    async def _repeat(self, conversation, data):
        await trio.sleep(self.chance.expovariate(1 / 30))
        with suppress(HubUnavailable, *BROKEN):
            async with self.hubs[conversation.hub].reach(conversation.client) as wire:
                await wire.send_all(data)
                await wire.receive_some()
