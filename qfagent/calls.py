"""Calls are requests to a role that may end while the agent goes on: they are counted, and answered before it ends.

* Who comes when the role is about to go is told to ask again; every request has an end of its own, so this has, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import trio

from qfagent.errors import RoleChanging
from qfagent.http.routes import Call, Route


class Calls:
    """Requests to one role that are under way."""

    def __init__(self) -> None:
        self._open, self._closed, self._ended = 0, False, trio.Event()

    def gate(self, route: Route) -> Route:
        """The route, counted while the role is there, and refused when it is about to go."""

        async def handler(call: Call) -> Any:
            with self._counted():
                return await route.handler(call)

        return msgspec.structs.replace(route, handler=handler)

    async def close(self) -> None:
        """Lets no more begin, and waits for those under way."""
        self._closed = True
        self._end_if_last()
        await self._ended.wait()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._closed:
            raise RoleChanging
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._end_if_last()

    def _end_if_last(self) -> None:
        if self._closed and not self._open:
            self._ended.set()
