"""Metrics under frozen names, for Prometheus; labels are bounded, and a hub's metrics name no client.

* Counters follow the events; gauges are set from the roles' reports when somebody scrapes.
"""

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from qfagent import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

disable_created_metrics()  # type: ignore[no-untyped-call]  # names that are not frozen, and twice the series


class Metrics:
    """Everything that is measured."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        every: dict[str, Any] = {"registry": self.registry}
        Info("qfagent_build", "version of the agent", **every).info({"version": __version__})
        self.ready = Gauge("qfagent_ready", "1 if keys can be made", **every)
        self.fenced = Gauge("qfagent_fenced", "1 if the store is fenced", **every)
        self.issue = Gauge("qfagent_health_issue", "1 for what an operator should see to", ["code"], **every)
        self.remaining = Gauge("qfagent_psrd_remaining_bytes", "PSRD left at a hub", ["hub", "direction"], **every)
        self.runway = Gauge("qfagent_psrd_runway_seconds", "how long the PSRD of a hub lasts", ["hub"], **every)
        self.consumed = Counter("qfagent_psrd_consumed_bytes", "bytes of the own pads that were spent", **every)
        self.burned = Counter("qfagent_psrd_burned_bytes", "bytes spent for nothing", ["cause"], **every)
        self.inbox = Gauge("qfagent_inbox_files", "dropped files that wait", ["state"], **every)
        self.ingested = Counter("qfagent_ingest", "dropped files dealt with", ["outcome", "reason"], **every)
        self.keys = Counter("qfagent_key_requests", "keys asked for", ["verb", "outcome"], **every)
        self.key_seconds = Histogram("qfagent_key_request_duration_seconds", "time to a key", buckets=_SECONDS, **every)
        self.hub_up = Gauge("qfagent_hub_up", "1 if a hub can be used", ["hub"], **every)
        self.reachable = Gauge("qfagent_hubs_reachable", "hubs that can be used", **every)
        self.required = Gauge("qfagent_hubs_required", "hubs that a key needs", **every)
        self.denied = Counter("qfagent_authz_denied", "control calls that were denied", **every)
        self.commits = Histogram(
            "qfagent_store_commit_duration_seconds", "time of a durable commit", buckets=_SECONDS, **every
        )
        self.hub_clients = Gauge("qfagent_hub_clients", "clients of this hub", ["state"], **every)
        self.pool = Gauge("qfagent_hub_pool_files", "PSRD files ready to be carried away", **every)
        self.shares = Gauge("qfagent_hub_shares", "shares that wait here", **every)
        self.managed = Gauge("qfagent_managed_peers", "peers of this management server", ["state"], **every)
        self.managed_hubs = Gauge("qfagent_managed_hubs", "peers that are marked as security hubs", **every)

    def count(self, event: str, fields: Mapping[str, Any]) -> None:
        """Counts an event."""
        match event:
            case "psrd.ingested" | "psrd.duplicate" | "psrd.rejected" | "psrd.contradiction":
                self.ingested.labels(event.partition(".")[2], fields.get("code", "")).inc()
            case "key.answered":
                self.keys.labels(fields["verb"], fields["outcome"]).inc()
                self.key_seconds.observe(fields["dur_ms"] / 1000)
            case "control.denied":
                self.denied.inc()

    def set_total(self, counter: Counter, total: float) -> None:
        """Brings a counter to what was counted elsewhere."""
        counter.inc(max(0.0, total - counter._value.get()))  # noqa: SLF001  # the library has no other way

    def clear_roles(self) -> None:
        """Forgets what is set by roles: another one is played now."""
        for gauge in (self.remaining, self.runway, self.inbox, self.hub_up, self.hub_clients):
            gauge.clear()
        for gauge in (self.reachable, self.required, self.pool, self.shares):
            gauge.set(0)

    def text(self) -> bytes:
        """The exposition, as Prometheus reads it."""
        return generate_latest(self.registry)
