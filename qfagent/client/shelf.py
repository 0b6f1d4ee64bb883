"""The shelf keeps the shares that hubs have brought of a secret until all of its keys are out; in memory only.

* A hub's first share of a secret counts and stays, and keeps none of another's out that the hub brings later.
* What a hub brings displaces nothing but what it brought itself.
* That a hub brought nothing, or nothing of somebody else's, is not kept: it may have come since.
* A share goes when its own hub's word about its expiry has come true. What comes after the last key is left out.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from qfagent.client.exchange import Brought
from qfagent.client.ring import Which

MOST: Final = 1024  # shares of one hub, of at most 2,080 bytes each
_REMEMBERED: Final = 4096  # finished secrets, so that late answers are known for what they are

Asked = tuple[str | None, str | None]  # generator, secret id

_Kept = OrderedDict[Asked, tuple[Brought, ...]]


class Shelf:
    """Shares by hub; nothing here waits."""

    def __init__(self) -> None:
        self._by_hub: dict[str, _Kept] = defaultdict(OrderedDict)
        self._finished: OrderedDict[Which, None] = OrderedDict()

    def put(self, hub: str, asked: Asked, shares: Sequence[Brought]) -> None:
        """Keeps what a hub has brought, but for secrets of which it did before, or that are finished."""
        kept = self._by_hub[hub]
        before = kept.get(asked, ())
        known = {_which(share) for share in before}
        fresh = tuple(s for s in shares if _which(s) not in known and _which(s) not in self._finished)
        if fresh:
            kept[asked] = before + fresh
        while sum(map(len, kept.values())) > MOST:
            kept.popitem(last=False)

    def find(self, hub: str, asked: Asked) -> tuple[Brought, ...]:
        """The shares that the hub has brought of what is asked for."""
        (generator, secret_id), kept = asked, self._by_hub[hub]
        answers = [kept[which] for which in (asked, (None, secret_id)) if which in kept]
        found = [tuple(share for share in shares if generator in (None, share.generator)) for shares in answers]
        return next(filter(None, found), ())

    def finish(self, which: Which) -> None:
        """The last key of the secret is out."""
        self._finished[which] = None
        while len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        for kept in self._by_hub.values():
            for asked in {which, (None, which[1])} & kept.keys():
                _narrow(kept, asked, lambda share: share.generator != which[0])

    def clear(self) -> None:
        """Takes out everything."""
        self._by_hub.clear()

    def expire(self, *, now: int) -> None:
        """Takes out what has expired."""
        for kept in self._by_hub.values():
            for asked in list(kept):
                _narrow(kept, asked, lambda share: share.expires_at > now)


def _which(share: Brought) -> Which:
    return share.generator, share.secret_id


def _narrow(kept: _Kept, asked: Asked, stays: Callable[[Brought], bool]) -> None:
    """Leaves those shares that stay."""
    rest = tuple(filter(stays, kept[asked]))
    if rest:
        kept[asked] = rest
    else:
        del kept[asked]
