"""What a management server tells local tools about itself; fields are added, never renamed."""

import msgspec

from qfagent.management.role import Management
from qfagent.management.warnings import hub_warnings
from qfagent.metrics import Metrics


class ManagementStatus(msgspec.Struct, frozen=True):
    """A management server's part of the status; `listen` is empty while it can't, `url` is the dashboard's."""

    listen: str
    url: str
    peers: int
    connected: int
    hubs: int
    shares_required: int
    groups: int
    policies: int
    keys: int


async def report(server: Management) -> ManagementStatus:
    """The server's part of the status."""
    network, atlas = server.mesh.atlas.network, server.mesh.atlas
    return ManagementStatus(
        server.door.address,
        server.url,
        len(network.peers),
        server.mesh.count_connected(),
        len(atlas.hubs),
        server.mesh.shares_required,
        len(network.groups),
        len(network.policies),
        len(network.keys),
    )


async def issues(server: Management) -> dict[str, str]:
    """What an operator should see to, by code."""
    warnings = hub_warnings(server.mesh.atlas, server.mesh.shares_required)
    return server.door.issues | {warning.code: warning.detail for warning in warnings}


async def measure(server: Management, metrics: Metrics) -> None:
    """Sets the server's gauges; no peer is named."""
    status = await report(server)
    metrics.managed.set(status.connected, "connected")
    metrics.managed.set(status.peers - status.connected, "silent")
    metrics.managed_hubs.set(status.hubs)
