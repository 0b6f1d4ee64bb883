"""One request to a hub under a fresh span, and what the answer to it is worth.

* The mirror of the hub's exchange. `compose` spends; what it returns may leave when the transaction is durable.
* An answer counts only under a tag that covers the request's; everything else is a hint (`Unproven`).
* A share's place in the server pad belongs to one secret; a hub that names it for another is not believed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

import msgspec

from qfagent.dske import envelope, wire
from qfagent.dske.envelope import Auth
from qfagent.dske.pad import AUTH_BYTES, Direction, Pad
from qfagent.dske.recover import Entry
from qfagent.dske.secret import Secret
from qfagent.dske.spans import Span
from qfagent.errors import AgentError, Invalid, Nonsense, Refusal, Unproven
from qfagent.store.holdings import IN_USE, Holdings
from qfagent.store.keys import KeyLog, Wrap
from qfagent.store.ledger import Ledger

METHOD: Final = "POST"
MOST_WORDS: Final = 200  # letters of what a hub says that anybody gets to see


class Sent(msgspec.Struct, frozen=True):
    """A request that may be sent once: its span is spent."""

    block: str
    target: str
    body: bytes
    auth: Auth
    proof: Auth | None = None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that authenticate it."""
        proof = () if self.proof is None else ((envelope.PROOF_HEADER, str(self.proof)),)
        return ((envelope.AUTH_HEADER, str(self.auth)), *proof)


class Received(msgspec.Struct, frozen=True):
    """An answer as it arrived; `auth` is the values of its DSKE-Auth header."""

    status: int
    body: bytes
    auth: Sequence[bytes]


class Brought(msgspec.Struct, frozen=True):
    """One share that a fetch brought, out of its wrap."""

    generator: str
    secret_id: str
    expires_at: int
    entry: Entry


class Reply(msgspec.Struct, frozen=True):
    """A proven answer: the body of one that says yes, or why it says no; `brought` is what a fetch brought."""

    body: bytes
    refusal: AgentError | None = None
    brought: tuple[Brought, ...] = ()

    def check(self) -> Self:
        """Itself, if it says yes; raises the refusal otherwise."""
        if self.refusal is not None:
            raise self.refusal
        return self


