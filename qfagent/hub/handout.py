"""Handing out PSRD: a block is made and durable here before anybody else can have its file.

* Every file is for one client: a pool file for whoever claims it first, an assigned one for a named peer.
* A file that has left is never written again; what is known of a pool file survives a crash as `handout`.
* Used on the store's thread, but for `keep`, which may take its time in another.
"""

from collections.abc import Callable

from qfagent.dske import psrd
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.errors import NothingChanged, WrongState
from qfagent.hub.books import Books
from qfagent.store.clients import Client
from qfagent.store.pads import Pads


def make_block(
    client: Client, hub: HubAddress, *, user_bytes: int, server_bytes: int, random: Callable[[int], bytes]
) -> Block:
    """A fresh block for a client."""
    user, server = Secret(random(user_bytes)), Secret(random(server_bytes))
    return Block(hub, client.id, client.peer or client.name, user, server)


def take_in(books: Books, block: Block) -> None:
    """Enters a block, whose pad file is durable, into the books."""
    books.ledger.ingest(block, own=Direction.SERVER, owner=block.client_id)


def check_assignable(books: Books, client_id: str, *, first: bool) -> Client:
    """The client, if PSRD may be assigned to it. NotFound, WrongState, NothingChanged."""
    client = books.clients.get(client_id)
    if client.peer is None:
        raise WrongState(f"client {client_id} came from the pool and no peer has claimed it yet")
    if first and books.clients.ever_had_block(client_id):
        raise NothingChanged(f"client {client_id} has had PSRD before")
    return client


def file_of(books: Books, pads: Pads, client: Client, hub: HubAddress) -> bytes:
    """The PSRD file of a pool client, from the hub's own copy, of which nothing is spent."""
    (block,) = books.clients.blocks(client.id)
    facts = books.ledger.facts(block)
    user = pads.read(block, 0, facts.user_bytes)
    server = pads.read(block, facts.user_bytes, facts.server_bytes)
    return psrd.encode(Block(hub, client.id, client.name, Secret(user), Secret(server)))


def end(books: Books, client: Client, *, reason: str) -> None:
    """Retires and erases a client's blocks, and deletes its shares."""
    for block in books.clients.blocks(client.id):
        books.deposits.retire(block, reason=reason)
    if client.peer is not None:
        books.shares.delete_of(client.peer)


def forget(books: Books, client: Client, *, reason: str) -> None:
    """Ends a client, and forgets it."""
    end(books, client, reason=reason)
    books.clients.remove(client.id)
