"""A hub's standing: whether it may be asked now, and if not, why, and when that may change.

* Down: a request had no proven answer; `health` is asked at `retry_at`. Only a proven answer shortens the waits again,
  and ends the doubt: `health` may come from anybody.
* Stopped: the hub says that this client was rolled back; for as long as it says so, or until an operator speaks.
"""

from typing import Final

import msgspec
import trio

from qfagent.backoff import Backoff
from qfagent.errors import AgentError, HubStopped, HubUnavailable, InterfaceDown
from qfagent.world import World

DURABLE_AFTER: Final = 600.0  # seconds, until a hub that keeps saying so is believed for good
INTERFACE_RETRY: Final = 1.0  # seconds; a missing interface is no fault of the hub's


class Stop(msgspec.Struct, frozen=True):
    """Which block the hub has seen further than it was spent, up to which offset, since when (clock of trio)."""

    block: str
    evidence: int
    since: float
    durable: bool = False

    def seen_up_to(self, evidence: int) -> "Stop":
        """The same stop, after the hub has said so again."""
        return msgspec.structs.replace(self, evidence=max(self.evidence, evidence))

    @property
    def has_lasted(self) -> bool:
        """Whether the hub has kept saying so long enough."""
        return trio.current_time() - self.since >= DURABLE_AFTER


class Standing:
    """What a client knows of one hub; nothing here waits."""

    def __init__(self, world: World) -> None:
        self._backoff = Backoff(world)
        self.down: AgentError | None = None
        self.doubt: AgentError | None = None  # why the latest request had no proven answer
        self.retry_at = 0.0
        self.stop: Stop | None = None
        self.heard_at: float | None = None
        self.proven_at: float | None = None
        self.latency: float | None = None  # seconds, of proven answers, smoothed

    def check(self) -> None:
        """HubStopped or HubUnavailable, if the hub may not be asked now."""
        if self.stop is not None:
            raise HubStopped(
                f"the hub has seen more of block {self.stop.block} than was spent here",
                remedy="find out whether this machine was restored or cloned, then `qfagent psrd resume` or `retire`",
            )
        if self.down is not None:
            wait = max(0.0, self.retry_at - trio.current_time())
            raise HubUnavailable(f"{self.down} (asked again in {wait:.0f} s)")

    def lost(self, error: AgentError) -> bool:
        """A request had no proven answer; whether that is news."""
        was_up, self.down, self.doubt = self.down is None, error, error
        wait = INTERFACE_RETRY if isinstance(error, InterfaceDown) else self._backoff.failed()
        self.retry_at = trio.current_time() + wait
        return was_up

    def forgive(self) -> None:
        """Starts anew, as if nothing had failed."""
        self._backoff.worked()
        self.down = self.doubt = self.heard_at = self.proven_at = self.latency = None

    def healthy(self) -> None:
        """`health` has answered: requests may be sent, but the hub has proven nothing yet."""
        self.down, self.heard_at = None, trio.current_time()

    def proved(self, seconds: float) -> bool:
        """A proven answer came after so long; whether it is the first one, or the first after a failure."""
        news = self.proven_at is None or self.down is not None or self._backoff.failing
        self._backoff.worked()
        self.down, self.doubt, self.heard_at = None, None, trio.current_time()
        self.proven_at = self.heard_at
        self.latency = seconds if self.latency is None else 0.8 * self.latency + 0.2 * seconds
        return news

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be sent now, for a reason that is the hub's."""
        return self.down is not None or self.stop is not None

    @property
    def reachable(self) -> bool:
        """Whether it was heard of, and not lost since."""
        return self.heard_at is not None and self.down is None

    @property
    def up(self) -> bool:
        """Whether its last request had a proven answer and nothing is against the next."""
        return self.proven_at is not None and self.down is None and self.stop is None and not self._backoff.failing
