"""The ring holds recovered secrets until their keys are handed over; in memory only.

* A key leaves the ring when it is handed over, before anything is awaited: no two callers get the same one.
* A caller that lost the answer may have it again for `GRACE` seconds, the same uid only.
* When all keys of a secret are out, or it has expired, the ring forgets it and says so.
"""

from typing import Final

import msgspec

from qfagent.dske.secret import Secret

GRACE: Final = 60.0  # seconds

Which = tuple[str, str]  # generator, secret id


class Held(msgspec.Struct):
    """One recovered secret: its keys by index, and when it expires (Unix seconds)."""

    generator: str
    secret_id: str
    keys: dict[int, Secret]
    expires_at: int


class _Given(msgspec.Struct, frozen=True):
    key: Secret
    generator: str
    uid: int
    until: float  # clock of trio


class Ring:
    """The keys that wait for their callers; nothing here waits."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, Held]] = {}  # secret id -> generator -> secret
        self._by_generator: dict[str, dict[str, Held]] = {}  # generator -> secret id -> secret, oldest first
        self._given: dict[tuple[str, int], _Given] = {}  # by secret id and index, oldest first

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
            self._given[held.secret_id, index] = _Given(key, held.generator, uid, now + GRACE)

    def given(self, secret_id: str, index: int, *, uid: int, now: float) -> tuple[str, Secret] | None:
        """Generator and key, if this caller was given the key a moment ago."""
        given = self._given.get((secret_id, index))
        return (given.generator, given.key) if given and given.uid == uid and given.until > now else None

    def forget_given(self, *, now: float) -> None:
        """Drops keys that were handed over long enough ago."""
        while self._given and next(iter(self._given.values())).until <= now:
            del self._given[next(iter(self._given))]

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
