"""What Prometheus sees of a hub; no client is named."""

from qfagent.hub.report import report
from qfagent.hub.role import Hub
from qfagent.metrics import Metrics


async def measure(hub: Hub, metrics: Metrics) -> None:
    """Sets the hub's gauges."""
    status = await report(hub)
    for state, count in status.clients.items():
        metrics.hub_clients.set(count, state)
    metrics.pool.set(len(status.pool.files))
    metrics.shares.set(status.shares)
    metrics.consumed.reach(hub.books.ledger.consumed)
