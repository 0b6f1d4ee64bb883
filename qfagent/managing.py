"""A managed agent, wired: the server it follows, the view in force, and the role that it is cast for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from qfagent.casting import Casting
from qfagent.config import Config
from qfagent.http.transport import bound_to, interface_address
from qfagent.managed.following import Following
from qfagent.managed.kept import Keeper
from qfagent.managed.link import Link
from qfagent.managed.netbird import Api, NetBird
from qfagent.managed.reporting import Reporting
from qfagent.managed.server import Server, Source
from qfagent.roles import Role
from qfagent.surroundings import Surroundings


@asynccontextmanager
async def managed(around: Surroundings) -> AsyncIterator[Role]:
    """An agent that follows its management server."""
    config = around.config()
    keeper = Keeper(around.disk, config.private, url=config.management.url, name=config.peer)
    source = _source(around, keeper)
    following = Following(source, keeper, around.world, around.note)
    casting = Casting(around, following)
    reporting = Reporting(source, casting.told, world=around.world, note=around.note)
    casting.began = reporting.stir
    async with trio.open_nursery() as nursery:
        await nursery.start(following.run)
        nursery.start_soon(casting.play)
        nursery.start_soon(reporting.run)
        await casting.ready.wait()
        yield Role(
            casting.routes,
            casting.report,
            casting.issues,
            casting.measure,
            casting.reconfigure,
            following.membership,
        )
        await casting.stop()
        nursery.cancel_scope.cancel()


def _source(around: Surroundings, keeper: Keeper) -> Source:
    config = around.config()
    given, place = config.management, partial(_place, config)
    match given.kind:
        case "netbird":
            api = Api(Link(given.url, source=str), around.world, token_file=given.token_file)
            return NetBird(
                api, name=config.peer, place=place, shares_required=lambda: around.config().client.shares_required
            )
        case "qfagent":
            link = Link(given.url, source=place, bound=partial(bound_to, config.interface))
            return Server(link, keeper, around.world, setup_key_file=given.setup_key_file)


def _place(config: Config) -> str:
    """The address that this peer calls from; empty if the system may choose. InterfaceDown."""
    if config.management.address or not config.interface:
        return config.management.address
    return interface_address(config.interface)
