"""The budget keeps local callers from draining PSRD by asking: fetching is not for polling.

* A hub answers fetches of an id `PER_ID` times at most; one that fails to answer has lost nothing but its own bytes.
* At most `UNKNOWN` fetches an hour of one local user may find nothing at any hub; other users are not held up by that.
* protocol.md section 4, Retries.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from qfagent.errors import FetchLimit

PER_ID: Final = 3
UNKNOWN: Final = 60
HOUR: Final = 3600.0  # seconds
_REMEMBERED: Final = 10_000  # ids


class FetchBudget:
    """What may still be fetched; times are those of trio's clock."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, Counter[str]] = OrderedDict()  # secret id -> hub -> fetches
        self._misses: dict[int, deque[float]] = {}  # by uid

    def spend(self, secret_id: str | None, hubs: Sequence[str], *, uid: int, now: float) -> frozenset[str]:
        """Counts one fetch, of an id or of whatever waits, at every hub that may still be asked; returns these.

        FetchLimit if the user has missed too often.
        """
        self._check_misses(uid, now)
        if secret_id is None:
            return frozenset(hubs)
        asked = self._asked.setdefault(secret_id, Counter())
        self._asked.move_to_end(secret_id)
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        open_to_it = frozenset(hub for hub in hubs if asked[hub] < PER_ID)
        asked.update(open_to_it)
        return open_to_it

    def give_back(self, secret_id: str | None, hub: str) -> None:
        """The hub has not answered the fetch: it has told nobody anything, and is not counted."""
        if secret_id is not None and secret_id in self._asked:
            self._asked[secret_id][hub] -= 1

    def missed(self, *, uid: int, now: float) -> None:
        """The user's fetch has found nothing at any hub that answered."""
        self._misses.setdefault(uid, deque()).append(now)

    def _check_misses(self, uid: int, now: float) -> None:
        misses = self._misses.get(uid, ())
        while misses and misses[0] <= now - HOUR:
            misses.popleft()
        if len(misses) >= UNKNOWN:
            raise FetchLimit(f"{UNKNOWN} fetches in an hour have found nothing", remedy="ask again later")
        if not misses:
            self._misses.pop(uid, None)


def used_up() -> FetchLimit:
    """The error of a hub that may not be asked for an id again."""
    return FetchLimit(f"this id was fetched {PER_ID} times already", remedy="let the generator make a new key")
