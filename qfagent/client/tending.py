"""Tending a hub: what must be done for it to stay useful, while nobody asks for a key.

* A hub that does not serve the network now is left alone, and so is what lies there.
* Down: its health is asked, at ever longer intervals. Stopped: it is asked again whether it still says so.
* New blocks are registered, the oldest first; what a hub refuses is tried again, at ever longer intervals.
* Deposits that it missed, and news of what is done, are sent when it is up; then it is asked for a proof, if it has
  given none since it failed.
"""

import math
from contextlib import suppress
from typing import Final

import trio

from qfagent.backoff import Backoff
from qfagent.client.desk import Desk
from qfagent.client.hubs import Hub
from qfagent.dske import ids
from qfagent.errors import (
    AgentError,
    BadHttp,
    BlockUseless,
    HubStopped,
    HubUnavailable,
    Nonsense,
    PsrdExhausted,
    Refusal,
)
from qfagent.store.holdings import Holding

TELL_DONE_AFTER: Final = 300.0  # seconds; most are told with the next fetch
REFUSED_LONGEST: Final = 3600.0  # seconds between attempts that a hub refuses, each of which costs PSRD
IDLE: Final = 30.0  # seconds between looks when nothing stirs, and between signs of life


class Tending:
    """Everything that is done for one hub in the background."""

    def __init__(self, hub: Hub, desk: Desk) -> None:
        self._hub, self._desk = hub, desk
        self._stop_backoff = Backoff(desk.world)
        self._backoffs: dict[str, Backoff] = {}
        self._due: dict[str, float] = {}  # block -> when to register it again (clock of trio)
        self._unsure: set[str] = set()  # blocks whose proof was sent and not answered
        self._unapproved: set[str] = set()  # blocks that wait for the hub's operator
        self._told_at = trio.current_time()
        self._proofs, self._proof_due = Backoff(desk.world, longest=REFUSED_LONGEST), 0.0

    async def run(self) -> None:
        """For as long as the hub is known."""
        while True:
            stirred = self._hub.stirred
            wait = await self._step()
            with trio.move_on_after(wait):
                await stirred.wait()

    async def _step(self) -> float:
        """Does what is due; seconds until something may be due again."""
        standing = self._hub.standing
        if not self._desk.neighbourhood().serves(self._hub.address):
            return IDLE
        if standing.down is not None:
            return await self._probe()
        if standing.stop is not None:
            return await self._ask_whether_stopped()
        try:
            await self._probe_if_silent()
            await self._register_all()
            await self._send_what_waits()
            await self._end_doubt()
        except AgentError:
            return 0.0 if standing.is_closed else IDLE
        soonest = min((due for due in (*self._due.values(), self._proof_due) if due), default=math.inf)
        return max(0.0, min(IDLE, soonest - trio.current_time()))

    async def _probe(self) -> float:
        wait = self._hub.standing.retry_at - trio.current_time()
        if wait > 0:
            return wait
        try:
            await self._hub.probe()
        except (HubUnavailable, BadHttp) as error:
            self._hub.lost(error)
            return max(0.0, self._hub.standing.retry_at - trio.current_time())
        self._hub.standing.healthy()
        return 0.0

    async def _probe_if_silent(self) -> None:
        heard_at = self._hub.standing.heard_at
        if heard_at is None or trio.current_time() - heard_at >= IDLE:
            try:
                await self._hub.probe()
            except (HubUnavailable, BadHttp) as error:
                self._hub.lost(error)
                raise
            self._hub.standing.healthy()

    async def _end_doubt(self) -> None:
        """Asks a hub that is back for an answer that proves something; more and more rarely, as that costs PSRD."""
        if self._hub.standing.doubt is None:
            self._proofs.worked()
            self._proof_due = 0.0
        elif trio.current_time() >= self._proof_due:
            self._proof_due = trio.current_time() + self._proofs.failed()
            with suppress(PsrdExhausted):  # a hub without PSRD has nothing to prove it with, and is of no use anyway
                await self._hub.ask_for_proof()

    # --- rollback

    async def _ask_whether_stopped(self) -> float:
        stop = self._hub.standing.stop
        assert stop is not None, "the caller has looked"
        if stop.durable:
            return IDLE
        try:
            await self._look_again(stop.block)
        except (HubUnavailable, BadHttp) as error:
            self._hub.lost(error)
        except AgentError:  # the block may be of no use, or the store stand still; each is told of where it was found
            pass
        return self._stop_backoff.failed() if self._hub.standing.stop is not None else 0.0

    async def _look_again(self, block: str) -> None:
        try:
            await self._hub.look_at(block)
        except HubStopped:
            await self._make_durable_in_time()

    async def _make_durable_in_time(self) -> None:
        stop = self._hub.standing.stop
        if stop is not None and stop.has_lasted:
            await self._make_durable(stop.block, stop.evidence)

    async def _make_durable(self, block: str, evidence: int) -> None:
        await self._desk.committer.run(lambda: self._desk.holdings.stop(block, reason="rolled-back", evidence=evidence))
        self._hub.vetting.stop_for_good(block)
        self._desk.note("hub.stopped", hub=self._hub.id, block=block, code="rolled-back-for-good")

    # --- registration

    async def _register_all(self) -> None:
        holdings, now = self._desk.holdings, trio.current_time()
        if holdings.is_settled(self._hub.id):
            return
        new = await self._desk.committer.run(lambda: holdings.new(self._hub.id))
        self._due = {holding.id: self._due[holding.id] for holding in new if holding.id in self._due}
        for holding in new:
            if self._due.get(holding.id, now) <= now:
                await self._register(holding)

    async def _register(self, holding: Holding) -> None:
        if holding.id in self._unapproved and not await self._hub.is_registered(holding.id):
            self._postpone(holding)
            return
        proof = await self._proof_for(holding)
        try:
            await self._hub.register(holding.id, prove_with=proof)
        except HubUnavailable:
            if proof is not None:  # it may have arrived: ask without one before another is spent
                self._unsure.add(holding.id)
            raise
        except (Refusal, BlockUseless, Nonsense, PsrdExhausted) as error:
            await self._refused(holding, error)
        else:
            self._registered(holding)

    async def _proof_for(self, holding: Holding) -> str | None:
        """The block that vouches for a further pool file."""
        if holding.id in self._unsure or not ids.matches(ids.POOL_NAME, holding.name):
            return None
        able = await self._desk.committer.run(lambda: self._desk.holdings.at(self._hub.id, "ready"))
        return next((other.id for other in able if other.can_prove), None)

    async def _refused(self, holding: Holding, error: AgentError) -> None:
        if error.slug == "proof-required" and holding.id in self._unsure:
            self._unsure.discard(holding.id)
            await self._register(holding)
            return
        if error.slug == "binding-refused":
            self._unapproved.add(holding.id)
        self._hub.trouble = error
        self._postpone(holding)
        self._desk.note("psrd.not-registered", hub=self._hub.id, block=holding.id, code=error.slug, reason=str(error))

    def _postpone(self, holding: Holding) -> None:
        backoff = self._backoffs.setdefault(holding.id, Backoff(self._desk.world, longest=REFUSED_LONGEST))
        self._due[holding.id] = trio.current_time() + backoff.failed()

    def _registered(self, holding: Holding) -> None:
        self._hub.trouble = None
        self._due.pop(holding.id, None)
        self._backoffs.pop(holding.id, None)
        self._unsure.discard(holding.id)
        self._unapproved.discard(holding.id)
        self._desk.note("psrd.registered", hub=self._hub.id, block=holding.id)

    # --- what waits

    async def _send_what_waits(self) -> None:
        await self._hub.deposit_backlog()
        if trio.current_time() - self._told_at >= TELL_DONE_AFTER:
            self._told_at = trio.current_time()
            await self._hub.tell_done()
