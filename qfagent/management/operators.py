"""What operators ask of the server, in the shape that they know from NetBird.

* Every change is an edit of the network, made and told in one place; what is shown comes from the network behind it.
"""

from collections.abc import Iterable
from functools import cache, partial
from typing import Any, Final

import msgspec

from qfagent.errors import NotFound
from qfagent.http.routes import Route
from qfagent.management import groups, peers, policies, setup_keys, tokens
from qfagent.management.asked import Asked
from qfagent.management.atlas import Atlas
from qfagent.management.audit import Event, show
from qfagent.management.groups import GroupRequest, ShownGroup
from qfagent.management.mesh import Edit, Mesh
from qfagent.management.network import Peer, groups_of
from qfagent.management.peers import AccessiblePeer, PeerRequest, ShownPeer
from qfagent.management.policies import PolicyRequest, ShownPolicy
from qfagent.management.setup_keys import SetupKeyChange, SetupKeyRequest, ShownKey
from qfagent.world import World

MOST_EVENTS: Final = 10_000  # that are shown at once


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing more to say."""


class Operators:
    """The routes for operators."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world

    def routes(self) -> list[Route]:
        """The table."""
        return [*self._peer_routes(), *self._group_routes(), *self._policy_routes(), *self._key_routes()]

    # --- peers

    def _peer_routes(self) -> list[Route]:
        every, one, query = "/api/peers", "/api/peers/{id}", ("name", "ip")
        reach, near = f"{one}/accessible-peers", list[AccessiblePeer]
        return [
            Route("GET", every, "observe", self._peers, "all peers", query=query, gives=list[ShownPeer]),
            Route("GET", one, "observe", self._peer, "a peer", gives=ShownPeer),
            Route("PUT", one, "operate", self._change_peer, "change a peer", takes=PeerRequest, gives=ShownPeer),
            Route("DELETE", one, "operate", self._remove_peer, "remove a peer", gives=Nothing),
            Route("GET", reach, "observe", self._accessible, "the peers that it has links with", gives=near),
            Route("GET", "/api/events/audit", "observe", self._events, "what was changed", gives=list[Event]),
        ]

    async def _peers(self, asked: Asked) -> Any:
        name, address = asked.query.get("name", ""), asked.query.get("ip", "")
        atlas = self._mesh.atlas
        every = (peer for peer in atlas.network.peers.values() if name in peer.name)
        return self._show_peers(atlas, (peer for peer in every if address in (peer.address, "")))

    async def _peer(self, asked: Asked) -> Any:
        return self._show_peer(self._mesh.atlas, asked.id)

    async def _change_peer(self, asked: Asked) -> Any:
        request = asked.body(PeerRequest, ignoring=peers.ONLY_SHOWN)
        atlas = await self._edit(asked, lambda network: peers.change(network, asked.id, request))
        return self._show_peer(atlas, asked.id)

    async def _remove_peer(self, asked: Asked) -> Any:
        await self._edit(asked, lambda network: peers.remove(network, asked.id))
        return Nothing()

    async def _accessible(self, asked: Asked) -> Any:
        atlas, now = self._mesh.atlas, self._world.wall()
        linked = atlas.linked(peers.find(atlas.network, asked.id))
        return [peers.show_accessible(peer, self._mesh.presence.of(peer.id), now=now) for peer in linked]

    async def _events(self, _: Asked) -> Any:
        return [show(event) for event in await self._mesh.events(most=MOST_EVENTS)]

    def _show_peer(self, atlas: Atlas, peer_id: str) -> ShownPeer:
        return self._show_peers(atlas, [peers.find(atlas.network, peer_id)])[0]

    def _show_peers(self, atlas: Atlas, every: Iterable[Peer]) -> list[ShownPeer]:
        presence, now = self._mesh.presence, self._world.wall()
        shown = cache(partial(peers.show_groups, atlas))
        return [peers.show(atlas, peer, presence.of(peer.id), groups=shown(groups_of(peer)), now=now) for peer in every]

    # --- groups

    def _group_routes(self) -> list[Route]:
        every, one = "/api/groups", "/api/groups/{id}"
        takes, gives = GroupRequest, ShownGroup
        return [
            Route("GET", every, "observe", self._groups, "all groups", query=("name",), gives=list[ShownGroup]),
            Route("POST", every, "operate", self._create_group, "make a group", takes=takes, gives=gives),
            Route("GET", one, "observe", self._group, "a group", gives=gives),
            Route("PUT", one, "operate", self._change_group, "change a group", takes=takes, gives=gives),
            Route("DELETE", one, "operate", self._remove_group, "remove a group", gives=Nothing),
        ]

    async def _groups(self, asked: Asked) -> Any:
        atlas, name = self._mesh.atlas, asked.query.get("name")
        found = [group.id for group in atlas.network.groups.values() if name in (None, group.name)]
        if name is not None and not found:
            raise NotFound(f"there is no group {name!r}")
        return [groups.show(atlas, group_id) for group_id in found]

    async def _group(self, asked: Asked) -> Any:
        atlas = self._mesh.atlas
        return groups.show(atlas, groups.find(atlas.network, asked.id).id)

    async def _create_group(self, asked: Asked) -> Any:
        request, new_id = asked.body(GroupRequest), self._new_id()
        return groups.show(await self._edit(asked, partial(groups.create, request=request, new_id=new_id)), new_id)

    async def _change_group(self, asked: Asked) -> Any:
        request = asked.body(GroupRequest)
        atlas = await self._edit(asked, lambda network: groups.change(network, asked.id, request))
        return groups.show(atlas, asked.id)

    async def _remove_group(self, asked: Asked) -> Any:
        await self._edit(asked, lambda network: groups.remove(network, asked.id))
        return Nothing()

    # --- policies

    def _policy_routes(self) -> list[Route]:
        every, one = "/api/policies", "/api/policies/{id}"
        takes, gives = PolicyRequest, ShownPolicy
        return [
            Route("GET", every, "observe", self._policies, "all policies", gives=list[ShownPolicy]),
            Route("POST", every, "operate", self._create_policy, "make a policy", takes=takes, gives=gives),
            Route("GET", one, "observe", self._policy, "a policy", gives=gives),
            Route("PUT", one, "operate", self._change_policy, "change a policy", takes=takes, gives=gives),
            Route("DELETE", one, "operate", self._remove_policy, "remove a policy", gives=Nothing),
        ]

    async def _policies(self, _: Asked) -> Any:
        atlas = self._mesh.atlas
        return [policies.show(atlas, policy) for policy in atlas.network.policies.values()]

    async def _policy(self, asked: Asked) -> Any:
        return self._show_policy(self._mesh.atlas, asked.id)

    async def _create_policy(self, asked: Asked) -> Any:
        request, new_id = asked.body(PolicyRequest), self._new_id()
        atlas = await self._edit(asked, partial(policies.create, request=request, new_id=new_id))
        return self._show_policy(atlas, new_id)

    async def _change_policy(self, asked: Asked) -> Any:
        request = asked.body(PolicyRequest)
        atlas = await self._edit(asked, lambda network: policies.change(network, asked.id, request))
        return self._show_policy(atlas, asked.id)

    async def _remove_policy(self, asked: Asked) -> Any:
        await self._edit(asked, lambda network: policies.remove(network, asked.id))
        return Nothing()

    def _show_policy(self, atlas: Atlas, policy_id: str) -> ShownPolicy:
        return policies.show(atlas, policies.find(atlas.network, policy_id))

    # --- setup keys

    def _key_routes(self) -> list[Route]:
        every, one, gives = "/api/setup-keys", "/api/setup-keys/{id}", ShownKey
        return [
            Route("GET", every, "observe", self._keys, "all setup keys", gives=list[ShownKey]),
            Route("POST", every, "operate", self._create_key, "make a setup key", takes=SetupKeyRequest, gives=gives),
            Route("GET", one, "observe", self._key, "a setup key", gives=gives),
            Route("PUT", one, "operate", self._change_key, "revoke a setup key", takes=SetupKeyChange, gives=gives),
            Route("DELETE", one, "operate", self._remove_key, "remove a setup key", gives=Nothing),
        ]

    async def _keys(self, _: Asked) -> Any:
        now = self._world.wall()
        return [setup_keys.show(key, now=now) for key in self._mesh.atlas.network.keys.values()]

    async def _key(self, asked: Asked) -> Any:
        return self._show_key(self._mesh.atlas, asked.id)

    async def _create_key(self, asked: Asked) -> Any:
        request, new_id, secret = asked.body(SetupKeyRequest), self._new_id(), tokens.new_setup_key(self._world.random)
        create = partial(setup_keys.create, request=request, secret=secret, new_id=new_id, now=self._world.wall())
        return self._show_key(await self._edit(asked, create), new_id, secret=secret)

    async def _change_key(self, asked: Asked) -> Any:
        request, now = asked.body(SetupKeyChange), self._world.wall()
        atlas = await self._edit(asked, lambda network: setup_keys.change(network, asked.id, request, now=now))
        return self._show_key(atlas, asked.id)

    async def _remove_key(self, asked: Asked) -> Any:
        await self._edit(asked, lambda network: setup_keys.remove(network, asked.id))
        return Nothing()

    def _show_key(self, atlas: Atlas, key_id: str, *, secret: str = "") -> ShownKey:
        return setup_keys.show(setup_keys.find(atlas.network, key_id), now=self._world.wall(), secret=secret)

    # --- all

    async def _edit(self, asked: Asked, edit: Edit) -> Atlas:
        return await self._mesh.edit(asked.who.name, edit)

    def _new_id(self) -> str:
        return tokens.new_id(self._world.random)
