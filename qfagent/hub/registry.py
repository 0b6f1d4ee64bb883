"""The registry is what an operator does with a hub's clients: add, list, approve, assign PSRD, remove."""

from collections.abc import Callable
from functools import partial

import msgspec

from qfagent.dske import ids, psrd
from qfagent.dske.pad import MAX_PAD, MIN_PAD
from qfagent.dske.psrd import Block, HubAddress
from qfagent.errors import AgentError, BadRequest, NothingChanged
from qfagent.hub import handout
from qfagent.hub.books import Books
from qfagent.store.clients import Client, Stock
from qfagent.surroundings import Surroundings


class Listed(msgspec.Struct, frozen=True):
    """One client as an operator sees it; pads in bytes, what is left and of how much, `last_seen` in Unix seconds."""

    id: str
    name: str
    peer: str | None
    state: str
    wanted: str | None
    user_left: int
    server_left: int
    blocks: int
    last_seen: int | None
    user_bytes: int
    server_bytes: int


class Registry:
    """The clients of one hub, for operators."""

    def __init__(
        self,
        around: Surroundings,
        books: Books,
        hub: Callable[[], HubAddress],
        *,
        stir: Callable[[], None],
    ) -> None:
        """`hub` is what files say of this hub; `stir` wakes the provisioner."""
        self._store, self._committer, self._world, self._note = (
            around.store,
            around.committer,
            around.world,
            around.note,
        )
        self._books, self._hub, self._stir = books, hub, stir

    async def add(self, name: str) -> Client:
        """A client for a named peer. BadRequest, NothingChanged."""
        if not ids.matches(ids.PEER_NAME, name):
            raise BadRequest("name: expected a peer name (1-63 of a-z 0-9 . _ -, not beginning with pool-)")
        client = await self._committer.run(lambda: self._books.clients.add(name, now=self._world.now()))
        self._note("client.added", client=client.id, peer=name)
        return client

    async def listing(self) -> list[Listed]:
        """Every client, oldest first."""
        return await self._committer.run(self._list)

    async def assign(self, client_id: str, *, user_bytes: int, server_bytes: int, first: bool) -> bytes:
        """A new PSRD file for a named client; the hub's own copy is durable. BadRequest, NotFound, WrongState."""
        for name, size in (("user_bytes", user_bytes), ("server_bytes", server_bytes)):
            if not MIN_PAD <= size <= MAX_PAD:
                raise BadRequest(f"{name}: expected {MIN_PAD} to {MAX_PAD}")
        check = partial(handout.check_assignable, first=first)
        client = await self._committer.run(lambda: check(self._books, client_id))
        sizes = {"user_bytes": user_bytes, "server_bytes": server_bytes}
        block = handout.make_block(client, self._hub(), **sizes, random=self._world.random)
        await self._world.in_thread(partial(self._store.pads.write, block))
        await self._take_in(block, check)
        self._note("client.assigned", client=client.id, block=block.id, **sizes)
        return psrd.encode(block)

    async def approve(self, client_id: str) -> None:
        """Lets a registration that waits go through. NotFound, NothingChanged."""
        client = await self._committer.run(lambda: self._approve(client_id))
        self._note("client.approved", client=client.id, peer=client.wanted)
        self._stir()

    async def bind_found(self) -> None:
        """Lets registrations through whose peers have come to be known where they called from."""
        for client in await self._committer.run(self._books.registration.bind_found):
            self._note("client.registered", client=client.id, peer=client.wanted)
            self._stir()

    async def remove(self, client_id: str) -> None:
        """Forgets a client, erases its PSRD and shares. NotFound."""
        await self._committer.run(lambda: self._remove(self._books.clients.get(client_id), "removed"))
        self._note("client.removed", client=client_id)
        self._stir()

    async def expire(self, *, older_than: float) -> int:
        """Forgets clients whose pool file was handed out longer ago than so many seconds, and whom nobody claims."""
        gone = await self._committer.run(lambda: self._expire(self._world.now() - older_than))
        for client in gone:
            self._note("client.removed", client=client, reason="never registered")
        self._stir()
        return len(gone)

    async def _take_in(self, block: Block, check: Callable[[Books, str], Client]) -> None:
        def enter() -> None:
            check(self._books, block.client_id)  # again: others were at work meanwhile
            handout.take_in(self._books, block)

        try:
            await self._committer.run(enter)
        except AgentError:
            if not self._store.failed:
                await self._world.in_thread(partial(self._store.pads.discard, block.id))
            raise

    # --- on the store's thread

    def _list(self) -> list[Listed]:
        levels, nothing = self._books.clients.levels(), Stock()
        return [_listed(client, levels.get(client.id, nothing)) for client in self._books.clients.all()]

    def _approve(self, client_id: str) -> Client:
        books = self._books
        client = books.clients.get(client_id)
        if client.wanted is None:
            raise NothingChanged(f"client {client_id} does not wait for approval")
        if books.clients.of_peer(client.wanted) is not None:
            raise NothingChanged(f"the name {client.wanted} is bound to another client by now")
        books.registration.approve(client)
        return client

    def _remove(self, client: Client, reason: str) -> None:
        books = self._books
        if client.handout in ("none", "out"):
            handout.forget(books, client, reason=reason)
            return
        handout.end(books, client, reason=reason)
        books.clients.unbind(client.id)  # its file is in the folder: the row follows when that has gone

    def _expire(self, before: float) -> list[str]:
        out = self._books.clients.with_handout("out")
        old = [client for client in out if client.created < before and client.wanted is None]
        for client in old:
            handout.forget(self._books, client, reason="never registered")
        return [client.id for client in old]


def _listed(client: Client, stock: Stock) -> Listed:
    return Listed(
        client.id,
        client.name,
        client.peer,
        client.state,
        client.wanted,
        stock.user_left,
        stock.server_left,
        stock.blocks,
        client.last_seen,
        stock.user_bytes,
        stock.server_bytes,
    )
