"""An allowance lets a role change some times at once, and then once an hour.

* Each start of a client may cost the few bytes that registrations cost which a hub refuses. That is what such attempts
  may cost anyway (ADR 8); so no server can spend more by giving roles in turn.
"""

from typing import Final

import trio

CHANGES: Final = 6  # that may follow each other at once
CHANGE_EVERY: Final = 3600.0  # seconds until one more may


class Allowance:
    """How often one agent's role may still change (clock of trio)."""

    def __init__(self) -> None:
        self._left, self._at = float(CHANGES), trio.current_time()

    def wait(self) -> float:
        """Seconds until the next change is allowed."""
        self._refill()
        return max(0.0, (1 - self._left) * CHANGE_EVERY)

    def spend(self) -> None:
        """Counts a change."""
        self._refill()
        self._left -= 1

    def _refill(self) -> None:
        now = trio.current_time()
        self._left = min(float(CHANGES), self._left + (now - self._at) / CHANGE_EVERY)
        self._at = now
