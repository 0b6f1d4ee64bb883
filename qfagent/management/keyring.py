"""The keyring is what operators ask about setup keys."""

from functools import partial
from typing import Any

from qfagent.http.routes import Route
from qfagent.management import setup_keys, tokens
from qfagent.management.asked import Asked, Nothing
from qfagent.management.atlas import Atlas
from qfagent.management.mesh import Mesh
from qfagent.management.setup_keys import SetupKeyChange, SetupKeyRequest, ShownKey
from qfagent.world import World


class Keyring:
    """The routes for setup keys."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world

    def routes(self) -> list[Route]:
        """The table."""
        every, one, gives = "/api/setup-keys", "/api/setup-keys/{id}", ShownKey
        return [
            Route("GET", every, "observe", self._all, "all setup keys", gives=list[ShownKey]),
            Route("POST", every, "operate", self._create, "make a setup key", takes=SetupKeyRequest, gives=gives),
            Route("GET", one, "observe", self._one, "a setup key", gives=gives),
            Route("PUT", one, "operate", self._change, "revoke a setup key", takes=SetupKeyChange, gives=gives),
            Route("DELETE", one, "operate", self._remove, "remove a setup key", gives=Nothing),
        ]

    async def _all(self, _: Asked) -> Any:
        now = self._world.wall()
        return [setup_keys.show(key, now=now) for key in self._mesh.atlas.network.keys.values()]

    async def _one(self, asked: Asked) -> Any:
        return self._show(self._mesh.atlas, asked.id)

    async def _create(self, asked: Asked) -> Any:
        request, random, now = asked.body(SetupKeyRequest), self._world.random, self._world.wall()
        new_id, secret = tokens.new_id(random), tokens.new_setup_key(random)
        create = partial(setup_keys.create, request=request, secret=secret, new_id=new_id, now=now)
        return self._show(await self._mesh.edit(asked.who.name, create), new_id, secret=secret)

    async def _change(self, asked: Asked) -> Any:
        request, now = asked.body(SetupKeyChange), self._world.wall()
        change = partial(setup_keys.change, key_id=asked.id, request=request, now=now)
        atlas = await self._mesh.edit(asked.who.name, change)
        return self._show(atlas, asked.id)

    async def _remove(self, asked: Asked) -> Any:
        await self._mesh.edit(asked.who.name, lambda network: setup_keys.remove(network, asked.id))
        return Nothing()

    def _show(self, atlas: Atlas, key_id: str, *, secret: str = "") -> ShownKey:
        return setup_keys.show(setup_keys.find(atlas.network, key_id), now=self._world.wall(), secret=secret)
