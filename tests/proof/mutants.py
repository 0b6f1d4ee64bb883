"""Systems that are broken on purpose; the promise that each breaks, and the life in which it shows."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from qfagent.client.standing import Standing
from qfagent.dske import validation
from qfagent.store.keys import KeyLog
from qfagent.store.shares import Shares
from tests.power import mutants as power
from tests.proof import whole

_small = partial(whole.play, clients=2, hours=0.5)


class Mutant(NamedTuple):
    """`patch(monkeypatch)` breaks the system; then `play(seed)` raises Broken with one of these promises."""

    patch: Callable
    breaks: frozenset
    play: Callable
    seed: int = 0


def _unvalidated(monkeypatch):
    monkeypatch.setattr(validation, "holds", lambda secret, o: True)


def _unlogged(monkeypatch):
    monkeypatch.setattr(KeyLog, "release", lambda self, generator, secret_id, keys, *, now: None)


def _unstored(monkeypatch):
    monkeypatch.setattr(Shares, "put", lambda self, share, *, now: None)


def _unforgiving(monkeypatch):
    lost = Standing.lost

    def lost_for_good(self, error):
        news, self.retry_at = lost(self, error), float("inf")
        return news

    monkeypatch.setattr(Standing, "lost", lost_for_good)


MUTANTS = {
    "a recoverer that validates nothing": Mutant(_unvalidated, frozenset({"wrong-key"}), whole.play, 2),
    "keys that are not logged": Mutant(_unlogged, frozenset({"key-released-twice"}), _small),
    "shares that are acknowledged and not kept": Mutant(_unstored, frozenset({"key-lost", "no-key"}), _small),
    "a hub that was lost is never asked again": Mutant(_unforgiving, frozenset({"no-key", "key-lost"}), _small),
    "spans that are taken twice": Mutant(power.TakenWithoutMovingOn.patch, frozenset({"span-used-twice"}), _small),
    "a receiver that claims nothing": Mutant(
        power.ClaimWithoutALook.patch, frozenset({"answered-twice", "surprise"}), _small
    ),
}
