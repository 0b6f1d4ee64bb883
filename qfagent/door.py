"""A door is where a server listens to the mesh.

* It starts without its interface, says so, and listens as soon as that is there; if the interface is made anew, it
  listens anew.
* Requests under way are answered when it closes; whoever is too slow for that is not waited for.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from qfagent.errors import AgentError, HubUnavailable, InterfaceDown
from qfagent.events import Note
from qfagent.http.server import Server

LOOK: Final = 2.0  # seconds between looks at the interface
GRACE: Final = 5.0  # seconds that requests under way may take to finish

Listen = Callable[[], Awaitable["Listening"]]


class Listening:
    """Where a server listens now, and what it would listen to if it began now: a change means that it must."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream], address: str, place: Callable[[], object]) -> None:
        self.listener, self.address, self._place = listener, address, place
        self._began = place()

    @property
    def is_current(self) -> bool:
        """Whether the place is still there, and the same."""
        try:
            return self._place() == self._began
        except InterfaceDown:
            return False


class Door:
    """One server's door; `name` stands in front of its events."""

    def __init__(self, name: str, note: Note) -> None:
        self._name, self._note = name, note
        self.listening: Listening | None = None
        self.trouble: AgentError | None = None

    @property
    def address(self) -> str:
        """Where it listens; empty while it can't."""
        return self.listening.address if self.listening else ""

    @property
    def issues(self) -> dict[str, str]:
        """Why it does not listen, by code."""
        if self.listening is not None:
            return {}
        code = "interface-down" if isinstance(self.trouble, InterfaceDown) else "not-listening"
        return {code: str(self.trouble or "not listening yet")}

    async def serve(self, server: Callable[[], Server], listen: Listen, stopping: trio.Event) -> None:
        """Listens and answers until it is to stop, then lets requests finish."""
        while not stopping.is_set():
            try:
                listening = await listen()
            except HubUnavailable as error:
                self._say_not_listening(error)
                with trio.move_on_after(LOOK):
                    await stopping.wait()
                continue
            self._note(f"{self._name}.listening", address=listening.address)
            self.listening, self.trouble = listening, None
            await self._serve(server(), listening, stopping)
            self.listening = None

    async def _serve(self, server: Server, listening: Listening, stopping: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, [listening.listener])
            while listening.is_current and not stopping.is_set():
                with trio.move_on_after(LOOK):
                    await stopping.wait()
            server.stop()
            nursery.cancel_scope.deadline = trio.current_time() + GRACE

    def _say_not_listening(self, error: AgentError) -> None:
        if self.trouble is None or str(self.trouble) != str(error):
            self._note(f"{self._name}.not-listening", code=error.slug, reason=str(error))
        self.trouble = error
