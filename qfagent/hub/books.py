"""A hub's books: the durable things it works with, opened together over one store."""

import msgspec

from qfagent.dske.wire import BlockState
from qfagent.events import Journal
from qfagent.hub.deposits import Deposits
from qfagent.hub.exchange import Exchange
from qfagent.hub.registration import Registration
from qfagent.hub.rules import Binding, Rules
from qfagent.store.clients import Clients
from qfagent.store.ledger import Ledger
from qfagent.store.shares import Shares
from qfagent.store.store import Store
from qfagent.world import World


class Books(msgspec.Struct, frozen=True):
    """What a hub keeps, and what it does with it; used on the store's thread only."""

    ledger: Ledger
    clients: Clients
    shares: Shares
    journal: Journal
    deposits: Deposits
    registration: Registration
    exchange: Exchange

    def block_state(self, block: str) -> BlockState | None:
        """What anybody may know of a block; None if it is not known here."""
        state = self.clients.state_of(block)
        if state is None:
            return None
        return BlockState(self.ledger.seen(block), registered=state == "ready", retired=state in ("retired", "gone"))


def open_books(store: Store, world: World, *, hub_id: str, binding: Binding, share_ttl: int) -> Books:
    """The books over an open store; `share_ttl` in seconds."""
    journal, clients, shares = Journal(), Clients(store.database, world.random), Shares(store.database)
    rules = Rules(hub_id, binding, share_ttl, world.now, journal.note)
    deposits = Deposits(store.ledger, clients, shares, rules)
    registration = Registration(store.ledger, clients, rules)
    exchange = Exchange(store.ledger, registration, deposits, journal)
    return Books(store.ledger, clients, shares, journal, deposits, registration, exchange)
