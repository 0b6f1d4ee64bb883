"""The roster is what operators ask about peers, and about what was changed."""

from collections.abc import Iterable
from functools import cache, partial
from typing import Any, Final

from qfagent.http.routes import Route
from qfagent.management import peers
from qfagent.management.asked import Asked, Nothing
from qfagent.management.atlas import Atlas
from qfagent.management.audit import Event, show
from qfagent.management.mesh import Mesh
from qfagent.management.network import Peer, groups_of
from qfagent.management.peers import AccessiblePeer, PeerRequest, ShownPeer
from qfagent.world import World

MOST_EVENTS: Final = 10_000  # that are shown at once


class Roster:
    """The routes for peers."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world

    def routes(self) -> list[Route]:
        """The table."""
        every, one, query = "/api/peers", "/api/peers/{id}", ("name", "ip")
        reach, near = f"{one}/accessible-peers", list[AccessiblePeer]
        return [
            Route("GET", every, "observe", self._all, "all peers", query=query, gives=list[ShownPeer]),
            Route("GET", one, "observe", self._one, "a peer", gives=ShownPeer),
            Route("PUT", one, "operate", self._change, "change a peer", takes=PeerRequest, gives=ShownPeer),
            Route("DELETE", one, "operate", self._remove, "remove a peer", gives=Nothing),
            Route("GET", reach, "observe", self._accessible, "the peers that it has links with", gives=near),
            Route("GET", "/api/events/audit", "observe", self._events, "what was changed", gives=list[Event]),
        ]

    async def _all(self, asked: Asked) -> Any:
        name, address = asked.query.get("name", ""), asked.query.get("ip", "")
        atlas = self._mesh.atlas
        every = (peer for peer in atlas.network.peers.values() if name in peer.name)
        return self._show(atlas, (peer for peer in every if address in (peer.address, "")))

    async def _one(self, asked: Asked) -> Any:
        return self._show_one(self._mesh.atlas, asked.id)

    async def _change(self, asked: Asked) -> Any:
        request = asked.body(PeerRequest, ignoring=peers.ONLY_SHOWN)
        atlas = await self._mesh.edit(asked.who.name, lambda network: peers.change(network, asked.id, request))
        return self._show_one(atlas, asked.id)

    async def _remove(self, asked: Asked) -> Any:
        await self._mesh.edit(asked.who.name, lambda network: peers.remove(network, asked.id))
        return Nothing()

    async def _accessible(self, asked: Asked) -> Any:
        atlas, now = self._mesh.atlas, self._world.wall()
        linked = atlas.linked(peers.find(atlas.network, asked.id))
        return [peers.show_accessible(peer, self._mesh.presence.of(peer.id), now=now) for peer in linked]

    async def _events(self, _: Asked) -> Any:
        return [show(event) for event in await self._mesh.events(most=MOST_EVENTS)]

    def _show_one(self, atlas: Atlas, peer_id: str) -> ShownPeer:
        return self._show(atlas, [peers.find(atlas.network, peer_id)])[0]

    def _show(self, atlas: Atlas, every: Iterable[Peer]) -> list[ShownPeer]:
        presence, now = self._mesh.presence, self._world.wall()
        shown = cache(partial(peers.show_groups, atlas))
        return [peers.show(atlas, peer, presence.of(peer.id), groups=shown(groups_of(peer)), now=now) for peer in every]
