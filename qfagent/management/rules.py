"""A rule of a policy: how it is asked for, made and shown.

* Sources and destinations are groups. What names single machines, networks or users is refused rather than kept, since
  peers would reach one another otherwise than it says.
* Ports and protocols are kept and shown; links do not depend on them (see `atlas`).
"""

from typing import Annotated, Any, Final

import msgspec

from qfagent.errors import Unacceptable
from qfagent.management import groups
from qfagent.management.atlas import Atlas
from qfagent.management.groups import GroupMinimum, Name, Text
from qfagent.management.network import Action, Network, PortRange, Protocol, Rule

_LAST_PORT: Final = 65_535
_CAMEL: Final = {"source_resource": "sourceResource", "destination_resource": "destinationResource"}
Port = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,5}\Z")]


class RuleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename=_CAMEL):
    """A rule as an operator wants it; the groups by id."""

    name: Name
    enabled: bool
    bidirectional: bool
    protocol: Protocol
    action: Action
    id: str | None = None
    description: Text | None = None
    sources: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None
    ports: tuple[Port, ...] | None = None
    port_ranges: tuple[PortRange, ...] | None = None
    source_resource: None = None
    destination_resource: None = None
    authorized_groups: dict[str, Any] | None = None


class ShownRule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A rule, with its groups in short."""

    id: str
    name: str
    description: str
    enabled: bool
    action: Action
    bidirectional: bool
    protocol: Protocol
    sources: tuple[GroupMinimum, ...]
    destinations: tuple[GroupMinimum, ...]
    ports: tuple[str, ...] = ()
    port_ranges: tuple[PortRange, ...] = ()


def make(network: Network, request: RuleRequest, *, new_id: str, path: str) -> Rule:
    """The rule, if it can be; `path` is where it stands in the request. Unacceptable."""
    if request.authorized_groups:
        raise Unacceptable(f"{path}.authorized_groups: users have no meaning here")
    return Rule(
        id=new_id,
        name=request.name,
        description=request.description or "",
        enabled=request.enabled,
        action=request.action,
        bidirectional=request.bidirectional,
        protocol=request.protocol,
        sources=_side(network, request.sources, f"{path}.sources"),
        destinations=_side(network, request.destinations, f"{path}.destinations"),
        ports=_ports(request.ports or (), f"{path}.ports"),
        port_ranges=_ranges(request, path),
    )


def show(atlas: Atlas, rule: Rule) -> ShownRule:
    """The rule, with its groups in short."""
    plain = msgspec.structs.asdict(rule)
    for side in ("sources", "destinations"):
        plain[side] = tuple(groups.show_minimum(atlas, group_id) for group_id in plain[side])
    return ShownRule(**plain)


def _side(network: Network, group_ids: tuple[str, ...] | None, path: str) -> tuple[str, ...]:
    if not group_ids:
        raise Unacceptable(f"{path}: expected at least one group")
    return groups.check_all(network, group_ids, path)


def _ports(ports: tuple[str, ...], path: str) -> tuple[str, ...]:
    if not all(1 <= int(port) <= _LAST_PORT for port in ports):
        raise Unacceptable(f"{path}: expected ports from 1 to {_LAST_PORT}")
    return ports


def _ranges(request: RuleRequest, path: str) -> tuple[PortRange, ...]:
    ranges = request.port_ranges or ()
    if ranges and request.ports:
        raise Unacceptable(f"{path}.port_ranges: expected either ports or port ranges")
    if not all(1 <= one.start <= one.end <= _LAST_PORT for one in ranges):
        raise Unacceptable(f"{path}.port_ranges: expected a start and an end from 1 to {_LAST_PORT}")
    return ranges
