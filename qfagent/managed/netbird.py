"""NetBird as the server: a peer reads its view off NetBird's public API, with a token that may read.

* Membership of the group `DSKE Security Hubs` makes a hub; hubs are exempt, and `k` is what the configuration says.
* A peer's name is the first label of its DNS name, which NetBird keeps unique; who has no fitting one is left out.
* NetBird knows no DSKE hub ids: a hub is recognized by the host that its PSRD files name.
* Nothing is written here, so reports have nowhere to go.
"""

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from qfagent.dske import ids
from qfagent.errors import HubUnavailable, ManagementRefused, ManagementUnreachable
from qfagent.managed.link import Link, understood
from qfagent.managed.report import Report
from qfagent.managed.server import read_secret
from qfagent.managed.view import Own, SeenHub, SeenPeer, View
from qfagent.world import World

HUBS_GROUP: Final = "DSKE Security Hubs"
EVERY: Final = 30.0  # seconds between looks


class Group(msgspec.Struct, frozen=True):
    """What is read of a group."""

    id: str
    name: str


class Peer(msgspec.Struct, frozen=True):
    """What is read of a peer."""

    id: str
    name: str
    ip: str
    dns_label: str
    hostname: str = ""
    groups: tuple[Group, ...] | None = None

    @property
    def label(self) -> str:
        """Its name in the mesh."""
        return self.dns_label.partition(".")[0].lower()

    @property
    def is_hub(self) -> bool:
        """Whether it is in the group of the hubs."""
        return any(group.name == HUBS_GROUP for group in self.groups or ())

    @property
    def hosts(self) -> tuple[str, ...]:
        """What its PSRD files may call it."""
        return self.ip, self.dns_label.lower(), self.label


class Reached(msgspec.Struct, frozen=True):
    """What is read of a peer that another may reach."""

    id: str


class Api:
    """NetBird's API, with the token in a file."""

    def __init__(self, link: Link, world: World, *, token_file: str) -> None:
        self._link, self._world, self._token_file = link, world, Path(token_file)

    async def ask(self, method: str, path: str, content: msgspec.Struct | None = None) -> bytes | None:
        """The body of what it answers. ManagementUnreachable, ManagementRefused."""
        token = await self._world.in_thread(partial(read_secret, self._token_file))
        more: dict[str, Any] = {} if content is None else {"content": msgspec.json.encode(content)}
        return await self._link.ask(method, path, authorization=f"Token {token}", **more)


class NetBird:
    """The `Source` of a peer with this name, at the address that `place` gives (empty: not known)."""

    def __init__(self, api: Api, *, name: str, place: Callable[[], str], shares_required: Callable[[], int]) -> None:
        self._api, self._name, self._place, self._shares_required = api, name, place, shares_required
        self._has_looked = False

    async def look(self, known: View | None) -> View | None:
        """See `Source`; asks every half minute."""
        if self._has_looked:
            await trio.sleep(EVERY)
        self._has_looked = False  # what fails is tried again as its caller likes
        peers = understood(tuple[Peer, ...], await self._api.ask("GET", "/api/peers"))
        own = self._own(peers)
        reached = understood(tuple[Reached, ...], await self._api.ask("GET", f"/api/peers/{own.id}/accessible-peers"))
        view = make_view(own, peers, {peer.id for peer in reached}, shares_required=self._shares_required())
        self._has_looked = True
        return None if known is not None and known.version == view.version else view

    async def tell(self, _: Report) -> None:
        """See `Source`; NetBird takes no reports."""

    def _own(self, peers: Iterable[Peer]) -> Peer:
        try:
            place = self._place()
        except HubUnavailable as error:
            raise ManagementUnreachable(f"what this peer is can't be told: {error}") from error
        own = next((peer for peer in peers if (peer.ip == place if place else peer.label == self._name)), None)
        if own is None:
            raise ManagementRefused(f"NetBird knows no peer {place or self._name}")
        if own.label != self._name:
            raise ManagementRefused(
                f"NetBird calls this peer {own.label}, the configuration {self._name}", remedy="make them the same"
            )
        return own


def make_view(own: Peer, peers: Iterable[Peer], reached: set[str], *, shares_required: int) -> View:
    """The view of a peer that may reach those; ManagementUnreachable if it makes none."""
    others = [peer for peer in peers if peer.id in reached and ids.matches(ids.PEER_NAME, peer.label)]
    try:
        hubs = tuple(SeenHub("", peer.label, peer.ip, peer.hosts) for peer in others if peer.is_hub)
        view = View(
            "",
            Own(own.id, own.label, own.ip, "hub" if own.is_hub else "client", own.is_hub),
            shares_required,
            hubs,
            tuple(SeenPeer(peer.id, peer.label, peer.ip, peer.is_hub) for peer in others),
        )
    except ValueError as error:
        raise ManagementUnreachable(f"its answer makes no sense: {error}") from None
    return msgspec.structs.replace(view, version=sha256(msgspec.json.encode(view)).hexdigest())
