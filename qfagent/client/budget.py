"""The budget keeps local callers from draining PSRD by asking: fetching is not for polling.

* An id is fetched at most `PER_ID` times; at most `UNKNOWN` fetches an hour may find nothing at any hub.
* protocol.md section 4, Retries.
"""

from collections import OrderedDict, deque
from typing import Final

from qfagent.errors import FetchLimit

PER_ID: Final = 3
UNKNOWN: Final = 60
HOUR: Final = 3600.0  # seconds
_REMEMBERED: Final = 100_000  # ids


class FetchBudget:
    """What may still be fetched; times are those of trio's clock."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, int] = OrderedDict()
        self._misses: deque[float] = deque()

    def spend(self, secret_id: str | None, *, now: float) -> None:
        """Counts one fetch, of an id or of whatever waits; FetchLimit if it would be one too many."""
        while self._misses and self._misses[0] <= now - HOUR:
            self._misses.popleft()
        if len(self._misses) >= UNKNOWN:
            raise FetchLimit(f"{UNKNOWN} fetches in an hour have found nothing", remedy="ask again later")
        if secret_id is None:
            return
        asked = self._asked.pop(secret_id, 0)
        self._asked[secret_id] = asked + 1
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        if asked >= PER_ID:
            raise FetchLimit(f"this id was fetched {PER_ID} times already", remedy="let the generator make a new key")

    def give_back(self, secret_id: str | None) -> None:
        """No hub has answered the fetch: it has told nobody anything, and is not counted."""
        if secret_id is not None and secret_id in self._asked:
            self._asked[secret_id] -= 1

    def missed(self, *, now: float) -> None:
        """The fetch has found nothing at any hub that answered."""
        self._misses.append(now)
