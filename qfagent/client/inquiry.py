"""An inquiry decides whom to ask for a secret: the hubs that may still be asked, and have brought nothing of it yet.

* A share that came with an earlier answer counts as if its hub had answered now (ADR 72).
* While too few hubs can be asked to make up `k` shares with those that are here, none is: nobody's patience is tried.
* protocol.md section 4, Retries.
"""

from collections.abc import Callable, Sequence

import msgspec
import trio

from qfagent.client.budget import FetchBudget, used_up
from qfagent.client.desk import Desk
from qfagent.client.exchange import Brought
from qfagent.client.gathering import Ask, Gathering, Suspect
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

    def gather(self, asked: Asked, *, uid: int) -> Gathering:
        """A gathering of a secret, or of all that wait from a generator, to be started; FetchLimit."""
        hubs, k = self._hubs(), self._desk.settings().shares_required
        kept = {hub.id: self._shelf.find(hub.id, asked) for hub in hubs}
        missing = [hub for hub in hubs if not kept[hub.id]]
        is_vain = _is_vain(missing, k - (len(hubs) - len(missing)))
        names = [] if is_vain else [hub.id for hub in missing]
        open_to_it = self._budget.spend(asked[1], names, uid=uid, now=trio.current_time())

        async def ask(hub: Hub) -> Sequence[Brought]:
            if kept[hub.id]:
                return kept[hub.id]
            if is_vain:
                hub.standing.check()
                raise HubUnavailable("not asked, as too few others can be")
            if hub.id not in open_to_it:
                raise used_up()
            return await self._fetch(hub, asked)

        return self._gathering(hubs, asked, ask)

    def missed(self, *, uid: int) -> None:
        """What the user has asked for is nowhere."""
        self._budget.missed(uid=uid, now=trio.current_time())

    def finish(self, which: Which) -> None:
        """The last key of the secret is out."""
        self._shelf.finish(which)

    def sweep(self) -> None:
        """Drops what has expired."""
        self._shelf.expire(now=self._desk.world.now())

    def _gathering(self, hubs: Sequence[Hub], asked: Asked, ask: Ask) -> Gathering:
        told = frozenset(hub.id for hub in hubs if self._shelf.has_told(hub.id, asked[1]))
        k = self._desk.settings().shares_required
        return Gathering(hubs, _wanted(asked), k=k, ask=ask, suspect=self._suspect, told=told)

    async def _fetch(self, hub: Hub, asked: Asked) -> Sequence[Brought]:
        wanted = _wanted(asked)
        try:
            brought = await hub.fetches.carry(wanted)
        except AgentError:
            self._budget.give_back(asked[1], hub.id)
            raise
        fitting = [share for share in brought if wanted.covers(share.generator, share.secret_id)]
        if asked[1] is not None:
            self._shelf.put(hub.id, asked, fitting, now=self._desk.world.now())
        return fitting


def _is_vain(hubs: Sequence[Hub], needed: int) -> bool:
    """Whether so many of the hubs are closed that too few are left."""
    closed = [hub for hub in hubs if hub.standing.is_closed]
    return bool(closed) and len(hubs) - len(closed) < needed


def _wanted(asked: Asked) -> wire.Wanted:
    generator, secret_id = asked
    return wire.Wanted(
        msgspec.UNSET if generator is None else generator, msgspec.UNSET if secret_id is None else secret_id
    )
