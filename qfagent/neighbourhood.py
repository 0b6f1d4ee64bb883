"""The neighbourhood is what an agent goes by of the network around it: which hubs, which peers, and who is where.

* An agent on its own takes PSRD from any hub and makes keys with anybody. A managed one goes by its view.
* It can only refuse: nothing in it makes an agent spend, send or release a byte.
"""

from typing import Final, Protocol

from qfagent.dske.psrd import HubAddress


class Neighbourhood(Protocol):
    """What is asked about hubs and peers."""

    def check_hub(self, hub: HubAddress) -> None:
        """PsrdRejected if no PSRD of this hub is to be taken in."""
        ...

    def serves(self, hub: HubAddress) -> bool:
        """Whether this hub is one to work with now."""
        ...

    def check_peer(self, name: str) -> None:
        """PeerExempt, PeerOutOfReach if no keys are to be made with this peer."""
        ...

    def is_at(self, name: str, address: str) -> bool:
        """Whether the peer of this name is known to call from this address."""
        ...


class Anybody:
    """The neighbourhood of an agent on its own."""

    def check_hub(self, _: HubAddress) -> None:
        """Every hub may give PSRD."""

    def serves(self, _: HubAddress) -> bool:
        """Every hub is one to work with."""
        return True

    def check_peer(self, _: str) -> None:
        """Keys are made with everybody."""

    def is_at(self, _: str, __: str) -> bool:
        """Nobody's address is known."""
        return False


ANYBODY: Final = Anybody()
