"""An inquiry decides whom to ask for a secret, and falls back on what hubs have brought of it before (ADR 72).

* With its generator's name only hubs that have brought nothing are asked. Without, all are: a hub that has brought one
  generator's share may hold another's by now, and what was brought before is not heard as an answer (ADR 14).
* While too few hubs can be asked to make up `k` shares with those that are here, none is: nobody's patience is tried.
* protocol.md section 4, Retries.
"""

from collections.abc import Callable, Collection, Sequence

import msgspec
import trio

from qfagent.client.budget import FetchBudget, used_up
from qfagent.client.desk import Desk
from qfagent.client.exchange import Brought
from qfagent.client.gathering import Answer, Gathering, Suspect
from qfagent.client.hubs import Hub
from qfagent.client.ring import Which
from qfagent.client.shelf import Asked, Shelf
from qfagent.dske import wire
from qfagent.errors import AgentError, HubUnavailable


class Inquiry:
    """What was asked for, how often, and what has come of it."""

    def __init__(self, desk: Desk, hubs: Callable[[], Sequence[Hub]], suspect: Suspect) -> None:
        self._desk, self._hubs, self._suspect = desk, hubs, suspect
        self._budget, self._shelf = FetchBudget(), Shelf()
        self._clears_at = 0.0  # by the clock of trio

    def gather(self, asked: Asked, *, uid: int) -> Gathering:
        """A gathering of a secret, or of all that wait from a generator, to be started; FetchLimit."""
        hubs, k = self._hubs(), self._desk.settings().shares_required
        kept = {hub.id: shares for hub in hubs if (shares := self._shelf.find(hub.id, asked))}
        is_vain = _is_vain(hubs, kept.keys(), k)
        names = [] if is_vain else [hub.id for hub in hubs if asked[0] is None or hub.id not in kept]
        open_to_it = self._budget.spend(asked[1], names, uid=uid, now=trio.current_time())

        async def ask(hub: Hub) -> Answer:
            try:
                if hub.id in open_to_it:
                    return Answer(await self._fetch(hub, asked))
                hub.standing.check()
                raise HubUnavailable("not asked, as too few others can be") if is_vain else used_up()
            except AgentError:
                if hub.id in kept:
                    return Answer(kept[hub.id], is_recalled=True)
                raise

        return Gathering(hubs, _wanted(asked), k=k, ask=ask, suspect=self._suspect)

    def missed(self, *, uid: int) -> None:
        """What the user has asked for is nowhere."""
        self._budget.missed(uid=uid, now=trio.current_time())

    def finish(self, which: Which) -> None:
        """The last key of the secret is out."""
        self._shelf.finish(which)

    def sweep(self) -> None:
        """Drops what has expired; once a day of running everything, lest a clock let it outlive the log of keys."""
        if trio.current_time() >= self._clears_at:
            self._shelf.clear()
            self._clears_at = trio.current_time() + wire.MAX_EXPIRES
        self._shelf.expire(now=self._desk.world.now())

    async def _fetch(self, hub: Hub, asked: Asked) -> Sequence[Brought]:
        wanted = _wanted(asked)
        try:
            brought = await hub.fetches.carry(wanted)
        except AgentError:
            self._budget.give_back(asked[1], hub.id)
            raise
        fitting = [share for share in brought if wanted.covers(share.generator, share.secret_id)]
        if asked[1] is not None:
            self._shelf.put(hub.id, asked, fitting)
        return fitting


def _is_vain(hubs: Sequence[Hub], kept: Collection[str], k: int) -> bool:
    """Whether so many of the hubs are closed that too few are left, with those whose share is here."""
    closed = [hub.id for hub in hubs if hub.standing.is_closed]
    return bool(closed) and sum(hub.id in kept or hub.id not in closed for hub in hubs) < k


def _wanted(asked: Asked) -> wire.Wanted:
    generator, secret_id = asked
    return wire.Wanted(
        msgspec.UNSET if generator is None else generator, msgspec.UNSET if secret_id is None else secret_id
    )
