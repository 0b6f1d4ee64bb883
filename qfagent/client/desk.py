"""The desk is what everything a client does has at hand: its books, the way to commit to them, and its settings."""

from collections.abc import Callable
from dataclasses import dataclass, field

from qfagent.client.exchange import Exchange
from qfagent.config import ClientSection
from qfagent.events import Note
from qfagent.store.committer import Committer
from qfagent.store.holdings import Holdings
from qfagent.store.hubs import Pins
from qfagent.store.keys import KeyLog
from qfagent.store.ledger import Ledger
from qfagent.store.store import Store
from qfagent.world import World


@dataclass(frozen=True, slots=True)
class Desk:
    """`stopped` holds the ids of hubs that say this client was rolled back."""

    peer: str
    store: Store
    ledger: Ledger
    holdings: Holdings
    pins: Pins
    keys: KeyLog
    exchange: Exchange
    committer: Committer
    world: World
    note: Note
    settings: Callable[[], ClientSection]
    stopped: set[str] = field(default_factory=set)

    @property
    def rolled_back(self) -> bool:
        """Whether so many hubs say so that no single one can be lying: then nothing is spent anywhere."""
        return len(self.stopped) >= self.settings().shares_required


def open_desk(
    peer: str, store: Store, committer: Committer, *, world: World, note: Note, settings: Callable[[], ClientSection]
) -> Desk:
    """The desk over an open store."""
    holdings, keys = Holdings(store.database, store.ledger), KeyLog(store.database, store.ledger)
    exchange = Exchange(store.ledger, holdings, keys, world.now)
    pins = Pins(store.database)
    return Desk(peer, store, store.ledger, holdings, pins, keys, exchange, committer, world, note, settings)
