"""Warnings are what an operator should see to, the gravest first: hubs, then PSRD, then single peers.

* They follow from what was decided and what peers report; nothing is remembered.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from qfagent.management.atlas import Atlas
from qfagent.management.network import Peer
from qfagent.management.presence import Presence, Report, Sighting
from qfagent.management.view import role_of

LOW: Final = 0.2  # the part of a pad that is left


class Warned(msgspec.Struct, frozen=True):
    """One warning; `peer` is the name of whom it is about, if of one."""

    code: str
    detail: str
    peer: str = ""


def warnings(atlas: Atlas, presence: Presence, *, shares_required: int, now: float) -> list[Warned]:
    """All of them."""
    hubs: list[Warned] = [*hub_warnings(atlas, shares_required)]
    psrd: list[Warned] = []
    rest: list[Warned] = []
    names = {peer.place.id: peer.name for peer in atlas.hubs if peer.place}
    for peer in atlas.network.peers.values():
        sighting = presence.of(peer.id)
        if peer.is_hub:
            hubs += _of_hub(peer, sighting, now)
        elif sighting.report is not None:
            psrd += _of_psrd(peer, sighting.report, names)
        rest += _of_peer(peer, sighting, now)
    return [*hubs, *psrd, *rest]


def hub_warnings(atlas: Atlas, shares_required: int) -> Iterator[Warned]:
    """What is wrong with the number of hubs."""
    count = len(atlas.hubs)
    if count < shares_required:
        detail = f"{count} of the {shares_required} security hubs that a key needs: mark another peer as a hub"
        yield Warned("hubs-not-enough", detail)
    elif count == shares_required:
        detail = "as many security hubs as a key needs, and none to spare: mark another peer as a hub"
        yield Warned("hubs-not-spare", detail)


def _of_hub(peer: Peer, sighting: Sighting, now: float) -> Iterator[Warned]:
    report = sighting.report
    if not sighting.is_connected(now):
        yield Warned("hub-silent", "this security hub has not been heard lately", peer.name)
    elif peer.place is None:
        yield Warned(
            "hub-not-ready", "this peer is to be a security hub and has not said yet where it listens", peer.name
        )
    if report is not None and report.hub is not None and report.hub.pool_files < report.hub.pool_target:
        detail = f"{report.hub.pool_files} of {report.hub.pool_target} PSRD files are ready in its pool"
        yield Warned("pool-low", detail, peer.name)


def _of_psrd(peer: Peer, report: Report, names: dict[str, str]) -> Iterator[Warned]:
    for level in report.psrd:
        hub = names.get(level.hub)
        if hub is not None and level.fraction < LOW:
            detail = f"{level.fraction:.0%} of its PSRD with {hub} is left: carry a file from that hub"
            yield Warned("psrd-low", detail, peer.name)


def _of_peer(peer: Peer, sighting: Sighting, now: float) -> Iterator[Warned]:
    report = sighting.report
    if report is None:
        return
    if report.name != peer.name:
        yield Warned("name-differs", f"it goes by the name {report.name}: hubs know it by that", peer.name)
    if not sighting.is_connected(now):
        if not peer.is_hub:
            yield Warned("peer-silent", "this peer has not been heard lately", peer.name)
        return
    if report.role != role_of(peer):
        yield Warned("role-differs", f"it runs as {report.role} and should run as {role_of(peer)}", peer.name)
    if sighting.address != peer.address:
        yield Warned("address-differs", f"it calls from {sighting.address}, not from {peer.address}", peer.name)
    if report.issues:
        yield Warned("agent-issues", f"its agent has issues: {', '.join(report.issues)}", peer.name)
