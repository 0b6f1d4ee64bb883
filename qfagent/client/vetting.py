"""Vetting decides which blocks of a hub may be spent from: it asks the hub how far it has seen them.

* It asks before a block is first spent from, and after a hint that it may be used up. If the hub has seen more than
  this client has spent, the client was rolled back: nothing more goes to this hub.
* What the hub says here is not authenticated. It can stop; it never moves a mark.
* A block whose registration never completed, and of which the hub has seen more, is a copied file, if that is true: it
  alone is stopped, and stays as it is.
* A block that the hub does not know, or has retired, is left alone for a while, and others are used.
* protocol.md section 4, Rollback.
"""

from typing import Final

import trio

from qfagent.client.desk import Desk
from qfagent.client.standing import Standing, Stop
from qfagent.dske import wire
from qfagent.dske.pad import AUTH_BYTES
from qfagent.errors import BadHttp, BlockUseless, Invalid, PsrdExhausted
from qfagent.http.answer import Answer
from qfagent.store.holdings import IN_USE

AVOID_FOR: Final = 600.0  # seconds, a block that the hub says is of no use
_FIND_COPIES: Final = "find out who has a copy, then `qfagent psrd retire`, or `resume` if nobody has"
_LOOK_AGAIN: Final = frozenset({"pad-spent", "retired", "unknown-block"})


class Vetting:
    """Which blocks of one hub may be spent from."""

    def __init__(self, hub: str, desk: Desk, standing: Standing) -> None:
        self._hub, self._desk, self._standing = hub, desk, standing
        self._passed: set[str] = set()
        self._avoided: dict[str, float] = {}
        self._in_use: dict[str, Stop] = {}  # by block, while the hub says that somebody else spends from it

    def has_passed(self, block: str) -> bool:
        """Whether the block may be spent from without asking."""
        return block in self._passed

    def avoided(self) -> frozenset[str]:
        """The blocks that are left alone for now."""
        now = trio.current_time()
        return frozenset(block for block, until in self._avoided.items() if until > now)

    def pick(self, length: int, avoided: frozenset[str]) -> str:
        """The oldest block with room for so many bytes, and an answer; inside a transaction. PsrdExhausted."""
        ledger, ready = self._desk.ledger, self._desk.holdings.ready(self._hub)
        if not ready:
            raise PsrdExhausted("no PSRD is registered with this hub", remedy="carry a PSRD file from it")
        for holding in ready:
            answers_fit = holding.server_bytes - ledger.seen(holding.id) >= AUTH_BYTES
            if holding.id not in avoided and answers_fit and ledger.room(holding.id) >= length:
                return holding.id
        raise PsrdExhausted("the PSRD shared with this hub is used up", remedy="carry a new PSRD file from it")

    def heed(self, block: str, hint: str) -> None:
        """The hub has hinted at something, in an answer that proves nothing."""
        if hint in _LOOK_AGAIN:
            self._passed.discard(block)
        if hint == "pad-exhausted":
            self._avoid(block, hint)

    async def judge(self, block: str, answer: Answer) -> None:
        """What follows from the hub's words about a block. HubStopped, BlockUseless, BadHttp, StoreError."""
        state = state_in(answer)
        desk = self._desk
        holding, spent = await desk.committer.run(lambda: (desk.holdings.get(block), desk.ledger.next(block)))
        if state is None or state.retired:
            self._avoid(block, "unknown-block" if state is None else "retired")
            if holding.state == "new":
                raise BlockUseless(f"the hub says that block {block} is retired, or not its own")
        elif state.user_seen <= spent and state.proofs_seen <= holding.proofs:
            self._passed.add(block)
            self._end_stop(block)
        elif holding.state == "new":
            await self._stop_copied(block, state.user_seen)
        else:
            self._stop(block, state.user_seen)

    # --- stops

    def stop_for_good(self, block: str) -> None:
        """A stop that was made durable, in this life or an earlier one."""
        self._standing.stop = Stop(block, 0, trio.current_time(), durable=True)
        self._desk.stopped.add(self._hub)

    def lift_stop(self, block: str) -> None:
        """The operator has spoken of a block: every block is looked at again before it is spent from."""
        self._in_use.pop(block, None)
        if self._standing.stop is not None and self._standing.stop.block == block:
            self._standing.stop = None
            self._desk.stopped.discard(self._hub)
        self._passed.clear()
        self._avoided.clear()

    def evidence(self, block: str) -> int | None:
        """How far the hub has seen a block that is stopped, as long as that is not durable; None if it is not."""
        stops = [self._standing.stop, *self._in_use.values()]
        return next((stop.evidence for stop in stops if stop is not None and stop.block == block), None)

    @property
    def in_use(self) -> frozenset[str]:
        """The blocks of which the hub says that somebody else spends from them."""
        return frozenset(self._in_use)

    def _stop(self, block: str, evidence: int) -> None:
        before = self._standing.stop
        if before is None:
            self._standing.stop = Stop(block, evidence, trio.current_time())
            self._desk.stopped.add(self._hub)
            self._desk.note("hub.stopped", hub=self._hub, block=block, code="rolled-back")
        elif before.block == block:
            self._standing.stop = before.seen_up_to(evidence)
        self._standing.check()

    def _end_stop(self, block: str) -> None:
        stop = self._standing.stop
        if stop is not None and stop.block == block and not stop.durable:
            self._standing.stop = None
            self._desk.stopped.discard(self._hub)
            self._desk.note("hub.resumed", hub=self._hub, block=block)
        if self._in_use.pop(block, None) is not None:
            self._desk.note("block.resumed", hub=self._hub, block=block)

    async def _stop_copied(self, block: str, evidence: int) -> None:
        desk, before = self._desk, self._in_use.get(block)
        if before is None:
            before = Stop(block, evidence, trio.current_time())
            desk.note("block.stopped", hub=self._hub, block=block, code=IN_USE)
        stop = self._in_use[block] = before.seen_up_to(evidence)
        if stop.has_lasted:
            await desk.committer.run(lambda: desk.holdings.stop(block, reason=IN_USE, evidence=stop.evidence))
            desk.note("block.stopped", hub=self._hub, block=block, code=f"{IN_USE}-for-good")
        raise BlockUseless(f"{IN_USE}: the hub has seen more of block {block} than was spent here", remedy=_FIND_COPIES)

    def _avoid(self, block: str, code: str) -> None:
        if block not in self._avoided:
            self._desk.note("block.doubted", hub=self._hub, block=block, code=code)
        self._avoided[block] = trio.current_time() + AVOID_FOR
        self._passed.discard(block)


def state_in(answer: Answer) -> wire.BlockState | None:
    """What a hub says of a block; None if it does not know it. BadHttp if it says neither."""
    if answer.status == 404:
        return None
    try:
        return wire.decode(wire.BlockState, answer.body)
    except Invalid as error:
        raise BadHttp(f"what the hub says of a block makes no sense: {error}") from None
