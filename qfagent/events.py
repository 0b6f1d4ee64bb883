"""Events are what happened, under stable names: one line each in the log and on the control socket.

* Fields hold names and numbers, never a key, pad or share byte.
* What happens inside a transaction is noted in a `Journal` and told when the transaction is durable.
* A listener that does not keep up loses events, and is told how many; nobody waits for it.
"""

from typing import Any, Protocol

import msgspec


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
