"""Events are what happened, under stable names: one line each in the log and on the control socket.

* Fields hold names and numbers, never a key, pad or share byte.
* What happens inside a transaction is noted in a `Journal` and told when the transaction is durable.
* A listener that does not keep up loses events, and is told how many; nobody waits for it.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import msgspec
import trio

from qfagent.world import World

BACKLOG: Final = 1024  # events that a listener may lag behind
RECENT: Final = 256  # events that are kept for those who come later
_logger = logging.getLogger("qfagent")


class Event(msgspec.Struct, frozen=True):
    """One thing that happened; `name` such as `psrd.ingested`."""

    name: str
    fields: dict[str, Any]


class Note(Protocol):
    """What takes an event in."""

    def __call__(self, name: str, /, **fields: Any) -> None:
        """Takes the event in."""
        ...


class Journal:
    """Events of the transaction that is under way."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def note(self, name: str, /, **fields: Any) -> None:
        """Notes an event, to be told later."""
        self._events.append(Event(name, fields))

    def drain(self) -> tuple[Event, ...]:
        """What was noted since the last time."""
        events, self._events = tuple(self._events), []
        return events


class Bus:
    """Tells events to the log and to whoever listens; used on trio's thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._listeners: set[Listener] = set()
        self.count: Callable[[str, dict[str, Any]], None] = lambda *_: None
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    def note(self, name: str, /, **fields: Any) -> None:
        """Tells an event."""
        _logger.log(_level(name), "event", extra={"event": name, "fields": fields})
        self.count(name, fields)
        told = {"ts": round(self._world.wall(), 3), "event": name, **fields}
        self.recent.append(told)
        for listener in self._listeners:
            listener.hear(told)

    @contextmanager
    def listen(self) -> Iterator["Listener"]:
        """A listener for as long as the block lasts."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class Listener:
    """One who hears every event from now on, or how many were lost."""

    def __init__(self) -> None:
        self._heard: deque[dict[str, Any]] = deque()
        self._lost = 0
        self._news = trio.Event()

    def hear(self, told: dict[str, Any]) -> None:
        """Takes an event in; nobody waits."""
        if len(self._heard) >= BACKLOG:
            self._lost += 1
        else:
            self._heard.append(told)
        self._news.set()

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._heard and not self._lost:
            self._news = trio.Event()
            await self._news.wait()
        if self._heard:
            return self._heard.popleft()
        lost, self._lost = self._lost, 0
        return {"event": "events.lost", "count": lost}


ALARMS: Final = frozenset(
    {
        "block.retired",
        "block.stopped",
        "hub.stopped",
        "hub.faulty",
        "psrd.contradiction",
        "store.fenced",
        "store.failed",
    }
)
WARNINGS: Final = frozenset(
    {
        "block.doubted",
        "client.sweep-failed",
        "config.refused",
        "control.denied",
        "hub.down",
        "hub.not-listening",
        "hub.store-trouble",
        "hub.suspect",
        "hub.sweep-failed",
        "key.mismatch",
        "management.lost",
        "management.report-failed",
        "management.not-listening",
        "management.not-saved",
        "pool.limit",
        "pool.problem",
        "psrd.not-overwritten",
        "psrd.not-registered",
        "psrd.rejected",
        "psrd.unreadable",
        "role.failed",
    }
)


def _level(name: str) -> int:
    if name in ALARMS:
        return logging.ERROR
    return logging.WARNING if name in WARNINGS else logging.INFO
