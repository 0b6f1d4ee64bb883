"""A gathering is one fetch from all hubs: shares come in, secrets come out as soon as they validate.

* Every answer counts, early or late; who deviates from a secret that validated is named.
* Nobody has to wait for all: `wait` ends when its condition holds, or when every hub has answered or failed.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

import trio

from qfagent.client.exchange import Brought
from qfagent.client.hubs import Hub
from qfagent.client.quorum import too_few
from qfagent.client.ring import Held, Which
from qfagent.dske import wire
from qfagent.dske.recover import Recovery
from qfagent.errors import AgentError, NotFound, ThresholdMismatch, TooFewHubs

ROUNDS: Final = 3  # a key may take so many times as long as one request to a hub


class Answer(NamedTuple):
    """What a hub has brought; `is_recalled`: at an earlier time, so that it may hold more by now."""

    shares: Sequence[Brought]
    is_recalled: bool = False


Ask = Callable[[Hub], Awaitable[Answer]]  # raises an AgentError if there is no answer
Suspect = Callable[[str, str], None]  # hub, generator


class Gathering:
    """One fetch from all hubs, while it lasts."""

    def __init__(self, hubs: Iterable[Hub], wanted: wire.Wanted, *, k: int, ask: Ask, suspect: Suspect) -> None:
        self._hubs, self._wanted, self._k, self._ask_hub, self._suspect = tuple(hubs), wanted, k, ask, suspect
        self._recoveries: dict[Which, Recovery] = {}
        self._expires: dict[Which, int] = {}
        self._suspected: set[tuple[str, Which]] = set()
        self._taken: set[Which] = set()
        self._news = trio.Event()
        self._heard: set[str] = set()  # hubs that have answered now
        self.answered: set[str] = set()
        self.failures: dict[str, AgentError] = {}

    def start(self, nursery: trio.Nursery) -> None:
        """Asks all hubs at once."""
        for hub in self._hubs:
            nursery.start_soon(self._ask, hub)

    async def wait(self, enough: Callable[[], bool], *, seconds: float) -> None:
        """Until there is enough, or no more to come, or the time is up."""
        with trio.move_on_after(seconds):
            while not enough() and not self.complete:
                await self._news.wait()

    @property
    def complete(self) -> bool:
        """Whether every hub has answered or failed."""
        return len(self.answered) + len(self.failures) == len(self._hubs)

    @property
    def found(self) -> list[Which]:
        """Every secret of which an entry has come, in the order of the first hubs to answer."""
        return list(self._recoveries)

    def validated(self, which: Which) -> bool:
        """Whether the secret is rebuilt."""
        recovery = self._recoveries.get(which)
        return recovery is not None and recovery.recovered is not None

    def is_alone(self, which: Which) -> bool:
        """Whether no other generator can have `k` shares of a secret under what was asked for, at any of the hubs."""
        unheard = len(self._hubs) - len(self._heard)
        rivals = [len(recovery.hubs) for other, recovery in self._recoveries.items() if other != which]
        return max(rivals, default=0) + unheard < self._k

    def take_held(self) -> list[Held]:
        """The secrets that were rebuilt since the last call, oldest first."""
        taken = [
            Held(*which, dict(enumerate(recovery.recovered.keys)), self._expires[which])
            for which, recovery in self._recoveries.items()
            if recovery.recovered is not None and which not in self._taken
        ]
        self._taken.update((held.generator, held.secret_id) for held in taken)
        return taken

    def why_not(self, what: str) -> AgentError:
        """The error that says why there is no secret."""
        entries = [recovery for recovery in self._recoveries.values() if recovery.hubs]
        thresholds = {k for recovery in entries for k in recovery.thresholds}
        if not entries:
            missing = NotFound(f"no hub knows {what}", remedy="ask its generator whether it was made, and when")
            return missing if len(self.answered) >= self._k else too_few(self._k, len(self.answered), self.failures)
        if thresholds and self._k not in thresholds:
            other = ", ".join(map(str, sorted(thresholds)))
            return ThresholdMismatch(
                f"the generator used shares_required = {other}, this agent has {self._k}",
                remedy="make it the same on every peer of the network",
            )
        best = max(len(recovery.hubs) for recovery in entries)
        if best >= self._k:
            return TooFewHubs(f"{best} shares of {what} came, and they do not validate", remedy="see `qfagent hubs`")
        return too_few(self._k, best, self.failures)

    async def _ask(self, hub: Hub) -> None:
        try:
            answer = await self._ask_hub(hub)
        except AgentError as error:
            self.failures[hub.id] = error
        else:
            for share in answer.shares:
                self._feed(hub.id, share)
                await trio.lowlevel.checkpoint()  # an attempt to rebuild takes its time
            self.answered.add(hub.id)
            if not answer.is_recalled:
                self._heard.add(hub.id)
        self._news.set()
        self._news = trio.Event()

    def _feed(self, hub: str, brought: Brought) -> None:
        which = (brought.generator, brought.secret_id)
        if not self._wanted.covers(*which):  # a batch brings what others asked for, too
            return
        recovery = self._recoveries.setdefault(which, Recovery(k=self._k))
        recovery.add(hub, brought.entry)
        self._expires[which] = max(self._expires.get(which, 0), brought.expires_at)
        for suspect in recovery.suspects():
            if (suspect, which) not in self._suspected:
                self._suspected.add((suspect, which))
                self._suspect(suspect, which[0])
