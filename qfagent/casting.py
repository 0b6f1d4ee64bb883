"""Casting: a managed agent plays the role that its view gives it, and changes it while it runs.

* One role at a time: its requests are answered before it ends, and the next begins when it has ended.
* Both roles work in one state folder and over one ledger; what the other role has there waits for its return.
* A role that can't begin is tried again at intervals, and the agent says why. One that changes too often is held.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
import trio

from qfagent import roles
from qfagent.backoff import Backoff
from qfagent.calls import Calls
from qfagent.client.report import ClientReport
from qfagent.config import Config
from qfagent.dske.psrd import HubAddress
from qfagent.errors import AgentError, StoreError
from qfagent.health import readiness
from qfagent.http.routes import Route
from qfagent.hub.report import HubStatus
from qfagent.managed.allowance import Allowance
from qfagent.managed.following import Following
from qfagent.managed.neighbours import Neighbours
from qfagent.managed.report import Report
from qfagent.metrics import Metrics
from qfagent.neighbourhood import ANYBODY, Neighbourhood
from qfagent.roles import Role
from qfagent.surroundings import Surroundings
from qfagent.telling import tell

_PLAYS: Final[dict[str, Callable[[Surroundings], AbstractAsyncContextManager[Role]]]] = {
    "client": roles.client,
    "hub": roles.hub,
}


class Casting:
    """The roles of one managed agent, one after the other."""

    def __init__(self, around: Surroundings, following: Following) -> None:
        self._following, self._around = following, around
        self._inner = msgspec.structs.replace(around, config=self._config, neighbourhood=self._neighbourhood)
        self._completed: tuple[Config, Neighbours, Config] | None = None
        self._role: Role | None = None
        self._routes: list[Route] = []
        self._failure: AgentError | None = None
        self._name, self._is_leaving = "", False
        self._allowance = Allowance()
        self.ready = trio.Event()  # the first role is up, has failed, or is not known yet
        self._stirred, self._stopping, self._ended = trio.Event(), False, trio.Event()
        self.began: Callable[[], None] = lambda: None  # told of each role
        following.changed = self._turn

    async def play(self) -> None:
        """Plays role after role, until it is stopped."""
        backoff = Backoff(self._around.world)
        while not self._stopping:
            if self._wanted is not None:
                await self._play(self._wanted)
            self.ready.set()
            if self._wanted is None or self._failure is not None:
                await self._stirred_within(None if self._wanted is None else backoff.failed())
            else:
                backoff.worked()
        self._ended.set()

    async def stop(self) -> None:
        """Ends the role that is played, as always when it ends."""
        self._stopping = True
        self._stir()
        await self._ended.wait()

    # --- what the frame asks

    def routes(self) -> list[Route]:
        """What may be asked of the present role."""
        return self._routes

    async def report(self) -> msgspec.Struct | None:
        """The present role's part of the status."""
        return await self._role.report() if self._role else None

    async def issues(self) -> dict[str, str]:
        """What the present role says, and what the server's side is like."""
        found, role = self._following.issues(), self._role
        if self._failure is not None:
            found["role-failed"] = f"the agent can't be a {self._wanted}: {self._failure.detail}"
        elif self._wanted is not None and (role is None or self._is_leaving):
            found["role-changing"] = f"the agent is about to be a {self._wanted}"
        if role is None:
            return found
        found |= await role.issues()
        moved, wait = self._moved(await role.report()), self._allowance.wait()
        if moved:
            found["hub-moved"] = moved
        if wait and self._name != self._wanted:
            found["role-held"] = f"the role has changed too often: a {self._name} for {wait / 60:.0f} min more"
        return found

    async def measure(self, metrics: Metrics) -> None:
        """Sets the present role's gauges, and no other's."""
        metrics.clear_roles()
        if self._role is not None:
            await self._role.measure(metrics)

    async def told(self) -> Report | None:
        """What the server is told, if it is there."""
        if self._following.trouble is not None:
            return None
        try:
            part, found = await self.report(), await self.issues()
        except StoreError:
            return None
        if not isinstance(part, ClientReport | HubStatus):
            return None
        return tell(self._around.config().peer, part, readiness(found).issues)

    def reconfigure(self) -> None:
        """The configuration has changed; an operator who says so wants to see what the server says now."""
        self._turn()
        self._following.stir()

    # --- inside

    def _turn(self) -> None:
        if self._role is not None:
            self._role.reconfigure()
        self._stir()

    async def _play(self, name: str) -> None:
        failures: list[AgentError] = []
        try:
            with self._around.store.parts():
                try:
                    await self._play_until_other(name)
                finally:
                    await self._around.committer.run(lambda: None)  # whatever was handed over has run
        except* AgentError as group:
            failures = list(_leaves(group))
        finally:
            self._role = None
        self._failure = failures[0] if failures else None
        if self._failure is not None:
            self._routes = []
            self._around.note("role.failed", role=name, code=self._failure.slug, reason=str(self._failure))

    async def _play_until_other(self, name: str) -> None:
        calls = Calls()
        async with _PLAYS[name](self._inner) as role:
            self._role, self._failure, self._name, self._is_leaving = role, None, name, False
            self._routes = [calls.gate(route) for route in role.routes()]
            self._around.note("role.began", role=name)
            self.ready.set()
            self.began()
            await self._other_than(name)
            self._is_leaving = True
            await calls.close()
            self._around.note("role.ends", role=name)
            self._role = None

    async def _other_than(self, name: str) -> None:
        """Waits until another role is wanted and allowed, or the agent stops."""
        while not self._stopping:
            wait = None if self._wanted == name else self._allowance.wait()
            if wait == 0:
                self._allowance.spend()
                return
            await self._stirred_within(wait)

    @property
    def _wanted(self) -> str | None:
        view = self._following.view
        return None if view is None else view.peer.role

    def _config(self) -> Config:
        """The configuration as the view completes it; asked for so often that it is kept while both stay the same."""
        neighbours, config = self._following.neighbours, self._around.config()
        if neighbours is None:
            return config
        if self._completed is None or self._completed[0] is not config or self._completed[1] is not neighbours:
            self._completed = config, neighbours, neighbours.complete(config)
        return self._completed[2]

    def _neighbourhood(self) -> Neighbourhood:
        return self._following.neighbours or ANYBODY

    def _moved(self, part: msgspec.Struct | None) -> str:
        """The hubs that the view has elsewhere than their PSRD files had them: a word of the server moves none."""
        neighbours = self._following.neighbours
        if neighbours is None or not isinstance(part, ClientReport):
            return ""
        hubs = [HubAddress(hub.id, hub.host, hub.port) for hub in part.hubs]
        moved = [f"hub {hub.id} at {seen.address}" for hub in hubs if (seen := neighbours.moved(hub))]
        return f"the management server has {', '.join(moved)}, and its PSRD file says otherwise" if moved else ""

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = trio.Event()

    async def _stirred_within(self, seconds: float | None) -> None:
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + seconds if seconds is not None else scope.deadline
            await self._stirred.wait()


def _leaves(group: BaseExceptionGroup[AgentError]) -> Iterator[AgentError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
