"""The tally counts keys by peer since the agent started."""

from collections import OrderedDict
from typing import Final

import msgspec

_PEERS: Final = 10_000


class Counted(msgspec.Struct):
    """How many keys were made with a peer since the agent started."""

    peer: str
    established: int = 0
    recovered: int = 0


class Tally:
    """Keys by peer, those of the latest use last."""

    def __init__(self) -> None:
        self._counted: OrderedDict[str, Counted] = OrderedDict()

    def established(self, peer: str, keys: int) -> None:
        """So many keys were established with the peer."""
        self._of(peer).established += keys

    def recovered(self, peer: str, keys: int) -> None:
        """So many keys that the peer made were recovered."""
        self._of(peer).recovered += keys

    def peers(self) -> list[Counted]:
        """Every peer."""
        return list(self._counted.values())

    def _of(self, peer: str) -> Counted:
        counted = self._counted.setdefault(peer, Counted(peer))
        self._counted.move_to_end(peer)
        while len(self._counted) > _PEERS:
            self._counted.popitem(last=False)
        return counted
