"""The role of a client: its hubs are tended, its inbox is watched, keys are made and recovered.

* A hub is known from the first PSRD file that names it; from then on it is tended until the agent stops.
* Nothing waits for a hub: the role is up when its inbox is, and says what is missing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from qfagent.client.desk import Desk
from qfagent.client.dropped import DropFolder
from qfagent.client.gauge import Gauge
from qfagent.client.generator import Generator
from qfagent.client.hubs import Dial, Hub
from qfagent.client.inbox import Inbox
from qfagent.client.ingestion import Ingestion
from qfagent.client.recoverer import Recoverer
from qfagent.client.runway import EVERY
from qfagent.client.tending import Tending
from qfagent.dske.psrd import HubAddress
from qfagent.errors import NothingChanged, StoreError
from qfagent.store.holdings import IN_USE

SWEEP: Final = 30.0  # seconds


class Client:
    """One client at work."""

    def __init__(self, desk: Desk, dial: Dial, folder: DropFolder, nursery: trio.Nursery) -> None:
        """`dial` gives the way to connect to a hub."""
        self.desk, self._dial, self._nursery = desk, dial, nursery
        self._hubs: dict[str, Hub] = {}
        self.generator = Generator(desk, self.hubs, nursery)
        self.recoverer = Recoverer(desk, self.hubs, nursery)
        self.ingestion = Ingestion(desk, self.meet)
        self.inbox = Inbox(folder, self.ingestion, desk)
        self.gauge = Gauge(desk)

    def hubs(self) -> list[Hub]:
        """The hubs that this client works with now."""
        return [hub for hub in self._hubs.values() if self.desk.neighbourhood().serves(hub.address)]

    def known(self) -> list[Hub]:
        """Every hub that it holds PSRD of, also those that serve nobody at the moment."""
        return list(self._hubs.values())

    def hub(self, hub_id: str) -> Hub | None:
        """One of them."""
        return self._hubs.get(hub_id)

    def meet(self, address: HubAddress) -> None:
        """A PSRD file has come from this hub, or it has moved."""
        known = self._hubs.get(address.id)
        if known is None:
            known = self._hubs[address.id] = Hub(address, self.desk, self._dial, self._nursery)
            self._nursery.start_soon(Tending(known, self.desk).run)
        known.stir()

    async def move(self, address: HubAddress) -> None:
        """The operator's word: a hub has another address. NotFound."""
        await self.desk.committer.run(partial(self.desk.pins.move, address))
        hub = self._hubs.get(address.id)
        if hub is not None:
            await hub.move(address)

    def reconfigure(self) -> None:
        """The settings or the neighbourhood have changed; whoever goes by them reads them anew."""
        self.inbox.wake()
        for hub in self.known():
            hub.stir()

    async def resume(self, block: str) -> None:
        """The operator's word: the hub is wrong, or the rollback is dealt with. NotFound, NothingChanged."""
        desk = self.desk
        holding = await desk.committer.run(partial(desk.holdings.get, block))
        hub = self._hubs[holding.hub]
        evidence = hub.vetting.evidence(block)
        if holding.state == "stopped":
            await desk.committer.run(partial(desk.holdings.resume, block))
        elif evidence is not None:
            await desk.committer.run(partial(desk.holdings.move_behind, block, evidence))
        else:
            raise NothingChanged(f"block {block} is not stopped")
        hub.lift_stop(block)
        desk.note("psrd.resumed", hub=hub.id, block=block)

    async def retire(self, block: str) -> None:
        """The operator's word: the block is never spent from again. NotFound, NothingChanged."""
        desk = self.desk
        holding = await desk.committer.run(partial(desk.holdings.get, block))
        await desk.committer.run(partial(desk.holdings.retire, block, reason="retired by the operator"))
        hub = self._hubs[holding.hub]
        hub.lift_stop(block)
        desk.note("psrd.retired", hub=hub.id, block=block)

    async def start(self) -> None:
        """Meets the hubs that were pinned before, and opens the inbox."""
        for address in await self.desk.committer.run(self.desk.pins.all):
            self.meet(address)
        for level in await self.desk.committer.run(self.desk.holdings.levels):
            hub = self._hubs.get(level.hub)
            if level.state == "stopped" and level.reason != IN_USE and hub is not None:
                hub.vetting.stop_for_good(level.id)
        await self.gauge.recall()
        await self._nursery.start(self.inbox.run)
        self._nursery.start_soon(self._sweep)

    async def _sweep(self) -> None:
        sampled_at, swept_at = -EVERY, trio.current_time()
        while True:
            lived, swept_at = trio.current_time() - swept_at, trio.current_time()
            try:
                await self.recoverer.sweep(lived=lived)
                await self._end_exhausted()
                if trio.current_time() - sampled_at >= EVERY:
                    sampled_at = trio.current_time()
                    await self.gauge.read()
            except StoreError as error:
                self.desk.note("client.sweep-failed", code=error.slug, reason=str(error))
            await trio.sleep(SWEEP)

    async def _end_exhausted(self) -> None:
        desk = self.desk
        for block in await desk.committer.run(lambda: desk.holdings.end_exhausted(now=desk.world.now())):
            desk.note("psrd.spent", block=block)


@asynccontextmanager
async def client_at_work(desk: Desk, dial: Dial, folder: DropFolder) -> AsyncIterator[Client]:
    """A client that works while the block lasts; then its connections are closed."""
    async with trio.open_nursery() as nursery:
        client = Client(desk, dial, folder, nursery)
        await client.start()
        yield client
        nursery.cancel_scope.cancel()
    for hub in client.known():
        await hub.aclose()
