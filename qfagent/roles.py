"""The roles, wired: what each needs is made here, and what the frame needs of each is handed up."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import trio

from qfagent.client import commands as client_commands, measures as client_measures, report as client_report
from qfagent.client.desk import open_desk
from qfagent.client.dropped import FOLDER_MODE, DropFolder
from qfagent.client.role import client_at_work
from qfagent.config import MANAGEMENT_PORT, Config, parse_address
from qfagent.door import Listening
from qfagent.dske.psrd import DEFAULT_PORT, HubAddress
from qfagent.errors import InterfaceDown
from qfagent.http.pool import Connect
from qfagent.http.routes import Route
from qfagent.http.transport import dial, interface_address, listen_tcp
from qfagent.hub import commands as hub_commands, measures as hub_measures, report as hub_report
from qfagent.hub.provisioner import Premises
from qfagent.hub.report import HubStatus
from qfagent.hub.role import Hub, find_hub_id, hub_at_work
from qfagent.local.socket import find_group
from qfagent.management import report as management_report
from qfagent.management.role import management_at_work
from qfagent.metrics import Metrics
from qfagent.status import Interface
from qfagent.store.disk import Disk
from qfagent.store.holdings import check_name
from qfagent.surroundings import Surroundings
from qfagent.watch import watching

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # only where the operator has turned the binding off


class Role(msgspec.Struct, frozen=True):
    """What the frame needs of a role at work; `membership` is for one that a management server gives."""

    routes: Callable[[], list[Route]]
    report: Callable[[], Awaitable[msgspec.Struct | None]]
    issues: Callable[[], Awaitable[dict[str, str]]]
    measure: Callable[[Metrics], Awaitable[None]]
    reconfigure: Callable[[], None]
    membership: Callable[[], msgspec.Struct | None] = lambda: None


@asynccontextmanager
async def client(around: Surroundings) -> AsyncIterator[Role]:
    """A client at work."""
    config = around.config()
    await around.committer.run(partial(check_name, around.store.database, config.peer))
    desk = open_desk(around)
    folder = DropFolder(around.disk, config.inbox, rejected=f"{config.private}/rejected")
    connect = partial(_connect, config.interface, config.management.address)
    async with client_at_work(desk, connect, folder) as at_work:
        _share(config.inbox, FOLDER_MODE, config.control.admin_group)
        with watching({config.inbox: at_work.inbox.wake}):
            routes = client_commands.Commands(at_work).routes()
            yield Role(
                lambda: routes,
                partial(client_report.report, at_work, inbox=config.inbox),
                partial(client_report.issues, at_work),
                partial(client_measures.measure, at_work),
                at_work.reconfigure,
            )


@asynccontextmanager
async def hub(around: Surroundings) -> AsyncIterator[Role]:
    """A hub at work."""
    config = around.config()
    hub_id = await around.committer.run(partial(find_hub_id, around.store, around.world, config.hub.id))
    made = Hub(hub_id, around, _premises(config, around.disk, hub_id))
    async with hub_at_work(made, partial(_listen, config.interface, config.hub.listen)):
        with watching({config.pool: made.provisioner.stir}):
            routes = hub_commands.Commands(made).routes()
            yield Role(
                lambda: routes,
                partial(hub_report.report, made),
                partial(hub_report.issues, made),
                partial(hub_measures.measure, made),
                lambda: made.reconfigure(_premises(around.config(), around.disk, hub_id)),
            )


@asynccontextmanager
async def management(around: Surroundings) -> AsyncIterator[Role]:
    """A management server at work."""
    config = around.config()
    listen = partial(_listen, config.interface, config.management.listen, port=MANAGEMENT_PORT)
    async with management_at_work(around, listen) as at_work:
        yield Role(
            list,
            partial(management_report.report, at_work),
            partial(management_report.issues, at_work),
            partial(management_report.measure, at_work),
            at_work.reconfigure,
        )


def name_of(report: msgspec.Struct | None) -> Literal["client", "hub"] | None:
    """The role whose part of the status this is."""
    match report:
        case client_report.ClientReport():
            return "client"
        case HubStatus():
            return "hub"
    return None


def interface_state(name: str) -> Interface:
    """Whether the interface is there, and its address."""
    if not name:
        return Interface("", up=True, address="")
    try:
        return Interface(name, up=True, address=interface_address(name))
    except InterfaceDown:
        return Interface(name, up=False, address="")


def _connect(interface: str, source: str, address: HubAddress) -> Connect:
    async def connect() -> trio.abc.Stream:
        return await dial(address.host, address.port, interface=interface, source=source)

    return connect


async def _listen(interface: str, address: str, *, port: int = DEFAULT_PORT) -> Listening:
    host, port = parse_address(address, port=port) if address else ("", port)
    place = partial(_place, interface, host)
    where = str(place()[1])
    listener = await listen_tcp(where, port, interface=interface)
    return Listening(listener, f"{where}:{port}", place)


def _place(interface: str, host: str) -> tuple[Any, ...]:
    """What a listener is bound to: when this changes, it listens to nothing."""
    if not interface:
        return (0, host or ANY_ADDRESS)
    try:
        return (trio.socket.if_nametoindex(interface), host or interface_address(interface))
    except OSError:
        raise InterfaceDown(f"the interface {interface} is missing") from None


def _premises(config: Config, disk: Disk, hub_id: str) -> Premises:
    address = HubAddress(hub_id, config.hub.fqdn, _port(config))
    group = find_group(config.control.admin_group)
    return Premises(disk, config.pool, usable(group), address, config.hub.provisioner)


def _port(config: Config) -> int:
    return parse_address(config.hub.listen or "unset")[1]


def usable(group: int | None) -> int | None:
    """The group, if this process may give files to it."""
    return group if group is not None and (os.geteuid() == 0 or group in os.getgroups()) else None


def _share(folder: str, mode: int, group: str) -> None:
    """Gives a folder to a group, where that is permitted; the package's tmpfiles.d has done so otherwise."""
    number = usable(find_group(group))
    if number is not None:
        with suppress(PermissionError):
            os.chown(folder, -1, number)
            Path(folder).chmod(mode)
