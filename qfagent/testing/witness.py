"""A witness stands between a hub and its clients, knows every pad, sees all that leaves, and forgets nothing.

* No byte of a pad serves two contents, whatever crashed in between; a message is made with the true bytes of its span.
* A request is answered once under a tag.
* A share that the hub has acknowledged opens to what its generator sent, whenever and however often it is shown.
* A key leaves an agent once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from qfagent.client.exchange import METHOD, Sent
from qfagent.dske import envelope, wire
from qfagent.dske.envelope import Auth
from qfagent.dske.establish import KEPT_BY
from qfagent.dske.pad import AUTH_BYTES, PROOF_BYTES, Direction, Pad
from qfagent.dske.psrd import Block
from qfagent.dske.secret import xor
from qfagent.dske.spans import Span
from qfagent.hub.exchange import Answer

CELL: Final = 64  # bytes: uses are looked up by where they lie


class Broken(AssertionError):
    """A promise was broken; `promise` is its stable name."""

    def __init__(self, promise: str, detail: str) -> None:
        super().__init__(f"{promise}: {detail}")
        self.promise = promise


class Which(NamedTuple):
    """A secret's share at the hub that is watched."""

    recoverer: str
    generator: str
    secret_id: str


class Kept(NamedTuple):
    """A share that the hub must keep: its bytes, and when it was first sent (Unix seconds)."""

    share: bytes
    sent_at: int


class Release(NamedTuple):
    """A secret of which an agent lets keys out."""

    agent: str
    generator: str
    secret_id: str


class _Use(NamedTuple):
    span: Span
    content: bytes


class Witness:
    """What was seen of one hub and its clients; every method may raise Broken."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.kept: dict[Which, Kept] = {}  # acknowledged, and not done
        self.released: dict[Release, dict[int, int]] = defaultdict(dict)  # when (Unix seconds), by index of the key
        self.answered: dict[str, list[Span]] = defaultdict(list)  # user spans, by block
        self._sent: dict[Which, Kept] = {}
        self._done: set[Which] = set()
        self._uses: dict[tuple[str, Direction, int], list[_Use]] = defaultdict(list)  # by the cells they touch
        self._spent: dict[tuple[str, Direction], int] = {}
        self._answers: dict[bytes, str] = {}  # by the request's tag

    def learn(self, block: Block) -> None:
        """The block exists."""
        self.blocks[block.id] = block

    def spent(self, block: str, direction: Direction) -> int:
        """The end of the highest byte that was seen in use, below those kept for proofs."""
        return self._spent.get((block, direction), direction.first)

    def request(self, peer: str, sent: Sent, *, now: int) -> None:
        """A client's request has left."""
        context = envelope.request_context(METHOD, sent.target)
        for auth in (sent.auth, *([sent.proof] if sent.proof else [])):
            self._signed(auth, Direction.USER, context, sent.body)
        for which, share in self._deposited(peer, sent):
            known = self._sent.setdefault(which, Kept(share, now))
            _expect(known.share == share, "share-changed", f"{which} was sent with another share before")
        if sent.target == wire.FETCH:
            done = wire.decode(wire.Fetch, sent.body).done
            self._finish(Which(peer, one.generator, one.secret_id) for one in done)

    def answer(self, peer: str, sent: Sent, answer: Answer) -> None:
        """The hub's answer to a peer's request has left."""
        if answer.auth is None:
            return
        auth = envelope.parse_auth([answer.auth.encode()])
        known = self._answers.setdefault(sent.auth.tag, answer.auth)
        _expect(known == answer.auth, "answered-twice", f"the request at {sent.auth.offset} of block {sent.block}")
        self._signed(auth, Direction.SERVER, envelope.answer_context(sent.auth.tag, answer.status), answer.body)
        self.answered[sent.block].append(sent.auth.span)
        if answer.status == 200 and sent.target == wire.DEPOSIT:
            self._acknowledged(peer, sent, wire.decode(wire.Results, answer.body))
        elif answer.status == 200 and sent.target == wire.FETCH:
            self._shown(peer, wire.decode(wire.Shares, answer.body).shares)

    def release(self, what: Release, indices: Iterable[int], *, now: int) -> None:
        """An agent has let these keys of a secret out."""
        leaving, out = dict.fromkeys(indices, now), self.released[what]
        _expect(not out.keys() & leaving, "key-released-twice", f"keys {out.keys() & leaving} of {what}")
        out |= leaving

    # --- inside

    def _signed(self, auth: Auth, direction: Direction, context: bytes, body: bytes) -> None:
        self._use(auth.block, direction, auth.span, str(auth).encode() + context + body)
        holds = self._pad(auth.block, direction, auth.span).authenticator()
        genuine = holds.verify(auth.tag, seen=auth.seen, context=context, body=body)
        _expect(genuine, "wrong-bytes", f"the tag at {auth.offset} of block {auth.block}, {direction.name}")

    def _use(self, block: str, direction: Direction, span: Span, content: bytes) -> None:
        use = _Use(span, content)
        for cell in range(span.offset // CELL, -(-span.end // CELL)):
            uses = self._uses[block, direction, cell]
            for other in uses:
                if other.span.overlaps(span) and other != use:
                    raise Broken("span-used-twice", f"{span} and {other.span} of block {block}, {direction.name}")
            if use not in uses:
                uses.append(use)
        if span.end <= self._limit(block, direction):
            self._spent[block, direction] = max(span.end, self.spent(block, direction))

    def _limit(self, block: str, direction: Direction) -> int:
        """The end of what is not kept for proofs."""
        pads = self.blocks[block]
        return len(pads.user) - PROOF_BYTES if direction is Direction.USER else len(pads.server)

    def _pad(self, block: str, direction: Direction, span: Span) -> Pad:
        pads = (self.blocks[block].user.reveal(), self.blocks[block].server.reveal())
        r, material = (pads[0][16:32], pads[1][:16])[direction], pads[direction][span.offset : span.end]
        return Pad(block=block, direction=direction, span=span, r=r, material=material)

    def _deposited(self, peer: str, sent: Sent) -> Iterator[tuple[Which, bytes]]:
        if sent.target == wire.DEPOSIT:
            pad = self._pad(sent.block, Direction.USER, sent.auth.span)
            pad.draw(AUTH_BYTES)
            for deposit in wire.decode(wire.Deposits, sent.body).deposits:
                yield Which(deposit.recoverer, peer, deposit.secret_id), pad.open(deposit.share)

    def _acknowledged(self, peer: str, sent: Sent, results: wire.Results) -> None:
        deposits = wire.decode(wire.Deposits, sent.body).deposits
        for deposit, result in zip(deposits, results.results, strict=True):
            which = Which(deposit.recoverer, peer, deposit.secret_id)
            if result.status in KEPT_BY and which not in self._done:
                self.kept[which] = self._sent[which]

    def _shown(self, peer: str, shares: Iterable[wire.Wrapped]) -> None:
        for share in shares:
            span = Span(share.offset, len(share.share))
            self._use(share.block, Direction.SERVER, span, bytes(share.share))
            opened = xor(share.share, self.blocks[share.block].server.reveal()[span.offset : span.end])
            known = self._sent.get(Which(peer, share.generator, share.secret_id))
            genuine = known is not None and known.share == opened
            _expect(genuine, "share-changed", f"the hub shows another share of {share.secret_id} than was sent")

    def _finish(self, every: Iterable[Which]) -> None:
        for which in every:
            self._done.add(which)
            self.kept.pop(which, None)


def _expect(holds: bool, promise: str, detail: str) -> None:
    if not holds:
        raise Broken(promise, detail)
