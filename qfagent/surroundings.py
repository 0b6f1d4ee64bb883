"""The surroundings are what a role finds when it starts; the frame around it has made them."""

from collections.abc import Awaitable, Callable

import msgspec

from qfagent.config import Config
from qfagent.events import Note
from qfagent.http.message import Response
from qfagent.neighbourhood import ANYBODY, Neighbourhood
from qfagent.store.committer import Committer
from qfagent.store.disk import Disk
from qfagent.store.store import Store
from qfagent.world import World

Guard = Callable[[Awaitable[Response]], Awaitable[Response]]
"""Turns a response that fails in a way that it must not into one that says so."""


class Surroundings(msgspec.Struct, frozen=True):
    """`config` and `neighbourhood` give what is to be gone by now; `note` takes events."""

    store: Store
    committer: Committer
    disk: Disk
    world: World
    note: Note
    config: Callable[[], Config]
    guard: Guard
    neighbourhood: Callable[[], Neighbourhood] = lambda: ANYBODY
