"""The provisioner keeps a pool of PSRD files ready for operators to carry away.

* A file is in the pool when it is whole, under its own name, in the folder; absent means that somebody has it.
* The hub's own copy and its row are durable before the file is written, and the file is complete before it is seen.
* A file whose client has registered is overwritten and removed here, whoever left it behind or put it back.
* operations.md, interfaces.md: Handing out a file.
"""

from contextlib import closing
from fnmatch import fnmatch
from functools import partial
from typing import Final

import msgspec
import trio

from qfagent.config import Provisioner as Settings
from qfagent.dske import ids, psrd
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import HubAddress
from qfagent.errors import NotFound, StoreError
from qfagent.hub import handout
from qfagent.hub.books import Books
from qfagent.store.clients import Client
from qfagent.store.database import disk_faults
from qfagent.store.disk import Disk, write_atomic
from qfagent.surroundings import Surroundings

FOLDER_MODE: Final = 0o750
FILE_MODE: Final = 0o640
_POOL_FILE: Final = rf"{ids.POOL_NAME}\.json"


class Premises(msgspec.Struct, frozen=True):
    """Where the provisioner works: its folder, the group that may read there, and what files say of the hub."""

    disk: Disk
    folder: str
    group: int | None
    hub: HubAddress
    settings: Settings


