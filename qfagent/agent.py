"""The agent: the one place where services are wired, started in order, and stopped in the other.

* `run` reads from the outside in: store, committer, role, control socket, signals; its indentation is the start order.
* A request under way is finished before anything it needs is closed; the store is closed last, and cleanly.
* The frame outlives the role.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from qfagent import amendment, config as configuration, roles, systemd
from qfagent.client.report import ClientReport
from qfagent.config import Config
from qfagent.errors import AgentError, BadConfig, StoreError
from qfagent.events import Bus
from qfagent.health import SLOW, Commits, Readiness, clock_is_synchronized, common_issues, readiness
from qfagent.http.limits import Limits
from qfagent.http.message import Response, problem
from qfagent.http.routes import Route
from qfagent.http.server import Server
from qfagent.hub.report import HubStatus
from qfagent.local import common, socket as control_socket
from qfagent.local.common import Reloaded
from qfagent.local.control import Control
from qfagent.local.socket import Access, Caller, find_group
from qfagent.managed.membership import Membership
from qfagent.management.report import ManagementStatus
from qfagent.metrics import Metrics
from qfagent.roles import Role
from qfagent.status import SCHEMA, Status
from qfagent.store import backup
from qfagent.store.committer import Threaded
from qfagent.store.disk import Disk, RealDisk
from qfagent.store.fence import Reason
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.world import World

GROUPS_LAST: Final = 30.0  # seconds until groups are looked up again
GRACE: Final = 10.0  # seconds that requests under way may take to finish
LIMITS: Final = Limits(body=1 << 20, each=64, request_seconds=70)  # three times the longest hub_timeout, and more
MACHINE_ID: Final = Path("/etc/machine-id")
T = TypeVar("T")
_logger = logging.getLogger("qfagent")


async def run(config: Config, *, path: str, world: World | None = None) -> None:
    """Runs the agent until SIGTERM or SIGINT; `path` is where its configuration is read from again."""
    frame = Frame(config, path, world or World())
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with frame.open_store(), frame.at_work(), frame.listening(), frame.watched():
            systemd.notify("READY=1", await frame.at_a_glance())
            frame.bus.note("agent.started", role=config.role, name=config.peer)
            await frame.heed(signals)
            systemd.notify("STOPPING=1")
            frame.bus.note("agent.stopping")


class Frame:
    """What stays while roles come and go: configuration, store, events, metrics, and the control socket."""

    def __init__(self, config: Config, path: str, world: World, disk: Disk | None = None) -> None:
        self.config, self._path, self._world = config, path, world
        self._disk: Disk = disk or RealDisk()
        self.bus, self.metrics = Bus(world), Metrics()
        self.bus.count = self.metrics.count
        self._commits = Commits()
        self._started = world.wall()
        self._groups: tuple[float, Access] | None = None
        self._common = self._common_routes()
        self._made_socket = False
        self._role: Role
        self._store: Store
        self._committer: Threaded

    # --- the layers, outermost first

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[None]:
        """The state folder, and the thread that commits to it."""
        self._disk.make_dir(self.config.state_dir, 0o711)
        self._store = Store(self._disk, self.config.private, machine=_machine(), world=self._world)
        self._store.on_commit = self._committed
        self._watch_store()
        self._committer = Threaded(self._store)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._committer.serve)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._store.close()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The role that the configuration names."""
        around = Surroundings(
            self._store, self._committer, self._disk, self._world, self.bus.note, lambda: self.config, guard
        )
        at_work: Callable[[Surroundings], AbstractAsyncContextManager[Role]]
        match self.config.role:
            case "client":
                at_work = roles.client
            case "hub":
                at_work = roles.hub
            case "managed":
                from qfagent import managing  # noqa: PLC0415  # httpx takes 0.1 s, which only a managed agent needs

                at_work = managing.managed
            case "management":
                at_work = roles.management
        async with at_work(around) as self._role:
            yield

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """The control socket; at the end, requests under way may finish."""
        control = Control(self.routes, self._access, note=self.bus.note, guard=guard)
        server = Server(
            control.respond, admit=control.admit, identify=control_socket.identify, peer_key=_uid, limits=LIMITS
        )
        listener = await self._listener()
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, [listener])
            yield
            server.stop()
            nursery.cancel_scope.deadline = trio.current_time() + GRACE
        if self._made_socket:
            await trio.Path(self.config.control.socket).unlink(missing_ok=True)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Signs of life for systemd, if it wants any: given only while the store takes work and gives it back."""
        seconds = systemd.watchdog_seconds()
        async with trio.open_nursery() as nursery:
            if seconds is not None:
                nursery.start_soon(self._show_life, seconds / 3)
            yield
            nursery.cancel_scope.cancel()

    async def _show_life(self, every: float) -> None:
        while True:
            with suppress(StoreError):  # one that has failed is told of elsewhere; one that hangs lets nothing pass
                await self._committer.run(lambda: None)
            systemd.notify("WATCHDOG=1", await self.at_a_glance())
            await trio.sleep(every)

    async def at_a_glance(self) -> str:
        """The line that `systemctl status` shows."""
        ready = await self.readiness()
        codes = ", ".join(issue.code for issue in ready.issues)
        return f"STATUS={self.config.role}, {'ready' if ready.ready else 'not ready'}" + (codes and f": {codes}")

    async def heed(self, signals: AsyncIterator[int]) -> None:
        """Returns when the agent is to stop; reads the configuration again when it is told to."""
        async for number in signals:
            if number != signal.SIGHUP:
                return
            try:
                await self.reload()
            except AgentError as error:
                self.bus.note("config.refused", code=error.slug, reason=str(error))

    def _committed(self, seconds: float) -> None:
        """What callers of the store have waited for the disk."""
        self.metrics.commits.observe(seconds)
        self._commits.took(seconds, now=time.monotonic())

    def _watch_store(self) -> None:
        """Tells of what was found at the start, and of a store that stands still, whichever thread met the fault."""
        token, fence = trio.lowlevel.current_trio_token(), self._store.fence.reason

        def tell(reason: Reason) -> None:
            token.run_sync_soon(partial(self.bus.note, "store.failed", code=reason.code, reason=reason.evidence))

        self._store.on_stop = tell
        if fence is not None:
            self.bus.note("store.fenced", code=fence.code, reason=fence.evidence)
        for block in self._store.ended:
            self.bus.note("block.retired", block=block, code="pad-missing")

    # --- what the control socket asks for

    def routes(self) -> list[Route]:
        """Everything that local tools may ask for now."""
        return [*self._common, *self._role.routes()]

    def _common_routes(self) -> list[Route]:
        agent = common.Agent(
            self.bus,
            self.status,
            Status,
            self.readiness,
            self.measure,
            self.reload,
            self.backup,
            self.lift_fence,
            self.routes,
        )
        return common.Commands(agent).routes()

    async def readiness(self) -> Readiness:
        """Whether keys can be made, and what an operator should see to."""
        of_role = await self._unless_stuck(self._role.issues) or {}
        of_store = self._commits.issues(now=time.monotonic(), waits=self._committer.waits)
        of_machine = common_issues(self._store, is_synchronized=clock_is_synchronized) | self._missing_groups()
        return readiness(of_role | of_store | of_machine)

    async def status(self) -> Status:
        """Everything at a glance."""
        ready, part = await self.readiness(), await self._unless_stuck(self._role.report)
        membership = self._role.membership()
        return Status(
            SCHEMA,
            configuration.VERSION,
            self.config.peer,
            roles.name_of(part) or self.config.role,
            ready.ready,
            ready.issues,
            roles.interface_state(self.config.interface),
            round(self._world.wall() - self._started, 1),
            self._store.fence.reason,
            os.getpid(),
            client=part if isinstance(part, ClientReport) else None,
            hub=part if isinstance(part, HubStatus) else None,
            management=part if isinstance(part, ManagementStatus) else None,
            membership=membership if isinstance(membership, Membership) else None,
        )

    async def measure(self) -> bytes:
        """The metrics, as of now."""
        ready = await self.readiness()
        self.metrics.ready.set(ready.ready)
        self.metrics.fenced.set(self._store.fence.reason is not None)
        self.metrics.issue.clear()
        for issue in ready.issues:
            self.metrics.issue.set(1, issue.code)
        await self._unless_stuck(partial(self._role.measure, self.metrics))
        return self.metrics.text()

    async def _unless_stuck(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What a role says; nothing while its store stands still, or hangs, which is told of on its own."""
        if self._committer.waits >= SLOW:
            return None
        try:
            return await ask()
        except StoreError:
            return None

    async def reload(self) -> Reloaded:
        """Reads the configuration again; what can be changed now is changed at once, or nothing is. BadConfig."""
        new = configuration.load(self._path)
        systemd.notify("RELOADING=1")
        try:
            return self._take_over(new)
        finally:
            systemd.notify("READY=1", await self.at_a_glance())

    def _take_over(self, new: Config) -> Reloaded:
        before, changed = self.config, amendment.changes(self.config, new)
        applied = tuple(path for path in changed if path in amendment.LIVE)
        self.config = amendment.amend(before, new)
        try:
            self._role.reconfigure()
        except AgentError:
            self.config = before
            raise
        _logger.setLevel(self.config.log.level.upper())
        self._look_groups_up()
        needs_restart = tuple(path for path in changed if path not in applied)
        self.bus.note("config.reloaded", applied=list(applied), needs_restart=list(needs_restart))
        return Reloaded(applied, needs_restart)

    async def backup(self) -> bytes:
        """Configuration, registry and tombstones."""
        try:
            text = await trio.Path(self._path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadConfig(f"{self._path}: can't be read, and belongs into a backup") from error
        return await self._committer.run(partial(backup.export, self._store.database, config=text))

    async def lift_fence(self) -> None:
        """The operator's word: spending may go on."""
        await self._committer.run(partial(self._store.lift_fence, _machine()))
        self.bus.note("store.fence-lifted")

    def _access(self) -> Access:
        """Who may do what; groups are looked up now and then, since that is dear."""
        now = trio.current_time()
        if self._groups is None or now - self._groups[0] > GROUPS_LAST:
            control = self.config.control
            self._groups = (now, Access(find_group(control.group), find_group(control.admin_group)))
        return self._groups[1]

    def _look_groups_up(self) -> None:
        """A group may have been made since, or have another number."""
        self._groups = None
        group = roles.usable(self._access().group)
        if self._made_socket and group is not None:
            control_socket.give(self.config.control.socket, group)

    def _missing_groups(self) -> dict[str, str]:
        control, access = self.config.control, self._access()
        found = {control.group: access.group, control.admin_group: access.admin_group}
        missing = [name for name, number in found.items() if number is None]
        return {"group-missing": f"no group {', '.join(missing)}: its members may do nothing"} if missing else {}

    async def _listener(self) -> trio.SocketListener:
        handed_over = [sock for sock in systemd.listening_sockets() if sock.family == socket.AF_UNIX]
        if handed_over:
            return trio.SocketListener(trio.socket.from_stdlib_socket(handed_over[0]))
        self._made_socket = True
        path = self.config.control.socket
        self._disk.make_dir(str(Path(path).parent), 0o755)
        return await control_socket.listen(path, group=roles.usable(self._access().group))


async def guard(response: Awaitable[Response]) -> Response:
    """The last line of defence: what must not happen is logged and answered, and the agent goes on."""
    try:
        return await response
    except Exception:
        _logger.exception("a request failed in a way that it must not")
        return problem(AgentError())


def _uid(peer: object) -> int:
    assert isinstance(peer, Caller), "the server has identified the caller"
    return peer.uid


def _machine() -> str:
    try:
        return MACHINE_ID.read_text().strip()
    except OSError:
        return ""
