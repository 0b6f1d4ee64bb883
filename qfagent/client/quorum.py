"""A quorum asks all hubs at once and needs only some of them: the dead and the slow cost nothing but their answer.

* What was asked goes on when the quorum is reached, or its caller has gone; late answers still count for something.
* Why a hub did not help is kept, so that "too few" can be explained.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import trio

from qfagent.client.hubs import Hub
from qfagent.errors import AgentError, FetchLimit, PsrdExhausted, TooFewHubs

T = TypeVar("T")


class Answers(Generic[T]):
    """The answers of some hubs to one question, as they arrive."""

    def __init__(self, nursery: trio.Nursery, hubs: Iterable[Hub], ask: Callable[[Hub], Awaitable[T]]) -> None:
        self._hubs = tuple(hubs)
        self._send, self._receive = trio.open_memory_channel[tuple[Hub, T]](len(self._hubs))
        self.failures: dict[str, AgentError] = {}
        self._open = len(self._hubs)
        for hub in self._hubs:
            nursery.start_soon(self._ask, hub, ask)
        if not self._hubs:
            self._send.close()

    def __aiter__(self) -> AsyncIterator[tuple[Hub, T]]:
        return self._receive

    def too_few(self, needed: int, got: int) -> AgentError:
        """The error that says which hubs did not help, why, and what to do."""
        return too_few(needed, got, self.failures)

    async def _ask(self, hub: Hub, ask: Callable[[Hub], Awaitable[T]]) -> None:
        try:
            self._send.send_nowait((hub, await ask(hub)))
        except AgentError as error:
            self.failures[hub.id] = error
        self._open -= 1
        if not self._open:
            self._send.close()


def too_few(needed: int, got: int, failures: dict[str, AgentError]) -> AgentError:
    """TooFewHubs, or PsrdExhausted or FetchLimit if that alone is the reason."""
    reasons = "; ".join(f"hub {hub[:8]}: {error}" for hub, error in sorted(failures.items()))
    text = f"{needed} hubs are needed, {got} did their part" + (f" ({reasons})" if reasons else "")
    remedies = list(dict.fromkeys(error.remedy for error in failures.values() if error.remedy))
    remedy = ", ".join(remedies) or "carry PSRD files from more hubs, or see `qfagent hubs`"
    alone = {type(error) for error in failures.values()}
    kind = next((kind for kind in (PsrdExhausted, FetchLimit) if alone == {kind}), TooFewHubs)
    return kind(text, remedy=remedy)
