"""One message of a client becomes one answer of the hub, in one transaction.

* The order is that of protocol.md section 4, Receiver: block, span, tag; then claim, effect and the answer's own span.
* A message is parsed only after its tag has verified. What verifies and is refused is answered under a tag, too.
* Nothing here waits or sends; what it returns may leave when the transaction is durable.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from qfagent.dske import envelope, wire
from qfagent.dske.envelope import Auth
from qfagent.dske.pad import AUTH_BYTES, PROOF_BYTES, Direction, Pad
from qfagent.errors import Invalid, Refusal
from qfagent.events import Event, Journal
from qfagent.hub.deposits import Deposits
from qfagent.hub.registration import Registration
from qfagent.store.ledger import Ledger

PROBLEM_TYPE: Final = "https://dske.invalid/errors/"


class Message(msgspec.Struct, frozen=True):
    """A request as it arrived; `auth` and `proof` are the values of its DSKE-Auth and DSKE-Proof headers.

    `source` is the address that it came from.
    """

    method: str
    target: str
    body: bytes
    auth: Sequence[bytes] = ()
    proof: Sequence[bytes] = ()
    source: str = ""

    @property
    def context(self) -> bytes:
        """What its tags cover besides the body."""
        return envelope.request_context(self.method, self.target)


class Answer(msgspec.Struct, frozen=True):
    """What the hub says; `auth` is the value of its DSKE-Auth header, if it is authenticated.

    `is_proven`: the message has verified, though the answer to it can't be authenticated.
    """

    status: int
    body: bytes
    auth: str | None = None
    slug: str = "ok"
    events: tuple[Event, ...] = ()
    is_proven: bool = False


class Exchange:
    """The authenticated conversation of one hub with all its clients."""

    def __init__(self, ledger: Ledger, registration: Registration, deposits: Deposits, journal: Journal) -> None:
        self._ledger, self._registration, self.deposits, self._journal = ledger, registration, deposits, journal
        self._routes: dict[str, Callable[[Message, Pad, Auth], msgspec.Struct]] = {
            wire.REGISTER: self._register,
            wire.DEPOSIT: self._deposit,
            wire.FETCH: self._fetch,
        }

    def answer(self, message: Message) -> Answer:
        """The answer to any message at all; runs inside a transaction."""
        self._journal.drain()  # of a transaction that failed: it has not happened
        try:
            auth, pad = self._verified(message)
        except Refusal as refusal:
            answer = refused(refusal)
        else:
            answer = self._proven(message, auth, pad)
        return msgspec.structs.replace(answer, events=self._journal.drain())

    def _proven(self, message: Message, auth: Auth, pad: Pad) -> Answer:
        try:
            self._check_rollback(auth)
            self._check_room(auth.block)
        except Refusal as refusal:
            return msgspec.structs.replace(refused(refusal), is_proven=True)
        return self._authenticated(message, auth, pad)

    def _verified(self, message: Message) -> tuple[Auth, Pad]:
        try:
            auth = envelope.parse_auth(message.auth)
        except Invalid as error:
            raise Refusal("bad-tag", str(error)) from None
        pad = self._look(auth)
        if not _holds(message, auth, pad):
            raise Refusal("bad-tag", "expected a tag made with the span's bytes over this very message")
        return auth, pad

    def _look(self, auth: Auth) -> Pad:
        if not self._registration.has_issued(auth.block):  # it may be one that this machine holds as a client
            raise Refusal("unknown-block", f"there is no block {auth.block} here")
        return self._ledger.look(auth.block, auth.span)

    def _check_rollback(self, auth: Auth) -> None:
        if self.deposits.retire_if_rolled_back(auth.block, auth.seen):
            raise Refusal("retired", f"block {auth.block}: the client has seen more than this hub has spent")

    def _check_room(self, block: str) -> None:
        if self._ledger.room(block) < AUTH_BYTES:
            raise Refusal("pad-exhausted", f"block {block} has no bytes left for an answer")

    def _authenticated(self, message: Message, auth: Auth, pad: Pad) -> Answer:
        try:
            status, slug, body = 200, "ok", wire.encode(self._effect(message, auth, pad))
        except (Refusal, Invalid) as error:
            refusal = error if isinstance(error, Refusal) else Refusal("malformed", str(error))
            status, slug, body = refusal.status, refusal.slug, _problem(refusal)
        self._ledger.claim(pad)
        self._registration.heard(auth.block)
        return self._signed(auth, status, slug, body)

    def _effect(self, message: Message, auth: Auth, pad: Pad) -> msgspec.Struct:
        route = self._routes.get(message.target)
        if route is None or message.method != "POST":
            raise Refusal("malformed", "expected POST to a path of the protocol")
        return route(message, pad, auth)

    def _signed(self, auth: Auth, status: int, slug: str, body: bytes) -> Answer:
        pad = self._ledger.take(auth.block, AUTH_BYTES)
        context = envelope.answer_context(auth.tag, status)
        tag = pad.authenticator().tag(seen=0, context=context, body=body)
        return Answer(status, body, str(Auth(auth.block, pad.span.offset, pad.span.length, 0, tag)), slug)

    # --- the three messages

    def _register(self, message: Message, _: Pad, auth: Auth) -> wire.Registered:
        request = wire.decode(wire.Register, message.body)
        _check_length(auth, 0)
        proof = self._proof(message, auth.block)
        return self._registration.register(auth.block, request, proof, source=message.source)

    def _deposit(self, message: Message, pad: Pad, auth: Auth) -> wire.Results:
        request = wire.decode(wire.Deposits, message.body)
        _check_length(auth, request.ciphertext)
        return self.deposits.deposit(self._registration.speaker(auth.block), request, pad)

    def _fetch(self, message: Message, _: Pad, auth: Auth) -> wire.Shares:
        request = wire.decode(wire.Fetch, message.body)
        _check_length(auth, 0)
        return self.deposits.fetch(self._registration.speaker(auth.block), auth.block, request)

    def _proof(self, message: Message, block: str) -> Pad | None:
        """The pad of a valid proof from another block that this message carries, not yet claimed."""
        try:
            auth = envelope.parse_auth(message.proof)
            pad = self._look(auth)
            end = self._ledger.facts(auth.block).user_bytes
        except (Invalid, Refusal):
            return None
        fits = auth.block != block and auth.length == AUTH_BYTES and auth.offset >= end - PROOF_BYTES
        if not fits or not _holds(message, auth, pad) or self.deposits.retire_if_rolled_back(auth.block, auth.seen):
            return None
        return pad


def _holds(message: Message, auth: Auth, pad: Pad) -> bool:
    assert pad.direction is Direction.USER, "a hub listens to the user pad"
    return pad.authenticator().verify(auth.tag, seen=auth.seen, context=message.context, body=message.body)


def _check_length(auth: Auth, ciphertext: int) -> None:
    if auth.length != AUTH_BYTES + ciphertext:
        raise Refusal("bad-length", f"expected a span of {AUTH_BYTES + ciphertext} bytes for this body")


def refused(refusal: Refusal) -> Answer:
    """An answer that is not authenticated: a hint, never a fact."""
    return Answer(refusal.status, _problem(refusal), slug=refusal.slug)


def _problem(refusal: Refusal) -> bytes:
    title = refusal.slug.replace("-", " ")
    return wire.encode(wire.Problem(PROBLEM_TYPE + refusal.slug, title, refusal.status, str(refusal)))
