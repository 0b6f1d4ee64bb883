"""Following keeps the view: what the server said last is in force, on disk first, whether the server is there or not.

* A view that can't be understood or kept changes nothing. Whatever fails is tried again, at ever longer intervals.
* However fast a server answers, it is asked again after a pause only; the longer a view took to be kept and followed,
  the longer the pause, so that a server that has news without end takes up neither the disk nor the agent.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from qfagent.backoff import Backoff
from qfagent.errors import ManagementRefused, ManagementUnreachable, StoreError
from qfagent.events import Note
from qfagent.managed.kept import Keeper
from qfagent.managed.membership import Membership
from qfagent.managed.neighbours import Neighbours
from qfagent.managed.server import Source
from qfagent.managed.view import View
from qfagent.world import World

PAUSE: Final = 0.3  # seconds between an answer and the next question
RESTS: Final = 10  # times as long as it took to turn to a view

Fault = ManagementUnreachable | ManagementRefused | StoreError
_FAULTS: Final = (ManagementUnreachable, ManagementRefused, StoreError)


class Following:
    """The view of one peer; `changed` is called whenever it is another."""

    def __init__(self, source: Source, keeper: Keeper, world: World, note: Note) -> None:
        self._source, self._keeper, self._world, self._note = source, keeper, world, note
        self.neighbours: Neighbours | None = None
        self.changed: Callable[[], None] = lambda: None
        self.trouble: Fault | None = None
        self._heard_at: float | None = None
        self._backoff = Backoff(world)
        self._stirred = trio.Event()

    @property
    def view(self) -> View | None:
        """The view in force; None before the first."""
        return None if self.neighbours is None else self.neighbours.view

    def stir(self) -> None:
        """Somebody wants to know now: what has failed is tried again at once."""
        self._stirred.set()
        self._stirred = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follows; started when what was kept is in force again."""
        await self._recall()
        task_status.started()
        while True:
            try:
                await self._step()
            except _FAULTS as error:
                self._failed(error)
                await self._rest(self._backoff.failed())

    def membership(self) -> Membership:
        """What the status says."""
        view, trouble = self.view, "" if self.trouble is None else str(self.trouble)
        if view is None:
            return Membership(self._keeper.url, "", "", "", self._heard_at, trouble, 0, 0)
        own = view.peer
        counts = len(view.hubs), len(view.peers)
        return Membership(self._keeper.url, own.id, own.address, view.version, self._heard_at, trouble, *counts)

    def issues(self) -> dict[str, str]:
        """What an operator should see to, by code."""
        found = {}
        if self.trouble is not None:
            found[_code(self.trouble)] = self.trouble.detail
        if self.view is None:
            found["not-enrolled"] = f"{self._keeper.url} has not said yet what this peer is"
        return found

    async def _recall(self) -> None:
        try:
            kept = await self._world.in_thread(self._keeper.view)
        except StoreError as error:
            self._failed(error)
            return
        if kept is not None:
            self.neighbours = Neighbours(kept)

    async def _step(self) -> None:
        view = await self._source.look(self.view)
        began = trio.current_time()
        if view is not None and view != self.view:
            await self._world.in_thread(partial(self._keeper.keep_view, view))
            self._turn_to(view)
        self._worked()
        await trio.sleep(PAUSE + RESTS * (trio.current_time() - began))

    def _turn_to(self, view: View) -> None:
        self.neighbours = Neighbours(view)
        counts = {"hubs": len(view.hubs), "peers": len(view.peers)}
        self._note("view.changed", version=view.version[:16], role=view.peer.role, **counts)
        self.changed()

    def _failed(self, error: Fault) -> None:
        if self.trouble is None or str(self.trouble) != str(error):
            self._note("management.lost", code=error.slug, reason=str(error))
        self.trouble = error

    def _worked(self) -> None:
        if self.trouble is not None or self._heard_at is None:
            self._note("management.reached", url=self._keeper.url)
        self.trouble, self._heard_at = None, round(self._world.wall(), 3)
        self._backoff.worked()

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._stirred.wait()


def _code(trouble: Fault) -> str:
    match trouble:
        case StoreError():
            return "view-not-kept"
        case ManagementRefused():
            return "management-refused"
    return "management-unreachable"
