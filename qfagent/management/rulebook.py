"""The rulebook is what operators ask about groups and policies."""

from functools import partial
from typing import Any

from qfagent.errors import NotFound
from qfagent.http.routes import Route
from qfagent.management import groups, policies, tokens
from qfagent.management.asked import Asked, Nothing
from qfagent.management.atlas import Atlas
from qfagent.management.groups import GroupRequest, ShownGroup
from qfagent.management.mesh import Mesh
from qfagent.management.policies import PolicyRequest, ShownPolicy
from qfagent.world import World


class Rulebook:
    """The routes for groups and policies."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world

    def routes(self) -> list[Route]:
        """The table."""
        return [*self._group_routes(), *self._policy_routes()]

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
        request, new_id = asked.body(GroupRequest), tokens.new_id(self._world.random)
        atlas = await self._mesh.edit(asked.who.name, partial(groups.create, request=request, new_id=new_id))
        return groups.show(atlas, new_id)

    async def _change_group(self, asked: Asked) -> Any:
        request = asked.body(GroupRequest)
        atlas = await self._mesh.edit(asked.who.name, lambda network: groups.change(network, asked.id, request))
        return groups.show(atlas, asked.id)

    async def _remove_group(self, asked: Asked) -> Any:
        await self._mesh.edit(asked.who.name, lambda network: groups.remove(network, asked.id))
        return Nothing()

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
        request, new_id = asked.body(PolicyRequest), tokens.new_id(self._world.random)
        atlas = await self._mesh.edit(asked.who.name, partial(policies.create, request=request, new_id=new_id))
        return self._show_policy(atlas, new_id)

    async def _change_policy(self, asked: Asked) -> Any:
        request = asked.body(PolicyRequest)
        atlas = await self._mesh.edit(asked.who.name, lambda network: policies.change(network, asked.id, request))
        return self._show_policy(atlas, asked.id)

    async def _remove_policy(self, asked: Asked) -> Any:
        await self._mesh.edit(asked.who.name, lambda network: policies.remove(network, asked.id))
        return Nothing()

    def _show_policy(self, atlas: Atlas, policy_id: str) -> ShownPolicy:
        return policies.show(atlas, policies.find(atlas.network, policy_id))
