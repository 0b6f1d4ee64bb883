"""The hub's REST interface: HTTP on the outside, one transaction for each message on the inside.

* What verifies is answered, whatever came before. What does not is answered too, but not endlessly to one address.
* `health` and the state of a block are told to anybody who knows the block's id; they cost nothing.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from qfagent import __version__
from qfagent.dske import envelope, ids, wire
from qfagent.errors import NotFound, Refusal, StoreError
from qfagent.http.message import Request, Response, problem
from qfagent.hub.books import Books
from qfagent.hub.exchange import Answer, Message, refused
from qfagent.surroundings import Surroundings

FREE_FAILURES: Final = 50  # answers to messages that fail to verify, in a burst from one address
REFILL: Final = 5.0  # of them a second
_ADDRESSES: Final = 4096
_AUTH, _PROOF = envelope.AUTH_HEADER.lower().encode(), envelope.PROOF_HEADER.lower().encode()


class Patience:
    """How many failures of each source address are still answered in full."""

    def __init__(self) -> None:
        self._left: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def spend(self, address: object) -> bool:
        """Counts one failure; whether it is answered in full. Time is trio's."""
        now = trio.current_time()
        left, at = self._left.pop(address, (float(FREE_FAILURES), now))
        left = min(FREE_FAILURES, left + (now - at) * REFILL)
        self._left[address] = (max(0.0, left - 1), now)
        while len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


class Api:
    """Answers what clients ask over HTTP. `bound` is called when a client has come to a name."""

    def __init__(self, around: Surroundings, books: Books, *, hub_id: str, bound: Callable[[], None]) -> None:
        self._committer, self._note, self._books, self._bound = around.committer, around.note, books, bound
        self._health = Response(200, wire.encode(wire.Health(hub_id, __version__)))
        self._patience = Patience()
        self._trouble = ""  # the slug of what keeps the store from working

    async def respond(self, request: Request) -> Response:
        """The response to any request; what keeps the store from working is told once in the events."""
        try:
            return await self._respond(request)
        except StoreError as error:
            if self._trouble != error.slug:
                self._note("hub.store-trouble", code=error.slug, reason=str(error))
            self._trouble = error.slug
            return problem(error)

    async def _respond(self, request: Request) -> Response:
        if request.method == "GET" and request.target == wire.HEALTH:
            return self._health
        if request.method == "GET" and request.target.startswith(wire.BLOCKS):
            return await self._block_state(request, request.target.removeprefix(wire.BLOCKS))
        if request.method == "POST":
            return await self._exchange(request)
        return problem(NotFound("expected POST, or GET of health or a block"))

    async def _exchange(self, request: Request) -> Response:
        auth, proof = request.values(_AUTH), request.values(_PROOF)
        message = Message(request.method, request.target, request.body, auth, proof, str(request.peer))
        answer = await self._committer.run(partial(self._books.exchange.answer, message))
        self._trouble = ""
        for event in answer.events:
            self._note(event.name, **event.fields)
            if event.name.startswith("client."):
                self._bound()
        return self._response(request, answer)

    async def _block_state(self, request: Request, block: str) -> Response:
        known = ids.matches(ids.HEX_ID, block)
        state = await self._committer.run(partial(self._books.block_state, block)) if known else None
        if state is None:
            return self._response(request, refused(Refusal("unknown-block", "there is no such block here")))
        return Response(200, wire.encode(state))

    def _response(self, request: Request, answer: Answer) -> Response:
        if answer.auth is not None:
            return _http(answer, ((envelope.AUTH_HEADER, answer.auth),))
        if answer.is_proven or self._patience.spend(request.peer):
            return _http(answer, ())
        return Response(429, b"{}", "application/problem+json")


def _http(answer: Answer, headers: tuple[tuple[str, str], ...]) -> Response:
    kind = "application/json" if answer.status == 200 else "application/problem+json"
    return Response(answer.status, answer.body, kind, headers)
