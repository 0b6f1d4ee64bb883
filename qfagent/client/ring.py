"""The ring holds recovered secrets until their keys are handed over; in memory only.

* A key leaves the ring when it is handed over, before anything is awaited: no two callers get the same one.
* A caller that lost the answer may have it again for `GRACE` seconds, the same uid only, and of the peer it names.
* When all keys of a secret are out, or it has expired, the ring forgets it and says so.
"""

from collections import deque
from typing import Final

import msgspec

from qfagent.dske.secret import Secret

GRACE: Final = 60.0  # seconds

Which = tuple[str, str]  # generator, secret id


class Held(msgspec.Struct):
    """One recovered secret: its keys by index, and when it expires (Unix seconds).

    `is_alone`: no other generator has used the id, so a caller need not say which is meant.
    """

    generator: str
    secret_id: str
    keys: dict[int, Secret]
    expires_at: int
    is_alone: bool = False


class _Given(msgspec.Struct, frozen=True):
    key: Secret
    generator: str
    is_alone: bool
    uid: int
    until: float  # clock of trio


class Ring:
    """The keys that wait for their callers; nothing here waits."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, Held]] = {}  # secret id -> generator -> secret
        self._by_generator: dict[str, dict[str, Held]] = {}  # generator -> secret id -> secret, oldest first
        self._given: dict[tuple[str, int], dict[str, _Given]] = {}  # by secret id and index, then by generator
        self._given_order: deque[tuple[float, tuple[str, int], str]] = deque()  # until when, oldest first

    def add(self, held: Held) -> None:
        """Takes a secret in, behind those that are there."""
        if not self.has((held.generator, held.secret_id)):
            self._by_id.setdefault(held.secret_id, {})[held.generator] = held
            self._by_generator.setdefault(held.generator, {})[held.secret_id] = held

    def holding(self, secret_id: str, *, generator: str | None) -> list[Held]:
        """The secrets of that id, of one generator or of all."""
        found = self._by_id.get(secret_id, {})
        return [held for name, held in found.items() if generator in (None, name)]

    def oldest(self, generator: str) -> Held | None:
        """The secret of a generator that came in first."""
        return next(iter(self._by_generator.get(generator, {}).values()), None)

    def has(self, which: Which) -> bool:
        """Whether the secret is here."""
        generator, secret_id = which
        return generator in self._by_id.get(secret_id, {})

    def take(self, held: Held, indices: frozenset[int]) -> dict[int, Secret]:
        """Takes keys out of a secret; those that are not there are left out."""
        keys = {index: held.keys.pop(index) for index in sorted(indices) if index in held.keys}
        if not held.keys:
            self._drop(held)
        return keys

    def put_back(self, held: Held, keys: dict[int, Secret]) -> None:
        """Undoes `take`, for keys that were not handed over after all."""
        held.keys.update(keys)
        self.add(held)

    def give(self, held: Held, keys: dict[int, Secret], *, uid: int, now: float) -> None:
        """Keeps keys that are being handed over for a caller that loses the answer."""
        self.forget_given(now=now)
        for index, key in keys.items():
            which = (held.secret_id, index)
            given = _Given(key, held.generator, held.is_alone, uid, now + GRACE)
            self._given.setdefault(which, {})[held.generator] = given
            self._given_order.append((now + GRACE, which, held.generator))

    def given(
        self, secret_id: str, index: int, *, generator: str | None, uid: int, now: float
    ) -> tuple[str, Secret] | None:
        """Generator and key, if this caller was given the key a moment ago; without a generator, if it is alone."""
        found = self._given.get((secret_id, index), {}).values()
        own = [given for given in found if given.uid == uid and given.until > now]
        fitting = [given for given in own if (given.is_alone if generator is None else given.generator == generator)]
        return (fitting[0].generator, fitting[0].key) if len(fitting) == 1 else None

    def forget_given(self, *, now: float) -> None:
        """Drops keys that were handed over long enough ago."""
        while self._given_order and self._given_order[0][0] <= now:
            until, which, generator = self._given_order.popleft()
            found = self._given.get(which, {})
            if generator in found and found[generator].until <= until:
                del found[generator]
            if not found:
                self._given.pop(which, None)

    def expire(self, *, now: int) -> list[Held]:
        """Takes out the secrets that have expired."""
        every = [held for found in self._by_id.values() for held in found.values()]
        gone = [held for held in every if held.expires_at <= now]
        for held in gone:
            self._drop(held)
        return gone

    def _drop(self, held: Held) -> None:
        for index, key, inner in (
            (self._by_id, held.secret_id, held.generator),
            (self._by_generator, held.generator, held.secret_id),
        ):
            found = index.get(key, {})
            found.pop(inner, None)
            if not found:
                index.pop(key, None)
