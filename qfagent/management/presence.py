"""Presence is what peers were heard to say of themselves, and when: levels and counts, never content.

* Whatever a peer asks is a sign of life. Reports are replaced whole, and none of them changes what anybody may do.
* What a newer agent says beside what is known here is left aside.
* It is kept in memory and saved now and then; losing the last minute of it loses nothing that is not said again.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from qfagent.dske import ids
from qfagent.management.view import RoleName

LOST_AFTER: Final = 120.0  # seconds of silence; a peer that waits for news is heard every minute
MOST_HUBS: Final = 64

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
HubId = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.HEX_ID}\Z")]
Word = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,40}\Z")]
Line = Annotated[str, msgspec.Meta(max_length=128, pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z")]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=r"\A[!-~]+\Z")]


class HubLevels(msgspec.Struct, frozen=True):
    """A hub at work: its DSKE hub id, where clients reach it, its pool in files, its clients and shares as counts."""

    id: HubId
    address: Address
    pool_files: Count
    pool_target: Count
    handed_out: Count
    clients_bound: Count
    clients_unbound: Count
    shares: Count


class PsrdLevel(msgspec.Struct, frozen=True):
    """What a client has left with one hub, in bytes and as parts of the whole; `lasts_s` seconds at today's rate."""

    hub: HubId
    state: Word
    user_left: Count
    server_left: Count
    user_fraction: Part
    server_fraction: Part
    lasts_s: Annotated[float, msgspec.Meta(ge=0)] | None = None

    @property
    def fraction(self) -> float:
        """The part that is left of the pad that ends first."""
        return min(self.user_fraction, self.server_fraction)


class Report(msgspec.Struct, frozen=True):
    """What an agent says of itself: the name it goes by, what it runs as, and the codes of its health issues."""

    name: Annotated[str, msgspec.Meta(pattern=rf"\A{ids.PEER_NAME}\Z")]
    role: RoleName
    version: Line
    hub: HubLevels | None = None
    psrd: Annotated[tuple[PsrdLevel, ...], msgspec.Meta(max_length=MOST_HUBS)] = ()
    issues: Annotated[tuple[Word, ...], msgspec.Meta(max_length=32)] = ()


class Sighting(msgspec.Struct, frozen=True):
    """The latest of a peer; Unix seconds, 0 for never, and the address that it called from."""

    seen_at: float = 0.0
    address: str = ""
    report: Report | None = None
    reported_at: float = 0.0

    def is_connected(self, now: float) -> bool:
        """Whether it was heard lately."""
        return now - self.seen_at < LOST_AFTER


UNSEEN: Final = Sighting()


class Presence:
    """The sightings of all peers. `serial` counts what is worth showing: reports, and peers that come back."""

    def __init__(self, saved: Mapping[str, Sighting]) -> None:
        self._sightings = dict(saved)
        self._unsaved: set[str] = set()
        self.serial = 0

    def of(self, peer_id: str) -> Sighting:
        """The latest of a peer."""
        return self._sightings.get(peer_id, UNSEEN)

    def known(self) -> frozenset[str]:
        """The ids of all peers that were ever heard."""
        return frozenset(self._sightings)

    def hear(self, peer_id: str, *, address: str, now: float) -> None:
        """The peer has asked for something."""
        before = self.of(peer_id)
        self._take(peer_id, msgspec.structs.replace(before, seen_at=now, address=address))
        if not before.is_connected(now) or before.address != address:
            self.serial += 1

    def report(self, peer_id: str, report: Report, *, now: float) -> None:
        """The peer has told how it is."""
        self._take(peer_id, msgspec.structs.replace(self.of(peer_id), report=report, reported_at=now))
        self.serial += 1

    def forget(self, peer_id: str) -> None:
        """The peer is gone."""
        self._sightings.pop(peer_id, None)
        self._unsaved.discard(peer_id)

    def take_unsaved(self) -> dict[str, Sighting]:
        """What has changed since the last time."""
        unsaved, self._unsaved = self._unsaved, set()
        return {peer_id: self._sightings[peer_id] for peer_id in unsaved}

    def _take(self, peer_id: str, sighting: Sighting) -> None:
        self._sightings[peer_id] = sighting
        self._unsaved.add(peer_id)
