"""The generator makes keys: a fresh secret, one share to each hub, and the keys out when `k` hubs hold theirs.

* protocol.md section 5. The order: spans spent, durably; sent; `k` acknowledged; logged, durably; released.
* Hubs that were away get their share later, while the secret lives. A secret that too few hubs took is forgotten.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from qfagent.client.desk import Desk
from qfagent.client.exchange import shown
from qfagent.client.gathering import ROUNDS
from qfagent.client.hubs import Hub
from qfagent.client.quorum import Answers, too_few
from qfagent.dske import ids
from qfagent.dske.establish import KEPT_BY, Draft, Establishment, establish
from qfagent.dske.secret import Secret
from qfagent.dske.shamir import MAX_KEYS, MAX_SHARES
from qfagent.errors import AgentError, BadRequest, HubUnavailable, PsrdExhausted, TimedOut

RETRY_FOR: Final = 3600.0  # seconds that a hub which was away may still get its share

Key = tuple[str, Secret]
"""A key id, and the key's 32 bytes."""

# what a hub says instead of "stored", and what to do about it
_REFUSED: Final = {
    "unknown-recoverer": ("the other peer is not registered with it", "carry a PSRD file from the hub to that peer"),
    "recoverer-exhausted": ("the other peer has no PSRD left with it", "carry a new file from the hub to that peer"),
    "quota": ("the other peer has too much to fetch already", "let the other peer fetch its keys first"),
    PsrdExhausted.slug: ("the PSRD shared with it is used up", "carry a new PSRD file from it"),
}


class DepositRefused(AgentError):
    """The hub did not keep the share."""

    slug = "deposit-refused"
    status = 503
    exit_code = 7


class _Fate:
    """What becomes of a secret: known when enough hubs took it, or can't any more."""

    def __init__(self) -> None:
        self._decided = trio.Event()
        self._lives = False

    def decide(self, *, lives: bool) -> None:
        self._lives = lives
        self._decided.set()

    async def wait_lives(self) -> bool:
        await self._decided.wait()
        return self._lives


class Generator:
    """Establishes keys with other peers."""

    def __init__(self, desk: Desk, hubs: Callable[[], Sequence[Hub]], nursery: trio.Nursery) -> None:
        self._desk, self._hubs, self._nursery = desk, hubs, nursery

    async def establish(self, peer: str, *, count: int = 1) -> list[Key]:
        """`count` new keys (1 to 64) with a peer.

        BadRequest, PeerExempt, PeerOutOfReach, TooFewHubs, PsrdExhausted, TimedOut, StoreError.
        """
        self._check(peer, count)
        self._desk.store.fence.check()
        k = self._desk.settings().shares_required
        hubs = await self._usable_hubs(k)
        made = establish(peer, hubs=[hub.id for hub in hubs], k=k, count=count, random=self._desk.world.random)
        fate, lives = _Fate(), False
        try:
            await self._wait_kept(Answers(self._nursery, hubs, partial(self._deposit, made, fate)), k)
            await self._log(made)
            lives = True
        finally:
            fate.decide(lives=lives)
        self._desk.tally.established(peer, count)
        self._desk.note("key.established", peer=peer, secret_id=made.secret_id, count=count)
        return [(ids.key_id(made.secret_id, index), key) for index, key in enumerate(made.keys)]

    def _check(self, peer: str, count: int) -> None:
        if not ids.matches(ids.PEER_NAME, peer):
            raise BadRequest("peer: expected a peer name")
        if peer == self._desk.peer:
            raise BadRequest("peer: expected another peer than this one")
        if not 1 <= count <= MAX_KEYS:
            raise BadRequest(f"count: expected 1 to {MAX_KEYS}")
        self._desk.neighbourhood().check_peer(peer)

    async def _usable_hubs(self, k: int) -> list[Hub]:
        ready = await self._desk.committer.run(self._desk.holdings.ready_hubs)
        hubs = [hub for hub in self._hubs() if hub.id in ready]
        if len(hubs) < k:
            raise too_few(k, len(hubs), {hub.id: hub.unready() for hub in self._hubs() if hub.id not in ready})
        return sorted(hubs, key=lambda hub: not hub.standing.up)[:MAX_SHARES]

    async def _deposit(self, made: Establishment, fate: _Fate, hub: Hub) -> str:
        draft = made.drafts[hub.id]
        try:
            return await hub.deposits.carry(draft)
        except HubUnavailable:
            self._nursery.start_soon(self._deposit_later, draft, fate, hub)
            raise

    async def _deposit_later(self, draft: Draft, fate: _Fate, hub: Hub) -> None:
        until = trio.current_time() + RETRY_FOR
        if await fate.wait_lives():
            hub.deposit_later(draft, until=until)

    async def _wait_kept(self, answers: Answers[str], k: int) -> None:
        kept, seconds = 0, ROUNDS * self._desk.settings().hub_timeout
        with trio.move_on_after(seconds) as deadline:
            async for hub, status in answers:
                if status not in KEPT_BY:
                    reason, remedy = _REFUSED.get(status, (f"it answered {shown(status)}", ""))
                    answers.failures[hub.id] = DepositRefused(reason, remedy=remedy)
                else:
                    kept += 1
                if kept == k:
                    return
        if deadline.cancelled_caught:
            raise TimedOut(f"{kept} of {k} hubs have acknowledged within {seconds:g} s", remedy="see `qfagent hubs`")
        raise answers.too_few(k, kept)

    async def _log(self, made: Establishment) -> None:
        desk, every = self._desk, frozenset(range(len(made.keys)))
        await desk.committer.run(lambda: desk.keys.release(desk.peer, made.secret_id, every, now=desk.world.now()))
