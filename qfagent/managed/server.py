"""A qfagent management server, as a peer asks it: enrol once, then wait for a new view, and report.

* It enrols with its setup key when it has no badge, or when its badge is refused and the setup key is another one: who
  was removed does not come back by itself.
"""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
import trio

from qfagent.errors import ManagementRefused, ManagementUnreachable, NotRecognized
from qfagent.managed.kept import Badge, Keeper, digest
from qfagent.managed.link import Link, understood
from qfagent.managed.report import Report
from qfagent.managed.view import Id, Told, View, follow
from qfagent.world import World

WAIT: Final = 55  # seconds that the server may let us wait for news
MARGIN: Final = 20.0  # seconds beyond that


class Source(Protocol):
    """Where views come from."""

    async def look(self, known: View | None) -> View | None:
        """A newer view than the known one; None if there is none for a while.

        ManagementUnreachable, ManagementRefused, StoreError.
        """
        ...

    async def tell(self, report: Report) -> None:
        """Tells how this peer is. ManagementUnreachable, ManagementRefused."""
        ...


class Enrolled(msgspec.Struct, frozen=True):
    """What an enrolment brings."""

    id: Id
    name: str
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=r"\A[!-~]+\Z")]

    def __repr__(self) -> str:
        return f"<Enrolled {self.id}>"


class Server:
    """The server that a link leads to, for the peer whose badge is kept; a `Source`."""

    def __init__(self, link: Link, keeper: Keeper, world: World, *, setup_key_file: str) -> None:
        self._link, self._keeper, self._world = link, keeper, world
        self._name, self._setup_key_file = keeper.name, Path(setup_key_file)
        self._badge: Badge | None = None
        self._enrolling = trio.Lock()
        self._wants_all = False

    async def look(self, known: View | None) -> View | None:
        """See `Source`; waits at the server."""
        badge = await self._enrolled()
        query = {"known": known.version if known and not self._wants_all else "", "wait": WAIT}
        ask = partial(self._link.ask, "GET", "/agent/v1/view", params=query, seconds=WAIT + MARGIN)
        try:
            body = await ask(authorization=_bearer(badge))
        except NotRecognized as error:
            body = await ask(authorization=_bearer(await self._enrolled_anew(error)))
        return None if body is None else self._followed(known, body)

    async def tell(self, report: Report) -> None:
        """See `Source`."""
        badge = await self._enrolled()
        content = msgspec.json.encode(report)
        await self._link.ask("PUT", "/agent/v1/report", content=content, authorization=_bearer(badge))

    def _followed(self, known: View | None, body: bytes) -> View:
        self._wants_all = True  # unless what it says can be followed
        told = understood(Told, body)
        if told.peer.name != self._name:
            raise ManagementRefused(f"{self._link.url} takes this peer for {told.peer.name}; it is {self._name}")
        try:
            view = follow(known, told)
        except ValueError as error:
            raise ManagementUnreachable(f"its answer makes no sense: {error}") from None
        self._wants_all = False
        return view

    async def _enrolled(self) -> Badge:
        async with self._enrolling:
            if self._badge is None:
                kept = await self._world.in_thread(self._keeper.badge)
                self._badge = kept or await self._enrol(await self._setup_key())
            return self._badge

    async def _enrolled_anew(self, error: ManagementRefused) -> Badge:
        key = await self._setup_key()
        if self._badge is None or self._badge.setup_key == digest(key):
            raise error
        self._badge = await self._enrol(key)
        return self._badge

    async def _enrol(self, key: str) -> Badge:
        system = os.uname()
        request = {
            "setup_key": key,
            "name": self._name,
            "hostname": system.nodename[:128],
            "os": system.sysname[:128],
            "kernel_version": system.release[:128],
        }
        content = msgspec.json.encode(request)
        enrolled = understood(Enrolled, await self._link.ask("POST", "/agent/v1/enrol", content=content))
        badge = Badge(self._keeper.url, self._name, enrolled.id, enrolled.token, digest(key))
        await self._world.in_thread(partial(self._keeper.keep_badge, badge))
        return badge

    async def _setup_key(self) -> str:
        return await self._world.in_thread(partial(read_secret, self._setup_key_file))


def read_secret(path: Path) -> str:
    """What a file with a key or a token holds; ManagementRefused if that is not one word."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ManagementRefused(f"{path}: can't be read, and is needed to show who this is") from error
    if not text.isprintable() or " " in text or not text:
        raise ManagementRefused(f"{path}: expected one word")
    return text


def _bearer(badge: Badge) -> str:
    return f"Bearer {badge.token}"
