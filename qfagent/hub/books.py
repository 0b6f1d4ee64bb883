"""A hub's books: the durable things it works with, opened together over one store."""

from qfagent.config import Binding
from qfagent.dske.wire import BlockState
from qfagent.events import Journal
from qfagent.hub.deposits import Deposits
from qfagent.hub.exchange import Exchange
from qfagent.hub.registration import Registration
from qfagent.hub.rules import IsAt, Rules
from qfagent.neighbourhood import ANYBODY
from qfagent.store.clients import Clients
from qfagent.store.shares import Shares
from qfagent.store.store import Store
from qfagent.world import World


class Books:
    """What a hub keeps, and what it does with it; used on the store's thread only."""

    def __init__(self, store: Store, world: World) -> None:
        self.ledger, self.journal = store.ledger, Journal()
        self.clients, self.shares = Clients(store.database, world.random), Shares(store.database)
        self._now = world.now
        self._waiting_at: dict[str, str] = {}  # client that waits for its peer's address -> where it called from
        store.add(self.clients)
        store.add(self.shares)

    def go_by(self, *, hub_id: str, binding: Binding, share_ttl: int, is_at: IsAt = ANYBODY.is_at) -> None:
        """Works by these rules from now on; `share_ttl` in seconds."""
        rules = Rules(hub_id, binding, share_ttl, self._now, self.journal.note, is_at)
        self.deposits = Deposits(self.ledger, self.clients, self.shares, rules)
        self.registration = Registration(self.ledger, self.clients, rules, self._waiting_at)
        self.exchange = Exchange(self.ledger, self.registration, self.deposits, self.journal)

    def block_state(self, block: str) -> BlockState | None:
        """What anybody may know of a block; None if it is not known here."""
        state = self.clients.state_of(block)
        if state is None:
            return None
        seen, proofs = self.ledger.seen(block), self.ledger.proofs_seen(block)
        return BlockState(seen, state == "ready", state in ("retired", "gone"), proofs)


def open_books(
    store: Store, world: World, *, hub_id: str, binding: Binding, share_ttl: int, is_at: IsAt = ANYBODY.is_at
) -> Books:
    """The books over an open store, opened once; `share_ttl` in seconds."""
    books = Books(store, world)
    books.go_by(hub_id=hub_id, binding=binding, share_ttl=share_ttl, is_at=is_at)
    return books
