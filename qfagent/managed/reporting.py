"""Reporting tells the server how this peer is: every minute, and when something has changed.

* A report that fails is no news; the next goes after a while, and after ever longer ones if that fails, too.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from qfagent.backoff import Backoff
from qfagent.errors import ManagementRefused, ManagementUnreachable, StoreError
from qfagent.events import Note
from qfagent.managed.report import Report
from qfagent.managed.server import Source
from qfagent.world import World

EVERY: Final = 60.0  # seconds
LOOK: Final = 2.0  # seconds between looks whether something has changed


class Reporting:
    """The reports of one peer; `report` gives what there is to tell now, None if there is nothing or nobody to tell."""

    def __init__(
        self, source: Source, report: Callable[[], Awaitable[Report | None]], *, world: World, note: Note
    ) -> None:
        self._source, self._report, self._note = source, report, note
        self._backoff = Backoff(world)
        self._told: Report | None = None  # what the server knows
        self._due_at = 0.0
        self._stirred = trio.Event()

    def stir(self) -> None:
        """Something has changed."""
        self._stirred.set()

    async def run(self) -> None:
        """Tells, for as long as it runs."""
        while True:
            self._stirred = trio.Event()
            current = await self._report()
            if current is None:
                self._due_at = 0.0  # the next one is news
            elif self._is_due(current):
                self._due_at = trio.current_time() + await self._tell(current)
            with trio.move_on_after(LOOK):
                await self._stirred.wait()

    def _is_due(self, current: Report) -> bool:
        is_news = self._told is not None and current.is_news_after(self._told)
        return is_news or trio.current_time() >= self._due_at

    async def _tell(self, report: Report) -> float:
        """Seconds until the next one is due."""
        try:
            await self._source.tell(report)
        except (ManagementUnreachable, ManagementRefused, StoreError) as error:
            self._note("management.report-failed", code=error.slug, reason=str(error))
            self._told = None
            return self._backoff.failed()
        self._told = report
        self._backoff.worked()
        return EVERY
