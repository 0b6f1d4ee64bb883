"""Machines that were restored from an old folder, or cloned: stopped as protocol.md section 4 says, and nothing reused.

* Keys that left since then may leave once more, where nothing was spent that a hub could tell it by (ADR 73).
* The weather is fair: what was sent has arrived, so that nothing here is excluded by section 9.
* Whoever restored a hub has thrown away the files of its pool: they may have been carried away since (ADR 50).
"""

from functools import partial

import trio

from qfagent.dske.pad import Direction
from qfagent.errors import AgentError
from qfagent.testing.witness import Broken
from tests.proof import seeded
from tests.proof.cast import Client, Hub, Mesh
from tests.proof.tools import Tools

HUBS, K = 3, 2
SETTINGS = f"shares_required = {K}\nscan_interval = '60s'"
PADS = "[hub.provisioner]\nuser_bytes = 32768\nserver_bytes = 32768"


KINDS = ("client_restored", "client_cloned", "hub_restored", "clone_moved")


def play(seed):
    """One restore or clone, by turns; which, and how often whoever was turned back was stopped."""
    return seeded.run(partial(_play, kind=KINDS[seed % len(KINDS)]), seed)


async def _play(chance, *, kind):
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, chance)
        try:
            past = Past(mesh)
            await past.begin()
            return await getattr(past, kind)()
        finally:
            nursery.cancel_scope.cancel()
            mesh.close()


class Past:
    """A mesh that has a past, and somebody who goes back to it."""

    def __init__(self, mesh):
        self.mesh, self.chance = mesh, mesh.chance
        self.tools = Tools(mesh)

    async def begin(self):
        for number in range(HUBS):
            await self.mesh.add(Hub, f"hub{number}", PADS)
        for number in range(2):
            client = await self.mesh.add(Client, f"peer-{number}", SETTINGS)
            for hub in self.mesh.hubs.values():
                await self.mesh.carry(hub, client)
        await trio.sleep(60)
        await self._go_on()

    async def client_restored(self):
        """The folder of some time ago is put back."""
        client = self._one(self.mesh.clients)
        files, out = client.snapshot(), self.tools.book.out(client.name)
        await self._go_on()
        await client.restore(files)
        self.tools.book.turn_back(client.name, out)
        return await self._meet_the_past(client, "clients restored")

    async def client_cloned(self):
        """A copy of the machine, identity and all, wakes up when the original has gone on, and is gone."""
        client = self._one(self.mesh.clients)
        clone, out = self._copy(client), self.tools.book.out(client.name)
        await self._go_on()
        await client.crash()
        self.tools.book.turn_back(client.name, out)
        self.mesh.clients[client.name] = clone
        await clone.restore(clone.files)
        return await self._meet_the_past(clone, "clones with the same machine id")

    async def clone_moved(self):
        """A copy of the state folder is started on another machine, while the original goes on."""
        client = self._one(self.mesh.clients)
        clone = self._copy(client)
        clone.name = "another machine"
        if self.chance.random() < 0.5:
            await self._go_on()
        await clone.restore(clone.files)
        self._expect_fenced(clone)
        await self._go_on()
        return {"clones on another machine": 1, "stopped": 1}

    async def hub_restored(self):
        """A hub's folder of some time ago is put back."""
        hub = self._one(self.mesh.hubs)
        files = {path: data for path, data in hub.snapshot().items() if "/psrd-out/" not in path}
        await self._go_on()
        seen = self._seen_at(hub)
        await hub.restore(files)
        spent = hub.hub.books.ledger.spent
        behind = [block for block, end in seen.items() if self._is_known(hub, block) and spent(block) < end]
        await self._go_on()
        alive = [block for block in behind if self._is_known(hub, block)]
        if alive:
            raise Broken("not-stopped", f"{hub.name} was turned back, and still uses {alive}")
        return {"hubs restored": 1, "blocks behind": len(behind), "stopped": len(behind)}

    # --- what is expected

    async def _meet_the_past(self, client, what):
        """Everything that hubs have seen further is stopped, before a byte of it is spent."""
        behind = self._blocks_behind(client)
        before = {block: client.client.desk.ledger.next(block) for block in behind}
        await self._go_on(client)
        moved = [block for block in behind if client.client.desk.ledger.next(block) != before[block]]
        if moved:
            raise Broken("not-stopped", f"{client.name} was turned back, and went on to spend {moved}")
        return {what: 1, "blocks behind": len(behind), "stopped": len(behind)}

    def _blocks_behind(self, client):
        ledger = client.client.desk.ledger
        return [
            block
            for witness in self.mesh.observer.witnesses.values()
            for block in witness.blocks
            if client.client.desk.holdings._find("id = ?", block)
            and witness.spent(block, Direction.USER) > ledger.next(block)
        ]

    def _expect_fenced(self, clone):
        reason = clone.store.fence.reason
        if reason is None or reason.code != "moved-machine":
            raise Broken("not-stopped", f"a clone on another machine works: {reason}")

    # --- how

    async def _go_on(self, also=None):
        """Tools go on to want keys for a while."""
        with trio.move_on_after(self.chance.uniform(60, 300)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.tools.work)
                if also is not None:
                    nursery.start_soon(self._try_everything, also)
        await trio.sleep(30)

    async def _try_everything(self, client):
        while True:
            await trio.sleep(5)
            for peer in self.mesh.clients:
                if peer != client.name:
                    try:
                        await client.client.generator.establish(peer)
                    except AgentError as error:
                        self.tools.book.outcomes[error.slug] += 1

    def _seen_at(self, hub):
        """How far clients have seen the server pads that they share with a hub."""
        desks = [client.client.desk for client in self.mesh.clients.values()]
        return {one.id: desk.ledger.seen(one.id) for desk in desks for one in desk.holdings.ready(hub.address.id)}

    def _is_known(self, hub, block):
        return hub.hub.books.clients.state_of(block) in ("new", "ready")

    def _copy(self, client):
        clone = Client(self.mesh, client.name, SETTINGS)
        clone.files = client.snapshot()
        return clone

    def _one(self, machines):
        return self.chance.choice(list(machines.values()))
