"""The recoverer hands out keys that other peers made: fetched, rebuilt, validated, logged, durably, and released once.

* protocol.md sections 4 and 5. A key that was logged never leaves again, but to the same uid for a minute.
* A secret is fetched once for all of its keys; what its shares lay under is erased when the last of them is out.
* Without a peer's name a key is not handed out unless no other generator can have made a secret under its id.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from qfagent.client.desk import Desk
from qfagent.client.gathering import ROUNDS, Gathering
from qfagent.client.generator import Key
from qfagent.client.hubs import Hub
from qfagent.client.inquiry import Inquiry
from qfagent.client.ring import Held, Ring, Which
from qfagent.client.shelf import Asked
from qfagent.dske import ids
from qfagent.errors import (
    AmbiguousGenerator,
    BadRequest,
    Invalid,
    KeyGone,
    NotFound,
    StoreError,
    ThresholdMismatch,
)

FAULTY_AFTER: Final = 2  # generators whose secrets a hub has bent
CALLERS: Final = 16  # who may be faster than one that waits for a peer's next secret
DONE_KEPT: Final = 10_000  # secrets that a hub has not been told of
_SAY_WHICH: Final = "say which peer is meant"


class Recoverer:
    """Recovers what other peers have established."""

    def __init__(self, desk: Desk, hubs: Callable[[], Sequence[Hub]], nursery: trio.Nursery) -> None:
        self._desk, self._hubs, self._nursery = desk, hubs, nursery
        self._ring, self._inquiry = Ring(), Inquiry(desk, hubs, self._note_suspect)
        self._under_way: dict[Asked, Gathering] = {}
        self.suspects: dict[str, set[str]] = defaultdict(set)  # hub -> generators whose secrets it deviated from

    async def recover(self, key_id: str, *, peer: str | None, uid: int) -> tuple[str, Key]:
        """One key and the peer that made it.

        BadRequest, PeerExempt, PeerOutOfReach, NotFound, KeyGone, TooFewHubs, ThresholdMismatch, AmbiguousGenerator,
        FetchLimit, StoreError.
        """
        secret_id, index = _parse(key_id, peer)
        if peer is not None:
            self._desk.neighbourhood().check_peer(peer)
        again = self._ring.given(secret_id, index, generator=peer, uid=uid, now=trio.current_time())
        if again is not None:
            return again[0], (key_id, again[1])
        held = await self._find(secret_id, index, peer, uid=uid)
        self._desk.neighbourhood().check_peer(held.generator)
        keys = await self._hand_over(held, frozenset({index}), uid=uid)
        return held.generator, keys[0]

    async def wait_next(self, peer: str, *, uid: int) -> list[Key]:
        """All keys of the oldest secret that waits from a peer; each call the next one. Raises as `recover`."""
        if not ids.matches(ids.PEER_NAME, peer):
            raise BadRequest("peer: expected a peer name")
        self._desk.neighbourhood().check_peer(peer)
        for _ in range(CALLERS):
            held = self._ring.oldest(peer) or await self._fetch_oldest(peer, uid=uid)
            if held is not None:
                with suppress(KeyGone):  # what another caller is being given may come once more with a later fetch
                    return await self._hand_over(held, frozenset(held.keys), uid=uid)
        raise NotFound(f"whatever waits from {peer} goes to other callers")

    async def sweep(self, *, lived: float) -> None:
        """Drops what has expired, and forgets what was handed over a while ago; `lived`: seconds since the last one."""
        keys, now = self._desk.keys, self._desk.world.now()
        self._ring.forget_given(now=trio.current_time())
        self._ring.expire(now=now)
        self._inquiry.sweep()
        await self._desk.committer.run(lambda: keys.sweep(now=now, lived=lived, limit=1000))

    # --- finding

    async def _fetch_oldest(self, peer: str, *, uid: int) -> Held | None:
        """The oldest secret that waits from a peer; None if other callers were faster. Raises as `recover`."""
        gathering = await self._gather((peer, None), self._has_enough, uid=uid)
        held = self._ring.oldest(peer)
        if held is None and not any(gathering.validated(which) for which in gathering.found):
            self._count_miss(gathering, uid)
            raise self._why_not(gathering, f"a key that waits from {peer}")
        return held

    async def _find(self, secret_id: str, index: int, peer: str | None, *, uid: int) -> Held:
        found = self._waiting(secret_id, index, peer)
        if found is None:
            await self._check_not_released(secret_id, index, peer)
            gathering = await self._gather((peer, secret_id), lambda g: _is_settled(g, secret_id, peer), uid=uid)
            if peer is None:
                self._settle(gathering, secret_id)
            found = self._waiting(secret_id, index, peer)
            if found is None:
                await self._check_not_released(secret_id, index, peer)
                found = self._waiting(secret_id, index, peer)  # another caller has put it there meanwhile
            if found is None:
                raise self._why_missing(gathering, secret_id, uid=uid)
        return found

    def _settle(self, gathering: Gathering, secret_id: str) -> None:
        """Marks a secret that needs no peer's name; AmbiguousGenerator if one is needed to tell which is meant."""
        validated = [which for which in gathering.found if gathering.validated(which)]
        if len(validated) > 1:
            names = ", ".join(sorted(generator for generator, _ in validated))
            raise AmbiguousGenerator(f"{names} have made secrets under this id", remedy=_SAY_WHICH)
        if validated and not gathering.is_alone(validated[0]):
            reason = "too few hubs have answered to rule out that another peer has used this id"
            raise AmbiguousGenerator(reason, remedy=_SAY_WHICH)
        for generator, _ in validated:
            for held in self._ring.holding(secret_id, generator=generator):
                held.is_alone = True

    def _why_missing(self, gathering: Gathering, secret_id: str, *, uid: int) -> Exception:
        if any(gathering.validated(which) for which in gathering.found):
            return KeyGone("this key is being handed out to somebody else")
        if not gathering.found:
            self._count_miss(gathering, uid)
        return self._why_not(gathering, f"secret {secret_id}")

    def _count_miss(self, gathering: Gathering, uid: int) -> None:
        if gathering.answered:
            self._inquiry.missed(uid=uid)

    def _waiting(self, secret_id: str, index: int, peer: str | None) -> Held | None:
        """The secret, if its key is here; without a peer's name, one that is known to need none."""
        every = [held for held in self._ring.holding(secret_id, generator=peer) if index in held.keys]
        return next((held for held in every if peer is not None or held.is_alone), None)

    async def _check_not_released(self, secret_id: str, index: int, peer: str | None) -> None:
        keys = self._desk.keys

        def released() -> frozenset[int]:
            return keys.released(peer, secret_id) if peer else keys.released_of_any(secret_id)

        if index in await self._desk.committer.run(released):
            raise KeyGone("this key was handed out before")

    async def _gather(self, asked: Asked, enough: Callable[[Gathering], bool], *, uid: int) -> Gathering:
        """One fetch for all who want the same; what it rebuilds goes into the ring."""
        gathering = self._under_way.get(asked)
        if gathering is None:
            gathering = self._under_way[asked] = self._inquiry.gather(asked, uid=uid)
            gathering.start(self._nursery)
        try:
            await gathering.wait(lambda: enough(gathering), seconds=ROUNDS * self._desk.settings().hub_timeout)
        finally:
            if self._under_way.get(asked) is gathering:  # and not a later one, which others wait for
                del self._under_way[asked]
        await self._keep(gathering)
        return gathering

    async def _keep(self, gathering: Gathering) -> None:
        every = gathering.take_held()
        keys = self._desk.keys
        released = await self._desk.committer.run(
            lambda: [keys.released(held.generator, held.secret_id) for held in every]
        )
        for held, gone in zip(every, released, strict=True):
            held.keys = {index: key for index, key in held.keys.items() if index not in gone}
            if held.keys:
                self._ring.add(held)
            else:
                self._tell_done((held.generator, held.secret_id))

    def _has_enough(self, gathering: Gathering) -> bool:
        some = any(gathering.validated(which) for which in gathering.found)
        return some and len(gathering.answered) >= self._desk.settings().shares_required

    # --- handing over

    async def _hand_over(self, held: Held, indices: frozenset[int], *, uid: int) -> list[Key]:
        keys = self._ring.take(held, indices)
        if not keys:
            raise KeyGone("this key was handed out a moment ago")
        is_last = not held.keys
        try:
            await self._desk.committer.run(lambda: self._log(held, frozenset(keys), is_last=is_last))
        except StoreError:
            self._ring.put_back(held, keys)
            raise
        self._ring.give(held, keys, uid=uid, now=trio.current_time())
        self._desk.tally.recovered(held.generator, len(keys))
        self._desk.note("key.recovered", generator=held.generator, secret_id=held.secret_id, count=len(keys), uid=uid)
        if is_last:
            self._tell_done((held.generator, held.secret_id))
        return [(ids.key_id(held.secret_id, index), key) for index, key in keys.items()]

    def _log(self, held: Held, indices: frozenset[int], *, is_last: bool) -> None:
        log, which = self._desk.keys, (held.generator, held.secret_id)
        if log.released(*which) & indices:
            raise KeyGone("this key was handed out before")
        log.release(*which, indices, now=self._desk.world.now())
        if is_last:
            log.finish(*which)

    def _tell_done(self, which: Which) -> None:
        self._inquiry.finish(which)
        for hub in self._hubs():
            if len(hub.done) < DONE_KEPT:
                hub.done[which] = None

    # --- saying why

    def _why_not(self, gathering: Gathering, what: str) -> Exception:
        error = gathering.why_not(what)
        if isinstance(error, ThresholdMismatch):
            self._desk.note("key.mismatch", code=error.slug, reason=str(error))
        return error

    def _note_suspect(self, hub: str, generator: str) -> None:
        self.suspects[hub].add(generator)
        faulty = len(self.suspects[hub]) >= FAULTY_AFTER
        self._desk.note("hub.faulty" if faulty else "hub.suspect", hub=hub, generator=generator)


def _is_settled(gathering: Gathering, secret_id: str, peer: str | None) -> bool:
    """Whether a key may be handed out: its secret validates, and no other generator's may still turn up."""
    if peer is not None:
        return gathering.validated((peer, secret_id))
    return any(gathering.validated(which) and gathering.is_alone(which) for which in gathering.found)


def _parse(key_id: str, peer: str | None) -> tuple[str, int]:
    if peer is not None and not ids.matches(ids.PEER_NAME, peer):
        raise BadRequest("peer: expected a peer name")
    try:
        return ids.parse_key_id(key_id)
    except Invalid as error:
        raise BadRequest(f"key id: {error}") from error
