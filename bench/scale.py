"""Whether a hub's costs stay flat: deposits and fetches beside few and beside many stored shares and blocks.

    python bench/scale.py [--shares N] [--blocks N]

The store and the protocol alone, on the real disk, 16 messages a commit. Trust the ratios.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

from hub import HUB, deposits, new_block, take_in

from qfagent.dske import envelope, wire
from qfagent.dske.pad import AUTH_BYTES, Direction, Pad
from qfagent.dske.spans import Span
from qfagent.hub.books import open_books
from qfagent.hub.exchange import Message
from qfagent.store.disk import RealDisk
from qfagent.store.ledger import HUB_STEP
from qfagent.store.store import Store
from qfagent.world import World

MESSAGES, GROUP = 1600, 16
_SHARES = (
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
    " INSERT INTO shares (recoverer, generator, secret_id, hubs, k, m, o, expires_at, block, start, share)"
    " SELECT 'peer-' || i % 1000, 'peer-' || i % 997, printf('%032x', i), '', 2, 1, x'', 1 << 40,"
    " printf('%032x', i % 1000), i, zeroblob(64) FROM n"
)
_BLOCKS = (
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
    " INSERT INTO blocks"
    " (id, born, own, hub, client, name, user_bytes, server_bytes, spent, seen, state, owner, digest)"
    " SELECT printf('%032x', i), i + 1000, 1, '', '', '', 131072, 131072, 16, 32, 'ready', 'owner-' || i % 10000, x''"
    " FROM n"
)


class Hub:
    """One hub's store, with a client that deposits and one that fetches."""

    def __init__(self, folder: str) -> None:
        world = World()
        self.store = Store(RealDisk(), folder, machine="", world=world, step=HUB_STEP)
        self.books = open_books(self.store, world, hub_id=HUB.id, binding="open", share_ttl=3600)
        self.alice, self.bob = new_block("alice"), new_block("bob")
        for block in (self.alice, self.bob):
            self.store.pads.write(block)
            self.store.run(partial(take_in, self.store, self.books, block, block.name))
        self._deposits = iter(deposits(self.alice, MESSAGES * 4))
        self._fetched = 32

    def fill(self, sql: str, rows: int) -> None:
        """Puts rows of others in."""
        self.store.run(lambda: self.store.database.execute(sql, rows))

    def measure(self) -> tuple[float, float, float]:
        """Microseconds a deposit, a fetch of what was deposited, and a count of all shares."""
        pairs = [next(self._deposits) for _ in range(MESSAGES)]
        messages = [Message("POST", wire.DEPOSIT, body, [headers[0][1].encode()]) for headers, body in pairs]
        ids = [wire.decode(wire.Deposits, body).deposits[0].secret_id for _, body in pairs]
        depositing = self._time(messages)
        fetching = self._time(self._fetches(ids))
        began = time.perf_counter()
        self.books.shares.count()
        return depositing, fetching, (time.perf_counter() - began) * 1e6

    def _fetches(self, secret_ids: list[str]) -> list[Message]:
        user, context, made = self.bob.user.reveal(), envelope.request_context("POST", wire.FETCH), []
        for secret_id in secret_ids:
            span = Span(self._fetched, AUTH_BYTES)
            material = user[span.offset : span.end]
            pad = Pad(block=self.bob.id, direction=Direction.USER, span=span, r=user[16:32], material=material)
            body = wire.encode(wire.Fetch((wire.Wanted("alice", secret_id),)))
            auth = envelope.Auth(self.bob.id, *span, 16, pad.authenticator().tag(seen=16, context=context, body=body))
            made.append(Message("POST", wire.FETCH, body, [str(auth).encode()]))
            self._fetched = span.end
        return made

    def _time(self, messages: list[Message]) -> float:
        began = time.perf_counter()
        for at in range(0, len(messages), GROUP):
            group = [partial(self.books.exchange.answer, message) for message in messages[at : at + GROUP]]
            for result in self.store.commit(group):
                assert result.unwrap().status == 200, result.unwrap().body
        return (time.perf_counter() - began) / len(messages) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=1_000_000)
    parser.add_argument("--blocks", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        hub = Hub(f"{folder}/state")
        hub.measure()  # the first has caches to fill
        show("nothing beside", *hub.measure())
        hub.fill(_BLOCKS, options.blocks)
        show(f"{options.blocks} blocks", *hub.measure())
        hub.fill(_SHARES, options.shares)
        show(f"and {options.shares} shares", *hub.measure())


def show(what: str, deposit: float, fetch: float, count: float) -> None:
    """One line."""
    print(f"{what:22} deposit {deposit:7.0f} us   fetch {fetch:7.0f} us   count of shares {count:7.0f} us")


if __name__ == "__main__":
    main()
