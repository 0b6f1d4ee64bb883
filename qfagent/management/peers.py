"""A peer of the API: what an operator may change of it, and how it is shown.

* What a request leaves out stays as it is; what a peer was shown with may come back and means nothing.
* A hub is exempt by itself: the switch beside it keeps what it was set to, for the way back.
"""

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from qfagent.dske import ids
from qfagent.errors import NameTaken, NotFound, Unacceptable
from qfagent.http.openapi import array_of
from qfagent.management import enrolment
from qfagent.management.atlas import Atlas
from qfagent.management.groups import GroupMinimum, show_minimum
from qfagent.management.network import Network, Peer, Place, drop, put
from qfagent.management.presence import Report, Sighting
from qfagent.management.setup_keys import moment


class PeerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator wants to change."""

    name: str | UnsetType = UNSET
    ip: str | UnsetType = UNSET
    dske_security_hub: bool | UnsetType = UNSET
    aes_exempt: bool | UnsetType = UNSET
    ssh_enabled: bool | UnsetType = UNSET
    login_expiration_enabled: bool | UnsetType = UNSET
    inactivity_expiration_enabled: bool | UnsetType = UNSET
    approval_required: bool | UnsetType = UNSET


INERT: Final = ("ssh_enabled", "login_expiration_enabled", "inactivity_expiration_enabled", "approval_required")


Groups = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=array_of(GroupMinimum))]


class ShownPeer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer in the shape of the API; `groups` in short, and encoded already."""

    id: str
    name: str
    created_at: datetime
    ip: str
    connection_ip: str
    connected: bool
    last_seen: datetime
    os: str
    kernel_version: str
    version: str
    groups: Groups
    hostname: str
    dns_label: str
    last_login: datetime
    accessible_peers_count: int
    dske_security_hub: bool
    aes_exempt: bool
    dske_role: str  # what it runs as; empty: it has not said
    ssh_enabled: bool = False
    login_expiration_enabled: bool = False
    inactivity_expiration_enabled: bool = False
    approval_required: bool = False
    login_expired: bool = False
    ephemeral: bool = False
    geoname_id: int = 0
    city_name: str = ""
    country_code: str = ""
    user_id: str = ""
    ui_version: str = ""
    serial_number: str = ""
    extra_dns_labels: tuple[str, ...] = ()


ONLY_SHOWN: Final = frozenset(ShownPeer.__struct_fields__) - frozenset(PeerRequest.__struct_fields__)


class AccessiblePeer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that another has a link with."""

    id: str
    name: str
    ip: str
    dns_label: str
    os: str
    connected: bool
    last_seen: datetime
    user_id: str = ""
    country_code: str = ""
    city_name: str = ""
    geoname_id: int = 0


def find(network: Network, peer_id: str) -> Peer:
    """The peer of this id; NotFound."""
    peer = network.peers.get(peer_id)
    if peer is None:
        raise NotFound(f"there is no peer {peer_id!r}")
    return peer


def change(network: Network, peer_id: str, request: PeerRequest) -> Network:
    """With the peer as wanted. NotFound, NameTaken, Unacceptable."""
    peer = find(network, peer_id)
    changed = msgspec.structs.replace(
        peer,
        name=_name(network, peer, request.name),
        address=_address(peer, request.ip),
        is_hub=_or(request.dske_security_hub, peer.is_hub),
        set_exempt=peer.set_exempt if request.aes_exempt in (UNSET, peer.is_exempt) else request.aes_exempt is True,
        inert=frozenset(name for name in INERT if _or(getattr(request, name), name in peer.inert)),
    )
    return network if changed == peer else put(network, changed)


def remove(network: Network, peer_id: str) -> Network:
    """Without the peer, whose token is worth nothing from now on. NotFound."""
    return drop(network, find(network, peer_id))


def settle(network: Network, peer_id: str, report: Report) -> Network:
    """With the place that a hub reports. NotFound; NameTaken if another peer has that hub id."""
    peer = find(network, peer_id)
    found = place(peer, report)
    if found is None or found == peer.place:
        return network
    for other in network.peers.values():
        if other.place is not None and other.place.id == found.id and other.id != peer.id:
            raise NameTaken(f"hub.id: hub {found.id} is peer {other.name!r}")
    return put(network, msgspec.structs.replace(peer, place=found))


def place(peer: Peer, report: Report) -> Place | None:
    """Where the peer is found by its report, if it is a hub; else where it was."""
    return Place(report.hub.id, report.hub.address) if report.hub is not None and peer.is_hub else peer.place


def show(atlas: Atlas, peer: Peer, sighting: Sighting, *, groups: msgspec.Raw, now: float) -> ShownPeer:
    """The peer; `groups` as `show_groups` gives them."""
    created, report = moment(peer.created_at), sighting.report
    inert: dict[str, Any] = dict.fromkeys(peer.inert, True)
    return ShownPeer(
        id=peer.id,
        name=peer.name,
        created_at=created,
        ip=peer.address,
        connection_ip=sighting.address,
        connected=sighting.is_connected(now),
        last_seen=moment(sighting.seen_at),
        os=peer.system,
        kernel_version=peer.kernel,
        version=report.version if report else "",
        groups=groups,
        hostname=peer.hostname or peer.name,
        dns_label=peer.name,
        last_login=created,
        accessible_peers_count=atlas.degree(peer),
        dske_security_hub=peer.is_hub,
        aes_exempt=peer.is_exempt,
        dske_role=report.role if report else "",
        **inert,
    )


def show_groups(atlas: Atlas, group_ids: frozenset[str]) -> msgspec.Raw:
    """A peer's groups in short, the same for all peers of the same groups."""
    known = sorted(group_ids & atlas.network.groups.keys())
    return msgspec.Raw(msgspec.json.encode([show_minimum(atlas, group_id) for group_id in known]))


def show_accessible(peer: Peer, sighting: Sighting, *, now: float) -> AccessiblePeer:
    """The peer, as one that can be reached."""
    return AccessiblePeer(
        id=peer.id,
        name=peer.name,
        ip=peer.address,
        dns_label=peer.name,
        os=peer.system,
        connected=sighting.is_connected(now),
        last_seen=moment(sighting.seen_at),
    )


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is UNSET else value


def _name(network: Network, peer: Peer, name: str | UnsetType) -> str:
    if name is UNSET or name == peer.name:
        return peer.name
    if not ids.matches(ids.PEER_NAME, name):
        raise Unacceptable("name: expected a peer name (1-63 of a-z 0-9 . _ -, not beginning with pool-)")
    if enrolment.find_name(network, name) is not None:
        raise NameTaken(f"name: there is a peer {name!r} already")
    return name


def _address(peer: Peer, text: str | UnsetType) -> str:
    if text is UNSET or text == peer.address:
        return peer.address
    try:
        return str(ip_address(text))
    except ValueError:
        raise Unacceptable("ip: expected an IP address") from None
