"""A network of real hubs and clients in one process: memory disks, wires in memory, time that a test drives.

* Everything is the agent's own code but for the disk, the wires and the clock.
* A wire is bent by its hub's `bend`; a hub that lies under its own pads is made by `qfagent.testing.liar`.
* A machine lives until `crash`; what its disk has not kept is gone when it lives again.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

from qfagent.client.desk import open_desk
from qfagent.client.dropped import DropFolder
from qfagent.client.role import Client, client_at_work
from qfagent.config import Config, parse
from qfagent.dske.psrd import HubAddress
from qfagent.errors import HubUnavailable
from qfagent.http.message import Response
from qfagent.http.pool import Connect
from qfagent.http.server import Server
from qfagent.hub.provisioner import Premises
from qfagent.hub.role import Hub
from qfagent.neighbourhood import ANYBODY, Neighbourhood
from qfagent.store.committer import Inline
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.testing.disk import MemoryDisk
from qfagent.testing.pipe import End, pipe
from qfagent.world import World, at_once

EPOCH = 1_800_000_000  # wall time in Unix seconds at the start
STATE = "/var/lib/qufabric/dske"
PORT = 27277

Bend = Callable[[bytes], Awaitable[bytes]]


class Machine(ABC):
    """A disk, what happened on it, and the life that it leads."""

    def __init__(self, network: "Network", name: str, config: str) -> None:
        self.network, self.name, self.disk = network, name, MemoryDisk(len(network.machines))
        self.world = World(wall=network.wall, random=network.random, in_thread=at_once)
        self.config: Config = parse(f'name = "{name}"\ninterface = ""\n{config}')
        self.neighbourhood: Neighbourhood = ANYBODY
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._life = trio.CancelScope()
        network.machines.append(self)

    async def boot(self) -> None:
        """Starts a life."""
        await self.network.nursery.start(self._live)

    async def crash(self) -> None:
        """Ends it by power loss."""
        self._life.cancel()
        await trio.testing.wait_all_tasks_blocked()
        self.disk.crash()

    def happened(self, event: str) -> list[dict[str, Any]]:
        """The events of that name, oldest first."""
        return [fields for name, fields in self.events if name == event]

    @abstractmethod
    async def work(self, around: Surroundings, task_status: trio.TaskStatus[None]) -> None:
        """What the machine does while it lives; started when it is up."""

    async def _live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.disk.make_dir(STATE, 0o711)
        self.store = Store(self.disk, self.config.private, machine=self.name, world=self.world)
        around = Surroundings(
            self.store,
            Inline(self.store),
            self.disk,
            self.world,
            self._note,
            lambda: self.config,
            _unguarded,
            lambda: self.neighbourhood,
        )
        with trio.CancelScope() as self._life:
            await self.work(around, task_status)

    def _note(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))


class HubMachine(Machine):
    """One hub. `bend` is what becomes of each answer on the wire; `reachable` whether anybody gets through."""

    def __init__(self, network: "Network", name: str, settings: str = "") -> None:
        super().__init__(network, name, f'role = "hub"\n[hub]\nfqdn = "{name}"\nlisten = "{name}"\n{settings}')
        self.address = HubAddress(network.random(16).hex(), name, PORT)
        self.reachable, self.bend = True, _straight

    async def work(self, around: Surroundings, task_status: trio.TaskStatus[None]) -> None:
        """Keeps the pool filled, drops what has expired, and answers whoever connects."""
        premises = Premises(self.disk, f"{STATE}/psrd-out", None, self.address, self.config.hub.provisioner)
        self.hub = Hub(self.address.id, around, premises)
        self.corrupt()
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self.hub.provisioner.run)
            self._nursery.start_soon(self.hub.sweep)
            task_status.started()
            await trio.sleep_forever()

    def corrupt(self) -> None:
        """An honest hub stays as it is."""

    async def connect(self) -> trio.abc.Stream:
        """A wire to this hub; HubUnavailable while nobody gets through."""
        await trio.lowlevel.checkpoint()
        if not self.reachable or self._life.cancel_called:
            raise HubUnavailable("no connection: it can't be reached")
        here, there = pipe()
        self._nursery.start_soon(Server(self.hub.respond).serve_stream, there)
        return Wire(here, self)


class ClientMachine(Machine):
    """One client."""

    def __init__(self, network: "Network", name: str, settings: str = "") -> None:
        super().__init__(network, name, f'role = "client"\n[client]\n{settings}')
        self.client: Client

    async def work(self, around: Surroundings, task_status: trio.TaskStatus[None]) -> None:
        """Tends its hubs and watches its inbox."""
        folder = DropFolder(self.disk, self.config.inbox, rejected=f"{self.config.private}/rejected")
        async with client_at_work(open_desk(around), self.network.dial, folder) as self.client:
            task_status.started()
            await trio.sleep_forever()

    def drop(self, name: str, data: bytes) -> None:
        """Puts a file into the inbox, as scp would."""
        file = self.disk.create(f"{self.config.inbox}/{name}", len(data))
        file.write_at(0, data)
        file.sync()
        file.close()
        self.disk.sync_dir(self.config.inbox)
        self.client.inbox.wake()


class Network:
    """Hubs and clients by name."""

    def __init__(self, nursery: trio.Nursery, *, seed: int = 0) -> None:
        self.nursery, self.random = nursery, random.Random(seed).randbytes
        self.machines: list[Machine] = []
        self.hubs: dict[str, HubMachine] = {}
        self.clients: dict[str, ClientMachine] = {}

    def wall(self) -> float:
        """Wall time, which goes with trio's clock."""
        return EPOCH + trio.current_time()

    async def add_hub(self, name: str, settings: str = "", kind: type[HubMachine] = HubMachine) -> HubMachine:
        """A hub that is up."""
        hub = self.hubs[name] = kind(self, name, settings)
        await hub.boot()
        return hub

    async def add_client(self, name: str, settings: str = "") -> ClientMachine:
        """A client that is up, without PSRD."""
        client = self.clients[name] = ClientMachine(self, name, settings)
        await client.boot()
        return client

    async def carry(self, hub: HubMachine, client: ClientMachine) -> bytes:
        """Takes a file out of the hub's pool and drops it into the client's inbox; returns its bytes."""
        data = await hub.hub.provisioner.take()
        client.drop(f"{hub.name}-{len(client.events)}.json", data)
        return data

    def dial(self, address: HubAddress) -> Connect:
        """The way to connect to a hub."""

        async def connect() -> trio.abc.Stream:
            return await self.hubs[address.host].connect()

        return connect

    def close(self) -> None:
        """Frees the disks."""
        for machine in self.machines:
            machine.disk.close()


class Wire(trio.abc.Stream):
    """A client's end of a connection; what comes out of it is as its hub's `bend` leaves it."""

    def __init__(self, end: End, hub: HubMachine) -> None:
        self._stream, self._hub, self.poll = end, hub, end.poll

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream's."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream's."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What the hub sends, bent."""
        return await self._hub.bend(bytes(await self._stream.receive_some(max_bytes)))

    async def aclose(self) -> None:
        """As the stream's."""
        await self._stream.aclose()


async def _straight(data: bytes) -> bytes:
    return data


async def _unguarded(response: Awaitable[Response]) -> Response:
    return await response
