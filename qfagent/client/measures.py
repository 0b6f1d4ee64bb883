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
        metrics.remaining.labels(hub.id, "user").set(hub.user_left)
        metrics.remaining.labels(hub.id, "server").set(hub.server_left)
        metrics.hub_up.labels(hub.id).set(hub.state == "up")
        if hub.lasts_s is not None:
            metrics.runway.labels(hub.id).set(hub.lasts_s)
    metrics.reachable.set(sum(hub.state == "up" for hub in hubs))
    metrics.required.set(client.desk.settings().shares_required)
    for state, count in client.inbox.counts().items():
        metrics.inbox.labels(state).set(count)
    metrics.set_total(metrics.consumed, client.desk.ledger.consumed)
    for cause, count in client.desk.burned.items():
        metrics.set_total(metrics.burned.labels(cause), count)
