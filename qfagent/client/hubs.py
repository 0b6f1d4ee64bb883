"""One hub, as a client speaks to it.

* A connection is open before a span is taken. A request without a proven answer closes the hub until `health` answers.
* Nothing is spent from a block that has not passed its vetting.
* protocol.md section 4, Retries.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec
import trio

from qfagent.client.desk import Desk
from qfagent.client.exchange import METHOD, Brought, Received, Reply, Sent
from qfagent.client.lane import Lane
from qfagent.client.standing import Standing
from qfagent.client.vetting import Vetting, state_in
from qfagent.dske import wire
from qfagent.dske.establish import Draft
from qfagent.dske.pad import AUTH_BYTES, Pad
from qfagent.dske.psrd import HubAddress
from qfagent.errors import (
    AgentError,
    BadHttp,
    HubStopped,
    HubUnavailable,
    Invalid,
    Nonsense,
    PsrdExhausted,
    Refusal,
    Unproven,
)
from qfagent.http.pool import ClientConnection, Connect, Pool

BACKLOG: Final = 1024  # deposits that wait for a hub which was away
WIDTH: Final = 4  # messages of one kind on their way to one hub

Compose = Callable[[frozenset[str]], Sent | str]
Accept = Callable[[Sent, Received], Reply]
Dial = Callable[[HubAddress], Connect]


class Hub:
    """One hub, and the connections to it."""

    def __init__(self, address: HubAddress, desk: Desk, dial: Dial, nursery: trio.Nursery) -> None:
        self.address, self.standing = address, Standing(desk.world)
        self._desk, self._dial, self._pool = desk, dial, Pool(dial(address))
        self.vetting = Vetting(address.id, desk, self.standing)
        self.deposits: Lane[Draft, str] = Lane(nursery, self._deposit, width=WIDTH, most=wire.MAX_ENTRIES)
        self.fetches: Lane[wire.Wanted, tuple[Brought, ...]] = Lane(
            nursery, self._fetch, width=WIDTH, most=wire.MAX_ENTRIES
        )
        self.done: dict[tuple[str, str], None] = {}  # (generator, secret id), to be told with the next fetch
        self._backlog: deque[tuple[Draft, float]] = deque(maxlen=BACKLOG)
        self._refused = False  # whether the hub has refused something of it, so that it goes one by one
        self.trouble: AgentError | None = None  # why a block of this hub is not registered
        self.stirred = trio.Event()

    @property
    def id(self) -> str:
        """The hub's id, 32 hex digits."""
        return self.address.id

    def stir(self) -> None:
        """Something has changed that whoever tends this hub should see."""
        self.stirred.set()
        self.stirred = trio.Event()

    def unready(self) -> AgentError:
        """Why no block is registered with it."""
        return self.standing.down or self.trouble or HubUnavailable("no PSRD is registered with this hub yet")

    async def move(self, address: HubAddress) -> None:
        """The hub has another address from now on."""
        self.address, before = address, self._pool
        self._pool = Pool(self._dial(address))
        await before.aclose()
        self.standing.forgive()
        self.stir()

    def lift_stop(self, block: str) -> None:
        """The operator has spoken of a block."""
        self.vetting.lift_stop(block)
        self.stir()

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._pool.aclose()

    # --- what is asked

    async def register(self, block: str, *, prove_with: str | None) -> None:
        """Registers a new block; Refusal says why not."""
        exchange, peer = self._desk.exchange, self._desk.peer

        def compose(avoided: frozenset[str]) -> Sent | str:
            proof = None if prove_with in avoided else prove_with
            for spent_from in (block, proof):
                if spent_from is not None and not self.vetting.has_passed(spent_from):
                    return spent_from
            return exchange.compose_register(block, peer, prove_with=proof)

        await self._ask(compose, partial(exchange.accept_registered, hub=self.id, peer=peer))

    def deposit_later(self, draft: Draft, *, until: float) -> None:
        """Keeps a deposit for when the hub is back, until then (clock of trio); the oldest gives way to the newest."""
        self._backlog.append((draft, until))
        self.stir()

    async def deposit_backlog(self) -> None:
        """Sends what was kept, one first, then a batch at a time; what fails is kept again. Raises as asking does.

        A deposit that the hub refuses under a tag, alone, is given up: it would refuse it again.
        """
        while self._backlog:
            most = wire.MAX_ENTRIES if self.standing.up and not self._refused else 1  # failing again should cost little
            batch = [self._backlog.popleft() for _ in range(min(most, len(self._backlog)))]
            batch = [(draft, until) for draft, until in batch if until > trio.current_time()]
            if not batch:
                continue
            try:
                await self._deposit([draft for draft, _ in batch])
            except AgentError as error:
                self._refused = isinstance(error, Refusal)
                if not (self._refused and len(batch) == 1):
                    self._backlog.extendleft(reversed(batch))
                raise
        self._refused = False

    async def tell_done(self) -> None:
        """Tells the hub what is done, without fetching anything. HubUnavailable."""
        while self.done:
            await self._fetch([])

    async def ask_for_proof(self) -> None:
        """Asks for nothing, under a tag: what answers has this hub's pads. HubUnavailable, PsrdExhausted."""
        await self._fetch([])

    async def probe(self) -> None:
        """Asks for the hub's health; HubUnavailable."""
        with self._deadline():
            async with self._pool.connection() as connection:
                answer = await connection.exchange("GET", wire.HEALTH, host=self.address.place)
        try:
            health = wire.decode(wire.Health, answer.body)
        except Invalid as error:
            raise HubUnavailable(f"its health makes no sense: {error}") from None
        if health.hub_id != self.id:
            raise HubUnavailable(f"another hub answers at its address: {health.hub_id}")

    async def is_registered(self, block: str) -> bool:
        """Whether the hub says that a block is registered; a hint that is free of charge. HubUnavailable, BadHttp."""
        with self._deadline():
            async with self._pool.connection() as connection:
                answer = await connection.exchange("GET", wire.BLOCKS + block, host=self.address.place)
        state = state_in(answer)
        return state is not None and state.registered

    async def look_at(self, block: str) -> None:
        """Asks how far the hub has seen a block; HubUnavailable if that stops everything here."""
        with self._deadline():
            async with self._pool.connection() as connection:
                await self._look_at(connection, block)

    async def _deposit(self, batch: Sequence[Draft]) -> list[str]:
        def body(_: str, pad: Pad) -> wire.Deposits:
            return wire.Deposits(tuple(draft.seal(pad) for draft in batch))

        size = sum(len(draft.share) for draft in batch)
        compose = partial(self._compose, wire.DEPOSIT, body, ciphertext=size)
        try:
            reply = await self._ask(compose, self._desk.exchange.accept)
        except PsrdExhausted:
            if len(batch) == 1:
                raise
            return [await self._deposit_alone(draft) for draft in batch]
        return _statuses(reply, batch)

    async def _deposit_alone(self, draft: Draft) -> str:
        try:
            return (await self._deposit([draft]))[0]
        except PsrdExhausted:
            return PsrdExhausted.slug

    async def _fetch(self, batch: Sequence[wire.Wanted]) -> list[tuple[Brought, ...]]:
        exchange, wanted, done = self._desk.exchange, tuple(dict.fromkeys(batch)), tuple(self.done)[: wire.MAX_ENTRIES]

        def body(block: str, _: Pad) -> wire.Fetch:
            others = exchange.other_blocks(block, self.id)
            return wire.Fetch(wanted, tuple(wire.Done(*which) for which in done), others)

        compose = partial(self._compose, wire.FETCH, body, ciphertext=0)
        reply = await self._ask(compose, partial(exchange.accept_shares, hub=self.id))
        for which in done:
            self.done.pop(which, None)
        return [reply.brought] * len(batch)

    # --- how it is asked

    async def _ask(self, compose: Compose, accept: Accept) -> Reply:
        self.standing.check()
        if self._desk.rolled_back:
            raise HubStopped("as many hubs as a key needs say that this machine was rolled back")
        try:
            with self._deadline():
                reply = await self._exchange(compose, accept)
        except (HubUnavailable, BadHttp) as error:
            self.lost(error)
            raise
        except HubStopped:
            self.stir()
            raise
        return reply.check()

    async def _exchange(self, compose: Compose, accept: Accept) -> Reply:
        async with self._pool.connection() as connection:
            sent = await self._spend(connection, compose)
            asked_at = trio.current_time()
            proven = False
            try:
                answer = await connection.exchange(
                    METHOD, sent.target, sent.headers, sent.body, host=self.address.place
                )
                received = Received(answer.status, answer.body, answer.values(b"dske-auth"))
                reply = await self._accepted(partial(accept, sent, received), sent.block)
                proven = True
            finally:
                if not proven:
                    self._desk.burned["unanswered"] += sent.auth.length
        if self.standing.proved(trio.current_time() - asked_at):
            self._desk.note("hub.up", hub=self.id)
        return reply

    async def _spend(self, connection: ClientConnection, compose: Compose) -> Sent:
        while True:
            sent = await self._desk.committer.run(partial(compose, self.vetting.avoided()))
            if isinstance(sent, Sent):
                return sent
            await self._look_at(connection, sent)

    async def _accepted(self, accept: Callable[[], Reply], block: str) -> Reply:
        try:
            return await self._desk.committer.run(accept)
        except Unproven as error:
            self.vetting.heed(block, error.hint)
            raise

    async def _look_at(self, connection: ClientConnection, block: str) -> None:
        await self.vetting.judge(block, await connection.exchange("GET", wire.BLOCKS + block, host=self.address.place))

    def _compose(
        self, target: str, body: Callable[[str, Pad], msgspec.Struct], avoided: frozenset[str], *, ciphertext: int
    ) -> Sent | str:
        block = self.vetting.pick(AUTH_BYTES + ciphertext, avoided)
        if not self.vetting.has_passed(block):
            return block
        return self._desk.exchange.compose(block, target, partial(body, block), ciphertext=ciphertext)

    # --- its standing

    def lost(self, error: AgentError) -> None:
        """A request had no proven answer."""
        if self.standing.lost(error):
            self._desk.note("hub.down", hub=self.id, code=error.slug, reason=str(error))
        self.stir()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        seconds = self._desk.settings().hub_timeout
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError:
            raise HubUnavailable(f"no answer within {seconds:g} s") from None


def _statuses(reply: Reply, batch: Sequence[Draft]) -> list[str]:
    try:
        results = wire.decode(wire.Results, reply.body).results
    except Invalid as error:
        raise Nonsense(str(error)) from None
    if [result.secret_id for result in results] != [draft.secret_id for draft in batch]:
        raise Nonsense("expected the results of these deposits, in their order")
    return [result.status for result in results]
