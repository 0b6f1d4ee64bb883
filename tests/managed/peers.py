"""Managed agents in this process, on real sockets and a real disk, and the server that they follow."""

import socket
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from qfagent.agent import Frame
from qfagent.config import load
from qfagent.world import World
from tests.local.frames import Running, short_folder
from tests.management.servers import serving

CONFIG = """
name = "{name}"
role = "managed"
interface = ""
state_dir = "{folder}/state"
[control]
socket = "{folder}/sock"
group = "daemon"
admin_group = "adm"
[hub]
listen = "{address}:{port}"
{hub}
[hub.provisioner]
pool_size = 1
user_bytes = 4096
server_bytes = 4096
[management]
url = "{url}"
address = "{address}"
setup_key_file = "{folder}/setup-key"
[client]
scan_interval = "100ms"
hub_timeout = "500ms"
"""


class Household:
    """A folder with everything of one managed agent, which can be started again and again."""

    def __init__(self, folder, name, *, url, key, address, hub=""):
        self.folder, self.name, self.address = folder, name, address
        Path(folder, "setup-key").write_text(key + "\n")
        path = Path(folder, "qfagent.toml")
        path.write_text(
            CONFIG.format(name=name, folder=folder, url=url, address=address, port=port_at(address), hub=hub)
        )

    @asynccontextmanager
    async def living(self):
        """Its agent at work."""
        path = f"{self.folder}/qfagent.toml"
        frame = Frame(load(path), path, World())
        agent = Peer(frame, self.folder)
        async with frame.open_store(), frame.at_work(), frame.listening():
            yield agent

    def change(self, old, new):
        """From its next life on its configuration says something else."""
        path = Path(self.folder, "qfagent.toml")
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    @property
    def private(self):
        return Path(self.folder, "state", "private")


class Peer(Running):
    """A managed agent at work."""

    async def status(self):
        return await self.get("/v1/status")

    async def codes(self):
        return {issue["code"] for issue in (await self.status())["issues"]} - {"clock-unsynced"}

    async def until(self, true, seconds=15):
        """Waits until the status is so; the status."""
        with trio.fail_after(seconds):
            while not true(status := await self.status()):
                await trio.sleep(0.02)
        return status

    async def wait_for(self, event, **fields):
        """Waits until an event of that name with these fields was told; all of them."""
        with trio.fail_after(15):
            while not (found := [told for told in self.happened(event) if told | fields == told]):
                await trio.sleep(0.02)
        return found

    async def until_role(self, name):
        return await self.until(lambda status: status["role"] == name)

    @property
    def inbox(self):
        return Path(self.folder, "state", "psrd-in")

    @property
    def rejected(self):
        return Path(self.folder, "state", "private", "rejected")

    @property
    def pool(self):
        return sorted(Path(self.folder, "state", "psrd-out").glob("pool-*.json"))


def port_at(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def mesh(*names, hubs=(), more=""):
    """A server, and managed agents of these names at work; those in `hubs` are hubs already."""
    async with serving(more) as server, trio.open_nursery() as nursery:
        key = (await server.setup_key())["key"]
        peers = {}
        for number, name in enumerate(names, 2):
            peers[name] = await nursery.start(live, server, name, key, f"127.0.0.{number}")
        for name in names:
            await peers[name].until_role("client")
        for name in hubs:
            await server.mark(await peer_of(server, name))
        for name in hubs:
            await peers[name].until(lambda status: status["hub"] and status["hub"]["listen"])
        for name in names:
            await peers[name].until(lambda status: status["membership"]["hubs"] == len(hubs))
        yield server, peers
        for peer in peers.values():
            peer.leave.set()


async def live(server, name, key, address, *, task_status):
    with short_folder() as folder:
        home = Household(folder, name, url=f"http://127.0.0.1:{server.port}", key=key, address=address)
        async with home.living() as peer:
            peer.home, peer.leave = home, trio.Event()
            task_status.started(peer)
            await peer.leave.wait()


async def peer_of(server, name):
    return next(peer for peer in await server.get("/api/peers") if peer["name"] == name)


async def carry(hub, client):
    """Moves a file from the hub's pool into the client's inbox, as an operator would."""
    with trio.fail_after(15):
        while not hub.pool:
            await trio.sleep(0.02)
    file = hub.pool[0]
    file.rename(client.inbox / file.name)
    return file.name
