"""The role of a hub: it listens on its interface, keeps its pool filled, and drops what has expired.

* The exchange goes by rules that may change while it runs; its books stay open.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import trio

from qfagent.door import Door, Listen
from qfagent.errors import StoreError, WrongState
from qfagent.http.limits import Limits
from qfagent.http.message import Request, Response
from qfagent.http.server import Server, source_address
from qfagent.hub.api import Api
from qfagent.hub.books import open_books
from qfagent.hub.provisioner import Premises, Provisioner
from qfagent.hub.registry import Registry
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.world import World

SWEEP: Final = 60.0  # seconds between looks for expired shares
SWEEP_AT_ONCE: Final = 2000  # shares deleted in one transaction
LIMITS: Final = Limits(connections=4096, each=256)

T = TypeVar("T")


class Hub:
    """One hub at work."""

    def __init__(self, hub_id: str, around: Surroundings, premises: Premises) -> None:
        self.id, self._around, self._premises = hub_id, around, premises
        self.books = open_books(around.store, around.world, **self._rules())
        self.provisioner = Provisioner(around, self.books, premises)
        self.registry = Registry(around, self.books, lambda: self._premises.hub, stir=self.provisioner.stir)
        self.api = Api(around, self.books, hub_id=hub_id, bound=self.provisioner.stir)
        self.door = Door("hub", around.note)
        self.shares = 0  # as of the last sweep
        self._stirred = trio.Event()

    def reconfigure(self, premises: Premises) -> None:
        """Goes by the present configuration; where it listens and what it is called stay."""
        self.books.go_by(**self._rules())
        self._premises = msgspec.structs.replace(premises, hub=self._premises.hub)
        self.provisioner.reconfigure(self._premises)
        self._stirred.set()

    @property
    def address(self) -> str:
        """What files say of where it is reached: `host:port`."""
        return self._premises.hub.place

    @property
    def target(self) -> int:
        """How many files the pool is to hold."""
        return self._premises.settings.pool_size

    @property
    def most_handed_out(self) -> int:
        """How many files may be with somebody who has not registered."""
        return self._premises.settings.max_handed_out

    async def run(self, operation: Callable[[], T]) -> T:
        """Runs an operation on the books."""
        return await self._around.committer.run(operation)

    async def serve(self, listen: Listen, stopping: trio.Event) -> None:
        """Listens and answers until it is to stop, then lets requests finish."""
        await self.door.serve(self._server, listen, stopping)

    async def sweep(self) -> None:
        """Now and then, and when the neighbourhood may have changed: drops what has expired, binds who was found."""
        while True:
            self._stirred = trio.Event()
            try:
                await self.registry.bind_found()
                await self._sweep_once()
            except StoreError as error:
                self._around.note("hub.sweep-failed", code=error.slug, reason=str(error))
            with trio.move_on_after(SWEEP):
                await self._stirred.wait()

    def _server(self) -> Server:
        return Server(self.respond, identify=source_address, peer_key=str, limits=LIMITS)

    async def respond(self, request: Request) -> Response:
        """The response to a client's request, whatever happens."""
        return await self._around.guard(self.api.respond(request))

    async def _sweep_once(self) -> None:
        while True:
            sweep = partial(self.books.shares.sweep, now=self._around.world.now(), limit=SWEEP_AT_ONCE)
            gone = await self._around.committer.run(sweep)
            if gone < SWEEP_AT_ONCE:
                break
        self.shares = await self._around.committer.run(self.books.shares.count)

    def _rules(self) -> dict[str, Any]:
        config = self._around.config()
        return {
            "hub_id": self.id,
            "binding": config.binding,
            "share_ttl": int(config.hub.share_ttl),
            "is_at": lambda peer, address: self._around.neighbourhood().is_at(peer, address),
        }


def find_hub_id(store: Store, world: World, configured: str) -> str:
    """The hub's id: configured, or made once and kept. WrongState if it was another before."""
    known = store.database.get("hub_id")
    if known is not None and configured not in ("", known):
        raise WrongState(
            f"this state folder belongs to hub {known}, the configuration says {configured}",
            remedy="change hub.id back; a hub can't be renamed",
        )
    hub_id: str = known or configured or world.random(16).hex()
    store.database.set("hub_id", hub_id)
    return hub_id


@asynccontextmanager
async def hub_at_work(hub: Hub, listen: Listen) -> AsyncIterator[Hub]:
    """The hub works while the block lasts; then requests under way are answered first."""
    stopping = trio.Event()
    async with trio.open_nursery() as background:
        await background.start(hub.provisioner.run)
        background.start_soon(hub.sweep)
        async with trio.open_nursery() as serving:
            serving.start_soon(hub.serve, listen, stopping)
            yield hub
            stopping.set()
        background.cancel_scope.cancel()
