"""The role of a management server: it listens to the mesh, answers agents and operators, and keeps what it hears.

* Whoever waits for news is answered before the server stops.
* Whoever may operate it, where peers may come from and how many shares a key needs may change while it runs.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from typing import Final

import trio

from qfagent.door import Door, Listen
from qfagent.errors import StoreError
from qfagent.http.limits import Limits
from qfagent.http.message import Request, Response
from qfagent.http.routes import Route
from qfagent.http.server import Server, source_address
from qfagent.management.agents import Agents
from qfagent.management.api import Api
from qfagent.management.archive import Archive
from qfagent.management.asked import Asked
from qfagent.management.enrolment import Range
from qfagent.management.gate import Who, find_operators, identify, read_operators
from qfagent.management.keyring import Keyring
from qfagent.management.mesh import Mesh
from qfagent.management.openapi import management_document
from qfagent.management.overview import Overviews
from qfagent.management.pages import page_routes
from qfagent.management.roster import Roster
from qfagent.management.rulebook import Rulebook
from qfagent.surroundings import Surroundings
from qfagent.world import World

DATABASE: Final = "management.db"  # in the private folder
SAVE: Final = 60.0  # seconds between savings of what was heard
# an agent keeps a connection; behind a proxy all of them come from one address
LIMITS: Final = Limits(connections=16_384, each=4096, request_seconds=75, body=1 << 20)


class Management:
    """One management server at work."""

    def __init__(self, archive: Archive, around: Surroundings) -> None:
        settings = around.config().management
        self._archive, self._around = archive, around
        self.mesh = Mesh(archive, around.world, around.note, shares_required=settings.shares_required)
        self.door = Door("management", around.note)
        self._operators = find_operators(around.config().token_file, archive, around.disk, around.world.random)
        self._ranges, self._stirred = _ranges(settings.networks), trio.Event()
        self._api = Api(every_route(self.mesh, around.world), self._identify, lambda: self._ranges)

    @property
    def url(self) -> str:
        """Where operators find the dashboard; empty while nobody can."""
        listening = f"http://{self.door.address}" if self.door.address else ""
        return self._around.config().management.public_url or listening

    def reconfigure(self) -> None:
        """Goes by the present configuration; where it listens stays."""
        config = self._around.config()
        self._operators = read_operators(config.token_file) or self._operators
        self._stirred.set()
        self._ranges = _ranges(config.management.networks)
        self.mesh.require(config.management.shares_required)

    async def respond(self, request: Request) -> Response:
        """The response to any request, whatever happens."""
        return await self._around.guard(self._api.respond(request))

    async def serve(self, listen: Listen, stopping: trio.Event) -> None:
        """Listens and answers until it is to stop."""
        await self.door.serve(self._server, listen, stopping)

    async def keep(self) -> None:
        """Saves what was heard, now and then, and who may operate, at once."""
        while True:
            with trio.move_on_after(SAVE):
                await self._stirred.wait()
            self._stirred = trio.Event()
            await self.save()

    async def save(self) -> None:
        """Saves what is not saved yet."""
        try:
            await self.mesh.alone(partial(self._archive.save_operators, self._operators))
            await self.mesh.save_presence()
        except StoreError as error:
            self._around.note("management.not-saved", code=error.slug, reason=str(error))

    def _server(self) -> Server:
        return Server(self.respond, admit=self._api.admit, identify=source_address, peer_key=str, limits=LIMITS)

    def _identify(self, request: Request) -> Who:
        return identify(request, self.mesh.atlas, self._operators)


def every_route(mesh: Mesh, world: World) -> list[Route]:
    """The whole interface, its own description among it."""
    routes = [
        *Agents(mesh, world).routes(),
        *Roster(mesh, world).routes(),
        *Rulebook(mesh, world).routes(),
        *Keyring(mesh, world).routes(),
        *Overviews(mesh, world).routes(),
        *page_routes(),
    ]
    described = Response(200, management_document(routes))

    async def describe(_: Asked) -> Response:
        return described

    return [*routes, Route("GET", "/openapi.json", "anybody", describe, "this document")]


def _ranges(networks: Sequence[str]) -> tuple[Range, ...]:
    return tuple(ip_network(network) for network in networks)


@asynccontextmanager
async def management_at_work(around: Surroundings, listen: Listen) -> AsyncIterator[Management]:
    """The server works while the block lasts; then requests under way are answered first."""
    archive, stopping = Archive(around.disk, f"{around.config().private}/{DATABASE}"), trio.Event()
    try:
        management = Management(archive, around)
        await management.mesh.begin()
        async with trio.open_nursery() as background:
            background.start_soon(management.keep)
            async with trio.open_nursery() as serving:
                serving.start_soon(management.serve, listen, stopping)
                yield management
                stopping.set()
                management.mesh.close()
            background.cancel_scope.cancel()
        await management.save()
    finally:
        archive.close()