class Exchange:
    """This client's side of its conversation with all hubs."""

    def __init__(self, ledger: Ledger, holdings: Holdings, keys: KeyLog, now: Callable[[], int]) -> None:
        self._ledger, self._holdings, self._keys, self._now = ledger, holdings, keys, now

    def compose(self, block: str, target: str, body: Callable[[Pad], msgspec.Struct], *, ciphertext: int = 0) -> Sent:
        """A request under the block; `body` seals `ciphertext` bytes with the pad. PsrdExhausted, StoreFenced."""
        pad = self._ledger.take(block, AUTH_BYTES + ciphertext)
        sign = self._signer(pad, target)
        text = wire.encode(body(pad))
        return Sent(block, target, text, sign(text))

    def compose_register(self, block: str, peer: str, *, prove_with: str | None) -> Sent:
        """The first request under a block, with a proof from another one if it is named and still has one."""
        holding = self._holdings.get(block)
        sent = self.compose(block, wire.REGISTER, lambda _: wire.Register(peer, holding.client, block))
        if prove_with is None or not self._ledger.can_prove(prove_with):
            return sent
        proof = self._signer(self._ledger.take_proof(prove_with), wire.REGISTER)(sent.body)
        return msgspec.structs.replace(sent, proof=proof)

    def accept(self, sent: Sent, received: Received) -> Reply:
        """What a proven answer says, its span claimed; Unproven, with nothing changed, if it is not proven."""
        self._claim_answer(sent, received)
        return Reply(received.body) if received.status == 200 else Reply(b"", _refusal(received))

    def accept_registered(self, sent: Sent, received: Received, hub: str, peer: str) -> Reply:
        """As `accept`, for a register message: the block is ready, or, if it was somebody else's, retired."""
        reply = self.accept(sent, received)
        if reply.refusal is not None:
            if reply.refusal.slug == "name-mismatch":
                self._holdings.retire(sent.block, reason=IN_USE)
            return reply
        try:
            registered = wire.decode(wire.Registered, reply.body)
        except Invalid as error:
            return Reply(b"", Nonsense(str(error)))
        if (registered.hub_id, registered.username) != (hub, peer):
            return Reply(b"", Nonsense("the hub has registered somebody else"))
        self._holdings.make_ready(sent.block)
        return reply

    def accept_shares(self, sent: Sent, received: Received, hub: str) -> Reply:
        """As `accept`, for what a fetch brings; entries not wanted, or against the ledger, are left out."""
        reply = self.accept(sent, received)
        if reply.refusal is not None:
            return reply
        try:
            shares = wire.decode(wire.Shares, reply.body).shares
        except Invalid as error:
            return Reply(b"", Nonsense(str(error)))
        own = {holding.id for holding in self._holdings.ready(hub)}
        wanted = wire.decode(wire.Fetch, sent.body).secrets
        fitting = [share for share in shares if any(want.covers(share.generator, share.secret_id) for want in wanted)]
        return Reply(b"", brought=tuple(self._open_all(share for share in fitting if share.block in own)))

    def other_blocks(self, block: str, hub: str) -> tuple[wire.Seen, ...]:
        """How far the other blocks at the hub are seen; of more than 64 those that were used, and are next.

        A hub wraps under no block that is left out, so what it has wrapped under one that was listed stays in reach.
        """
        others = [holding.id for holding in self._holdings.ready(hub) if holding.id != block]
        return tuple(wire.Seen(other, self._ledger.seen(other)) for other in others[: wire.MAX_ENTRIES])

    def _signer(self, pad: Pad, target: str) -> Callable[[bytes], Auth]:
        authenticator, seen = pad.authenticator(), self._ledger.seen(pad.block)
        context = envelope.request_context(METHOD, target)

        def sign(body: bytes) -> Auth:
            tag = authenticator.tag(seen=seen, context=context, body=body)
            return Auth(pad.block, pad.span.offset, pad.span.length, seen, tag)

        return sign

    def _claim_answer(self, sent: Sent, received: Received) -> None:
        try:
            auth = envelope.parse_auth(received.auth)
            pad = self._ledger.look(sent.block, auth.span)
        except Invalid as error:
            raise Unproven(error.kind, str(error), hint=_hint(received)) from None
        except Refusal as error:
            raise Unproven(error.slug, str(error)) from None
        if (auth.block, auth.seen) != (sent.block, 0):
            raise Unproven("bad-header", "expected the request's block, and seen=0")
        context = envelope.answer_context(sent.auth.tag, received.status)
        if not pad.authenticator().verify(auth.tag, seen=0, context=context, body=received.body):
            raise Unproven("bad-tag", "its tag is wrong")
        if auth.length != AUTH_BYTES:
            raise Unproven("bad-length", f"expected a span of {AUTH_BYTES} bytes")
        self._ledger.claim(pad)

    def _open_all(self, shares: Iterable[wire.Wrapped]) -> Iterator[Brought]:
        latest = self._now() + wire.MAX_EXPIRES  # whatever a hub says
        for wrapped in shares:
            pad = self._pad_of(wrapped)
            if pad is not None:
                entry = Entry.of(wrapped, Secret(pad.open(wrapped.share)))
                yield Brought(wrapped.generator, wrapped.secret_id, min(wrapped.expires_at, latest), entry)

    def _pad_of(self, wrapped: wire.Wrapped) -> Pad | None:
        wrap = Wrap(wrapped.block, Span(wrapped.offset, len(wrapped.share)), wrapped.generator, wrapped.secret_id)
        known = self._keys.wrap_at(wrap.block, wrap.span.offset)
        if known is not None:
            return self._ledger.look_again(wrap.block, wrap.span) if known == wrap else None
        try:
            pad = self._ledger.look(wrap.block, wrap.span)
        except Refusal:
            return None
        assert pad.direction is Direction.SERVER, "a client listens to the server pad"
        is_needed = not self._keys.are_out(wrap.generator, wrap.secret_id, count=wrapped.m)
        self._ledger.claim(pad, keep=is_needed)
        if is_needed:
            self._keys.keep(wrap, expires_at=wrapped.expires_at, now=self._now())
        return pad


def shown(words: str) -> str:
    """A hub's words as they can stand in events and on a screen: a line of bounded length."""
    return "".join(letter if letter.isprintable() else "?" for letter in words[:MOST_WORDS])


def _hint(received: Received) -> str:
    """What an answer that is not authenticated says; never a fact."""
    try:
        return wire.decode(wire.Problem, received.body).slug
    except Invalid:
        return ""


def _refusal(received: Received) -> AgentError:
    try:
        problem = wire.decode(wire.Problem, received.body)
        return Refusal(problem.slug, shown(problem.detail or problem.title))
    except (Invalid, KeyError):
        return Nonsense("expected a problem of a known type")
