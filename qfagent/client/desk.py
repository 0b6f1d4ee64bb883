"""The desk is what everything a client does has at hand: its books, the way to commit to them, and its settings."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from qfagent.client.exchange import Exchange
from qfagent.client.tally import Tally
from qfagent.config import ClientSection
from qfagent.events import Note
from qfagent.neighbourhood import Neighbourhood
from qfagent.store.committer import Committer
from qfagent.store.holdings import Holdings
from qfagent.store.hubs import Pins
from qfagent.store.keys import KeyLog
from qfagent.store.ledger import Ledger
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
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
    neighbourhood: Callable[[], Neighbourhood]
    stopped: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    burned: Counter[str] = field(default_factory=Counter)  # bytes spent for nothing, by cause

    @property
    def rolled_back(self) -> bool:
        """Whether so many hubs say so that no single one can be lying: then nothing is spent anywhere."""
        return len(self.stopped) >= self.settings().shares_required


def open_desk(around: Surroundings) -> Desk:
    """The desk over an open store."""
    store, world = around.store, around.world
    holdings, keys = Holdings(store.database, store.ledger), KeyLog(store.database, store.ledger)
    store.add(holdings)
    return Desk(
        peer=around.config().peer,
        store=store,
        ledger=store.ledger,
        holdings=holdings,
        pins=Pins(store.database),
        keys=keys,
        exchange=Exchange(store.ledger, holdings, keys, world.now),
        committer=around.committer,
        world=world,
        note=around.note,
        settings=lambda: around.config().client,
        neighbourhood=around.neighbourhood,
    )
