"""The shelf keeps what hubs have answered about a secret until all of its keys are out; in memory only.

* Who asks again asks only the hubs that have brought nothing yet: no fetch is used up by what is here already.
* A hub's first share counts and stays. What a hub brings displaces nothing but what it brought itself.
* An answer to a question that named no peer tells of every generator; one that named a peer tells of that one alone.
* A share goes when its own hub's word about its expiry has come true. What comes after the last key is left out.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from qfagent.client.exchange import Brought
from qfagent.client.ring import Which
from qfagent.dske.wire import MAX_EXPIRES

MOST: Final = 1024  # answers of one hub, and shares in them, of at most 2,080 bytes each
_REMEMBERED: Final = 4096  # finished secrets, so that late answers are known for what they are

Asked = tuple[str | None, str | None]  # generator, secret id


class _Answer(msgspec.Struct, frozen=True):
    shares: tuple[Brought, ...]
    until: int  # Unix seconds


_Kept = OrderedDict[Asked, _Answer]


class Shelf:
    """Answers by hub; nothing here waits."""

    def __init__(self) -> None:
        self._by_hub: dict[str, _Kept] = defaultdict(OrderedDict)
        self._finished: OrderedDict[Which, None] = OrderedDict()

    def put(self, hub: str, asked: Asked, shares: Sequence[Brought], *, now: int) -> None:
        """Keeps a hub's answer, unless an earlier one brought something."""
        kept = self._by_hub[hub]
        is_late = any((share.generator, share.secret_id) in self._finished for share in shares)
        if not is_late and (asked not in kept or not kept[asked].shares):
            kept[asked] = _Answer(tuple(shares), now + MAX_EXPIRES)
        while sum(1 + len(answer.shares) for answer in kept.values()) > MOST:
            kept.popitem(last=False)

    def find(self, hub: str, asked: Asked) -> tuple[Brought, ...]:
        """The shares that the hub has brought of what is asked for."""
        (generator, secret_id), kept = asked, self._by_hub[hub]
        answers = [kept[which] for which in (asked, (None, secret_id)) if which in kept]
        found = [tuple(share for share in answer.shares if generator in (None, share.generator)) for answer in answers]
        return next(filter(None, found), ())

    def has_told(self, hub: str, secret_id: str | None) -> bool:
        """Whether the hub has told of every generator's secret of that id."""
        return (None, secret_id) in self._by_hub[hub]

    def finish(self, which: Which) -> None:
        """The last key of the secret is out."""
        self._finished[which] = None
        while len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        for kept in self._by_hub.values():
            for asked in {which, (None, which[1])} & kept.keys():
                _narrow(kept, asked, lambda share: share.generator != which[0])

    def expire(self, *, now: int) -> None:
        """Takes out what has expired."""
        for kept in self._by_hub.values():
            for asked, answer in list(kept.items()):
                if answer.until <= now:
                    del kept[asked]
                else:
                    _narrow(kept, asked, lambda share: share.expires_at > now)


def _narrow(kept: _Kept, asked: Asked, stays: Callable[[Brought], bool]) -> None:
    """Leaves those shares in an answer that stay; an answer that brought something, and has nothing left, goes."""
    answer = kept[asked]
    rest = tuple(filter(stays, answer.shares))
    if rest:
        kept[asked] = msgspec.structs.replace(answer, shares=rest)
    elif answer.shares:
        del kept[asked]
