"""The mesh is the network as it is now: what was decided, what follows from it, what peers say, and who waits for news.

* Edits come one after the other. Each is durable before anybody sees it, and then all who wait are woken at once.
* When the disk has failed nobody knows what it took: what it has is read before the next edit.
* What follows from a network is worked out once an edit, or when somebody first asks; not once for each who asks.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from qfagent.errors import NotKnown, StoreError
from qfagent.events import Note
from qfagent.management import hub_rule
from qfagent.management.archive import Archive, AuditEvent
from qfagent.management.atlas import Atlas
from qfagent.management.changes import Change, find_changes, tell
from qfagent.management.network import Network, Peer, first_network
from qfagent.management.presence import Presence, Report
from qfagent.management.view import View, Views
from qfagent.world import World

Edit = Callable[[Network], Network]
T = TypeVar("T")

SERVER = "server"  # who has done what nobody asked for


class Mesh:
    """The one live network of a server."""

    def __init__(self, archive: Archive, world: World, note: Note, *, shares_required: int) -> None:
        self._archive, self._world, self._note = archive, world, note
        self._editing, self._news, self._stir = trio.Lock(), trio.Event(), trio.Event()
        self._life, self._serial = world.random(4).hex(), 0
        self.presence, self._views = Presence(archive.sightings()), Views()
        self.shares_required, self._closed, self._is_in_doubt = shares_required, False, False
        self._turn_to(archive.load())

    async def begin(self) -> None:
        """Makes the network, if there is none yet, and mends what was damaged of what the server keeps in it."""
        await self.edit(SERVER, lambda network: first_network() if network == Network() else network)

    async def edit(self, who: str, edit: Edit) -> Atlas:
        """Makes an edit, durably, and wakes all who wait; raises what the edit raises."""
        async with self._editing:
            if self._is_in_doubt:
                self._turn_to(await self._world.in_thread(self._archive.load))
                self._is_in_doubt = False
            network = hub_rule.enforce(edit(self.atlas.network))
            changes = tuple(find_changes(self.atlas.network, network))
            if changes:
                await self._make(changes, who)
                self._turn_to(network)
            return self.atlas

    def require(self, shares_required: int) -> None:
        """From now on a key needs so many shares."""
        if shares_required != self.shares_required:
            self.shares_required = shares_required
            self._turn_to(self.atlas.network)

    def hear(self, peer: Peer, *, address: str, report: Report | None = None) -> None:
        """The peer has asked for something, or told how it is."""
        now, before = self._world.wall(), self.presence.serial
        self.presence.hear(peer.id, address=address, now=now)
        if report is not None:
            self.presence.report(peer.id, report, now=now)
        if self.presence.serial != before:
            self._stir = _wake(self._stir)

    def count_connected(self) -> int:
        """How many peers were heard lately."""
        now = self._world.wall()
        return sum(self.presence.of(peer_id).is_connected(now) for peer_id in self.atlas.network.peers)

    def view(self, peer: Peer, *, known: str = "") -> View:
        """What the peer is told of the network."""
        return self._views.view(peer, known=known)

    def remembers(self, known: str) -> bool:
        """Whether who knows this version is told the difference."""
        return self._views.remembers(known)

    async def wait_view(self, peer: Peer, *, known: str, seconds: float) -> View | None:
        """The peer's view as soon as it is not the one that is known; None after so many seconds. NotKnown: removed."""
        with trio.move_on_after(seconds):
            while not self._closed and self._views.version(self._now(peer)) == known:
                await self._news.wait()
        peer = self._now(peer)
        return None if self._views.version(peer) == known else self.view(peer, known=known)

    @property
    def version(self) -> str:
        """Names what there is to see now: what was decided and what peers say."""
        return f"{self._life}-{self._serial}-{self.presence.serial}"

    async def wait_stir(self, *, known: str, seconds: float) -> None:
        """Returns as soon as the version is not the one that is known, or after so many seconds."""
        with trio.move_on_after(seconds):
            while not self._closed and self.version == known:
                await self._stir.wait()

    def close(self) -> None:
        """Nobody waits here any more."""
        self._closed = True
        self._wake_all()

    async def events(self, *, most: int) -> list[AuditEvent]:
        """The latest audit events, the newest first."""
        return await self.alone(partial(self._archive.events, most=most))

    async def save_presence(self) -> None:
        """Keeps what peers were heard to say since the last time."""
        unsaved = self.presence.take_unsaved()
        if unsaved:
            await self.alone(partial(self._archive.save_sightings, unsaved))

    async def alone(self, work: Callable[[], T]) -> T:
        """Works with the archive while nobody else does."""
        async with self._editing:
            return await self._world.in_thread(work)

    async def _make(self, changes: tuple[Change, ...], who: str) -> None:
        told = tuple(one for change in changes if (one := tell(change)) is not None)
        try:
            await self._world.in_thread(partial(self._archive.save, changes, told, who=who, now=self._world.wall()))
        except StoreError:
            self._is_in_doubt = True
            raise
        for one in told:
            self._note("network.changed", code=one.code, who=who, target=one.name)

    def _now(self, peer: Peer) -> Peer:
        found = self.atlas.bearer(peer.token)
        if found is None:
            raise NotKnown("this peer was removed")
        return found

    def _turn_to(self, network: Network) -> None:
        self.atlas = Atlas(network)
        self._views.turn_to(self.atlas, shares_required=self.shares_required)
        for peer_id in self.presence.known() - network.peers.keys():
            self.presence.forget(peer_id)
        self._serial += 1
        self._wake_all()

    def _wake_all(self) -> None:
        self._news, self._stir = _wake(self._news), _wake(self._stir)


def _wake(event: trio.Event) -> trio.Event:
    """Wakes who waits now; the event for those who come."""
    event.set()
    return trio.Event()
