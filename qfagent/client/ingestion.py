"""Ingestion makes a block out of a PSRD file, exactly once, whoever brings the file and however often.

* The commit point is one ledger transaction, after the pad file is whole and durable; a crash leaves the block in, or
  nothing but an unreferenced pad that is erased at the next start.
* A file for another peer, from a hub that is not accepted, or that contradicts a pinned hub, is refused before anything
  of it is kept.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import trio

from qfagent.client.desk import Desk
from qfagent.dske import ids, psrd
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block, HubAddress
from qfagent.errors import PsrdRejected, StoreError
from qfagent.store.leftovers import Leftovers, Place


class Receipt(msgspec.Struct, frozen=True):
    """That a block was ingested: its id, the hub's, and the pads' sizes in bytes."""

    block: str
    hub_id: str
    user_bytes: int
    server_bytes: int


class Ingestion:
    """Takes PSRD files in; `arrived` is told the hub of each."""

    def __init__(self, desk: Desk, arrived: Callable[[HubAddress], None]) -> None:
        self._desk, self._arrived = desk, arrived
        self.leftovers = Leftovers(desk.store.database)
        self._one_at_a_time = trio.Lock()

    async def ingest(self, data: bytes, *, dropped_at: Place | None = None) -> Receipt:
        """Ingests the bytes of a file; `dropped_at` is the file that must be erased behind it.

        PsrdRejected, PsrdIncomplete, PsrdContradiction, PsrdPreviouslyInserted, StoreError.
        """
        block = await self._desk.world.in_thread(partial(psrd.decode, data))
        async with self._one_at_a_time:
            await self._desk.committer.run(partial(self._check, block))
            await self._keep(block, dropped_at)
        self._desk.note("psrd.ingested", hub=block.hub.id, block=block.id, server=block.hub.place)
        self._arrived(block.hub)
        return Receipt(block.id, block.hub.id, len(block.user), len(block.server))

    async def _keep(self, block: Block, dropped_at: Place | None) -> None:
        pads = self._desk.store.pads
        await self._desk.world.in_thread(partial(pads.discard, block.id))  # what an attempt that failed has left
        await self._desk.world.in_thread(partial(pads.write, block))
        try:
            await self._desk.committer.run(partial(self._enter, block, dropped_at))
        except StoreError:
            if not self._desk.store.failed:
                await self._desk.world.in_thread(partial(pads.discard, block.id))
            raise

    # --- on the store's thread

    def _check(self, block: Block) -> None:
        self._desk.ledger.check_new(block)
        if block.name != self._desk.peer and not ids.matches(ids.POOL_NAME, block.name):
            raise PsrdRejected(f"dske_client_username: expected {self._desk.peer} or a pool name, got {block.name}")
        accepted = self._desk.settings().hubs
        if accepted and block.hub.id not in accepted:
            raise PsrdRejected(f"security_hub_id: hub {block.hub.id} is not in client.hubs of the configuration")
        self._desk.neighbourhood().check_hub(block.hub)
        self._desk.pins.check(block.hub)

    def _enter(self, block: Block, dropped_at: Place | None) -> None:
        self._desk.ledger.ingest(block, own=Direction.USER)
        self._desk.holdings.forget()
        self._desk.pins.pin(block.hub)
        if dropped_at is not None:
            self.leftovers.add(dropped_at, block.id)