class Provisioner:
    """The pool of one hub."""

    def __init__(self, around: Surroundings, books: Books, premises: Premises) -> None:
        self._store, self._committer, self._world, self._note = (
            around.store,
            around.committer,
            around.world,
            around.note,
        )
        self._books, self._premises = books, premises
        self._stirred = trio.Event()
        self._one_at_a_time = trio.Lock()
        self.problem: StoreError | None = None

    def stir(self) -> None:
        """Something in the folder, or of a client, has changed."""
        self._stirred.set()

    def reconfigure(self, premises: Premises) -> None:
        """Works by other settings from now on."""
        self._premises = premises
        self.stir()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the pool filled; started when it is filled for the first time."""
        await self._prepare()
        await self._tend()
        task_status.started()
        while True:
            with trio.move_on_after(self._premises.settings.interval):
                await self._stirred.wait()
            self._stirred = trio.Event()
            await self._tend()

    async def take(self) -> bytes:
        """Takes one file out of the pool for good: handed out before its first byte is seen. NotFound."""
        async with self._one_at_a_time:
            await self._notice_gone()
            data, client = await self._committer.run(self._take_one)
            while not await self._world.in_thread(partial(self._erase_file, client.name)):  # somebody was faster
                data, client = await self._committer.run(self._take_one)
        self._note("pool.taken", client=client.id)
        self.stir()
        return data

    async def files(self) -> list[str]:
        """The names of the files in the pool."""
        return [_file(client) for client in await self._committer.run(lambda: self._clients("ready"))]

    # --- the rounds

    async def _prepare(self) -> None:
        disk, folder = self._premises.disk, self._premises.folder
        with disk_faults("preparing the pool"):
            disk.make_dir(folder, FOLDER_MODE)
        await self._make_anew_if_moved()

    async def _tend(self) -> None:
        try:
            async with self._one_at_a_time:
                await self._complete_all()
                await self._remove_used()
                await self._notice_gone()
                await self._remove_strays()
                await self._top_up()
            self.problem = None
        except StoreError as error:
            self.problem = error
            self._note("pool.problem", code=error.slug, reason=str(error))

    async def _remove_used(self) -> None:
        for client in await self._committer.run(lambda: self._clients("used")):
            was_there = await self._world.in_thread(partial(self._erase_file, client.name))
            await self._committer.run(partial(self._settle_used, client))
            if was_there:
                self._note("pool.removed", client=client.id, reason="its client has registered")

    async def _remove_strays(self) -> None:
        """Files of no client that waits: put back when it had registered, or of a life that this hub has forgotten."""
        names = await self._world.in_thread(self._list)
        waiting = await self._committer.run(lambda: self._clients("writing", "ready", "out", "used"))
        for name in sorted({name for name in names if ids.matches(_POOL_FILE, name)} - set(map(_file, waiting))):
            await self._world.in_thread(partial(self._erase, name))
            self._note("pool.removed", file=name, reason="no client waits for it")

    async def _notice_gone(self) -> None:
        names = await self._world.in_thread(self._list)
        ready = await self._committer.run(lambda: [(found, self._is_in_use(found)) for found in self._clients("ready")])
        for client in [client for client, in_use in ready if in_use or _file(client) not in names]:
            await self._world.in_thread(partial(self._erase_file, client.name))  # or it is given to another, later
            await self._committer.run(partial(self._hand_out, client.id, "out", was="ready"))
            self._note("pool.handed-out", client=client.id)

    async def _top_up(self) -> None:
        settings = self._premises.settings
        while True:
            ready, out = await self._committer.run(lambda: (len(self._clients("ready")), len(self._clients("out"))))
            if ready >= settings.pool_size:
                return
            if ready + out >= settings.max_handed_out:
                self._note("pool.limit", code="handed-out-limit", count=out)
                return
            await self._add_file()

    async def _add_file(self) -> None:
        client = await self._committer.run(lambda: self._books.clients.add_for_pool(now=self._world.now()))
        premises = self._premises
        settings = premises.settings
        block = handout.make_block(
            client,
            premises.hub,
            user_bytes=settings.user_bytes,
            server_bytes=settings.server_bytes,
            random=self._world.random,
        )
        try:
            await self._world.in_thread(partial(self._store.pads.write, block))
            await self._committer.run(lambda: handout.take_in(self._books, block))
            await self._world.in_thread(partial(self._write_file, client.name, psrd.encode(block)))
        except StoreError:
            if not self._store.failed:
                await self._undo(client, block.id)
            raise
        await self._committer.run(partial(self._hand_out, client.id, "ready", was="writing"))
        self._note("pool.added", client=client.id, block=block.id)

    async def _undo(self, client: Client, block: str) -> None:
        """Leaves nothing of a file that could not be written, as the next round would leave as much again."""
        await self._world.in_thread(partial(self._erase_file, client.name))
        await self._world.in_thread(partial(self._erase, _temporary(client.name)))
        if not await self._committer.run(lambda: self._books.clients.blocks(client.id)):
            await self._world.in_thread(partial(self._store.pads.discard, block))
        await self._committer.run(partial(self._forget_unfinished, client))

    # --- after a crash, after a move

    async def _complete_all(self) -> None:
        for client in await self._committer.run(lambda: self._clients("writing")):
            await self._complete(client)
        for name in await self._world.in_thread(self._list):
            if fnmatch(name, _temporary("pool-*")):
                await self._world.in_thread(partial(self._erase, name))

    async def _complete(self, client: Client) -> None:
        """What an unfinished write left: whole and in place, or not made yet, or, as it can't be told, handed out."""
        names = await self._world.in_thread(self._list)
        if _file(client) in names:
            await self._committer.run(partial(self._hand_out, client.id, "ready", was="writing"))
        elif _temporary(client.name) in names or not await self._committer.run(
            lambda: self._books.clients.blocks(client.id)
        ):
            await self._world.in_thread(partial(self._erase, _temporary(client.name)))
            await self._committer.run(partial(self._forget, client, "never handed out"))
        else:
            await self._committer.run(partial(self._hand_out, client.id, "out", was="writing"))

    async def _make_anew_if_moved(self) -> None:
        here = f"{self._premises.hub.host} {self._premises.hub.port}"
        if await self._committer.run(lambda: self._store.database.get("pool_for")) != here:
            await self._complete_all()
            await self._notice_gone()  # what somebody has stays good
            for client in await self._committer.run(lambda: self._clients("ready")):
                await self._world.in_thread(partial(self._erase_file, client.name))
                await self._committer.run(partial(self._forget, client, "hub moved"))
            await self._committer.run(lambda: self._store.database.set("pool_for", here))

    # --- on the store's thread

    def _clients(self, *handouts: str) -> list[Client]:
        return self._books.clients.with_handout(*handouts)

    def _hand_out(self, client: str, state: str, *, was: str) -> None:
        self._books.clients.hand_out(client, state, was=was, now=self._world.now())

    def _is_in_use(self, client: Client) -> bool:
        """Whether somebody has spoken under the client's block: what is in the folder is a copy."""
        blocks = self._books.clients.blocks(client.id)
        return any(self._books.ledger.seen(block) > Direction.USER.first for block in blocks)

    def _forget(self, client: Client, reason: str) -> None:
        handout.forget(self._books, client, reason=reason)

    def _forget_unfinished(self, client: Client) -> None:
        """Unless somebody was fast enough to carry its file away, and to register."""
        if client.id in {unfinished.id for unfinished in self._clients("writing")}:
            self._forget(client, "never handed out")

    def _settle_used(self, client: Client) -> None:
        for found in self._clients("used"):
            if found.id == client.id and found.peer is None:  # its block joined another client, or it was removed
                self._books.clients.remove(client.id)
        self._hand_out(client.id, "none", was="used")

    def _take_one(self) -> tuple[bytes, Client]:
        ready = [client for client in self._clients("ready") if not self._is_in_use(client)]
        if not ready:
            raise NotFound("the pool is empty", remedy="wait until the provisioner has topped it up")
        data = handout.file_of(self._books, self._store.pads, ready[0], self._premises.hub)
        self._hand_out(ready[0].id, "out", was="ready")
        return data, ready[0]

    # --- in another thread

    def _list(self) -> list[str]:
        with disk_faults("reading the pool"):
            return self._premises.disk.list(self._premises.folder)

    def _write_file(self, name: str, data: bytes) -> None:
        path = f"{self._premises.folder}/{name}.json"
        with disk_faults("writing a pool file"):
            write_atomic(self._premises.disk, path, data, mode=FILE_MODE, group=self._premises.group)

    def _erase_file(self, name: str) -> bool:
        return self._erase(f"{name}.json")

    def _erase(self, name: str) -> bool:
        """Overwrites and removes a file of the folder, out of sight and durably; whether it was there."""
        disk, folder = self._premises.disk, self._premises.folder
        hidden = name if name.startswith(".") else f".{name}.tmp"
        with disk_faults("removing a pool file"):
            try:
                if hidden != name:
                    disk.rename(f"{folder}/{name}", f"{folder}/{hidden}")
                    disk.sync_dir(folder)
                with closing(disk.open(f"{folder}/{hidden}")) as file:
                    file.write_at(0, bytes(file.size()))
                    file.sync()
                disk.unlink(f"{folder}/{hidden}")
            except FileNotFoundError:
                return False
            finally:
                disk.sync_dir(folder)  # if somebody else has removed it, that may not be durable yet
            return True


def _file(client: Client) -> str:
    return f"{client.name}.json"


def _temporary(name: str) -> str:
    return f".{name}.json.tmp"
