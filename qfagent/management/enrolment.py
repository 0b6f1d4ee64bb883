"""Enrolment makes a peer of a machine that shows a setup key.

* The peer's address is the one that it calls from: inside the mesh WireGuard vouches for that, and for nothing else.
* A name is one peer's. If the answer to an enrolment was lost, the same machine may ask again: same name, same address,
  same key if it was not revoked, and nobody has used the token that got lost.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated

import msgspec

from qfagent.dske import ids
from qfagent.errors import NameTaken, NotKnown, NotPermitted, Unacceptable
from qfagent.management import setup_keys
from qfagent.management.network import Network, Peer, SetupKey, put
from qfagent.management.presence import Line

MOST_PEERS = 100_000

Range = IPv4Network | IPv6Network


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that wants to be a peer: its setup key, its peer name, and what it runs on."""

    setup_key: Annotated[str, msgspec.Meta(max_length=128)]
    name: Annotated[str, msgspec.Meta(pattern=rf"\A{ids.PEER_NAME}\Z")]
    hostname: Line = ""
    os: Line = ""
    kernel_version: Line = ""


class Newcomer(msgspec.Struct, frozen=True):
    """What the server makes for a new peer: its id and the hash of its token; and where it called from, and when."""

    id: str
    token: str
    address: str
    now: float


def enrol(network: Network, request: EnrolmentRequest, newcomer: Newcomer, *, unused: bool) -> Network:
    """With the new peer. `unused`: a peer of this name, if there is one, was never heard of.

    NotKnown: no such key; NotPermitted: it lets nobody in any more; NameTaken, Unacceptable.
    """
    key = setup_keys.find_secret(network, request.setup_key)
    if key is None:
        raise NotKnown("setup_key: there is no such setup key")
    known = find_name(network, request.name)
    if known is not None and unused and _asks_again(known, key, newcomer):
        return put(network, msgspec.structs.replace(known, token=newcomer.token))
    _check_key(key, newcomer.now)
    if known is not None:
        raise NameTaken(f"name: there is a peer {request.name!r} already", remedy="choose another, or remove that peer")
    if len(network.peers) >= MOST_PEERS:
        raise Unacceptable(f"there are {MOST_PEERS} peers already")
    return put(network, _peer(request, newcomer, key), setup_keys.use(key, newcomer.now))


def find_name(network: Network, name: str) -> Peer | None:
    """The peer of this name."""
    return next((peer for peer in network.peers.values() if peer.name == name), None)


def plain(address: str) -> str:
    """An address as it is kept: without a zone, and IPv4 as such if it came mapped into IPv6."""
    parsed = ip_address(address.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def check_address(address: str, ranges: Iterable[Range]) -> None:
    """NotPermitted if there are ranges that peers may come from, and this is in none of them."""
    known = tuple(ranges)
    if known and not any(ip_address(address) in one for one in known):
        raise NotPermitted(f"peers do not come from {address} here; see management.networks")


def _asks_again(known: Peer, key: SetupKey, newcomer: Newcomer) -> bool:
    return (known.key, known.address) == (key.id, newcomer.address) and not key.revoked


def _check_key(key: SetupKey, now: float) -> None:
    state = setup_keys.state(key, now)
    if state != "valid":
        raise NotPermitted(f"setup_key: this setup key is {state}")


def _peer(request: EnrolmentRequest, newcomer: Newcomer, key: SetupKey) -> Peer:
    return Peer(
        id=newcomer.id,
        name=request.name,
        address=newcomer.address,
        token=newcomer.token,
        key=key.id,
        created_at=newcomer.now,
        groups=frozenset(key.auto_groups),
        hostname=request.hostname,
        system=request.os,
        kernel=request.kernel_version,
    )
