"""A hub that lies: it has all the pads of a real one, so its lies carry the right tags.

* `lie` changes what a recoverer gets to see of a share; None leaves the share out.
* `forget` makes it acknowledge deposits and keep nothing. What happens on the wire is the business of `bend`.
"""

from collections.abc import Callable

import msgspec

from qfagent.dske import wire
from qfagent.dske.pad import Pad
from qfagent.hub.deposits import Deposits
from qfagent.store.clients import Client
from qfagent.store.shares import Share
from qfagent.testing.network import HubMachine, Network

Lie = Callable[[wire.Wrapped], wire.Wrapped]


def honest(wrapped: wire.Wrapped) -> wire.Wrapped:
    """No lie at all."""
    return wrapped


def changing(**members: object) -> Lie:
    """A lie that shows other members than those deposited."""
    return lambda wrapped: msgspec.structs.replace(wrapped, **members)


def bending_share(at: int = 0, mask: int = 1) -> Lie:
    """A lie that flips bits of the share itself; under a one-time pad that needs no knowledge of it."""

    def lie(wrapped: wire.Wrapped) -> wire.Wrapped:
        share = bytearray(wrapped.share)
        share[at] ^= mask
        return msgspec.structs.replace(wrapped, share=wire.Base64(share))

    return lie


class LyingHub(HubMachine):
    """A hub of the network that lies about shares."""

    def __init__(self, network: Network, name: str, settings: str = "") -> None:
        super().__init__(network, name, settings)
        self.lie: Lie = honest
        self.forgets = False

    def corrupt(self) -> None:
        """Takes over the deposits."""
        books = self.hub.books
        books.deposits = books.exchange.deposits = _Lying(self, books.deposits)


class _Lying(Deposits):
    """The deposits of a hub that lies."""

    def __init__(self, machine: LyingHub, before: Deposits) -> None:
        vars(self).update(vars(before))
        self._machine = machine

    def deposit(self, generator: Client, request: wire.Deposits, pad: Pad) -> wire.Results:
        """Says that everything is stored, and perhaps keeps nothing."""
        if not self._machine.forgets:
            return super().deposit(generator, request, pad)
        return wire.Results(tuple(wire.Result(deposit.secret_id, wire.STORED) for deposit in request.deposits))

    def show(self, share: Share) -> wire.Wrapped:
        """A share, with the lie of the day."""
        return self._machine.lie(super().show(share))
