"""What Prometheus sees of a client."""

from qfagent.client.report import report_hubs
from qfagent.client.role import Client
from qfagent.metrics import Metrics


async def measure(client: Client, metrics: Metrics) -> None:
    """Sets the client's gauges."""
    hubs = await report_hubs(client)
    for gauge in (metrics.remaining, metrics.runway, metrics.hub_up):
        gauge.clear()
    for hub in hubs:
        metrics.remaining.set(hub.user_left, hub.id, "user")
        metrics.remaining.set(hub.server_left, hub.id, "server")
        metrics.hub_up.set(hub.state == "up", hub.id)
        if hub.lasts_s is not None:
            metrics.runway.set(hub.lasts_s, hub.id)
    metrics.reachable.set(sum(hub.state == "up" for hub in hubs))
    metrics.required.set(client.desk.settings().shares_required)
    for state, count in client.inbox.counts().items():
        metrics.inbox.set(count, state)
    metrics.consumed.reach(client.desk.ledger.consumed)
    for cause, count in client.desk.burned.items():
        metrics.burned.reach(count, cause)
