"""Metrics under frozen names, for Prometheus; labels are bounded, and a hub's metrics name no client.

* Counters follow the events; gauges are set from the roles' reports when somebody scrapes.
"""

from collections.abc import Mapping
from typing import Any, Final

from qfagent import __version__
from qfagent.series import Counter, Family, Gauge, Histogram, exposition

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Everything that is measured."""

    def __init__(self) -> None:
        self._build = Gauge("qfagent_build_info", "version of the agent", ["version"])
        self._build.set(1, __version__)
        self.ready = Gauge("qfagent_ready", "1 if keys can be made")
        self.fenced = Gauge("qfagent_fenced", "1 if the store is fenced")
        self.issue = Gauge("qfagent_health_issue", "1 for what an operator should see to", ["code"])
        self.remaining = Gauge("qfagent_psrd_remaining_bytes", "PSRD left at a hub", ["hub", "direction"])
        self.runway = Gauge("qfagent_psrd_runway_seconds", "how long the PSRD of a hub lasts", ["hub"])
        self.consumed = Counter("qfagent_psrd_consumed_bytes_total", "bytes of the own pads that were spent")
        self.burned = Counter("qfagent_psrd_burned_bytes_total", "bytes spent for nothing", ["cause"])
        self.inbox = Gauge("qfagent_inbox_files", "dropped files that wait", ["state"])
        self.ingested = Counter("qfagent_ingest_total", "dropped files dealt with", ["outcome", "reason"])
        self.keys = Counter("qfagent_key_requests_total", "keys asked for", ["verb", "outcome"])
        self.key_seconds = Histogram("qfagent_key_request_duration_seconds", "time to a key", bounds=_SECONDS)
        self.hub_up = Gauge("qfagent_hub_up", "1 if a hub can be used", ["hub"])
        self.reachable = Gauge("qfagent_hubs_reachable", "hubs that can be used")
        self.required = Gauge("qfagent_hubs_required", "hubs that a key needs")
        self.denied = Counter("qfagent_authz_denied_total", "control calls that were denied")
        self.commits = Histogram("qfagent_store_commit_duration_seconds", "time of a durable commit", bounds=_SECONDS)
        self.hub_clients = Gauge("qfagent_hub_clients", "clients of this hub", ["state"])
        self.pool = Gauge("qfagent_hub_pool_files", "PSRD files ready to be carried away")
        self.shares = Gauge("qfagent_hub_shares", "shares that wait here")
        self.managed = Gauge("qfagent_managed_peers", "peers of this management server", ["state"])
        self.managed_hubs = Gauge("qfagent_managed_hubs", "peers that are marked as security hubs")
        self.families = [family for family in vars(self).values() if isinstance(family, Family)]

    def count(self, event: str, fields: Mapping[str, Any]) -> None:
        """Counts an event."""
        match event:
            case "psrd.ingested" | "psrd.duplicate" | "psrd.rejected" | "psrd.contradiction":
                self.ingested.count(event.partition(".")[2], fields.get("code", ""))
            case "key.answered":
                self.keys.count(fields["verb"], fields["outcome"])
                self.key_seconds.observe(fields["dur_ms"] / 1000)
            case "control.denied":
                self.denied.count()

    def clear_roles(self) -> None:
        """Forgets what is set by roles: another one is played now."""
        for gauge in (self.remaining, self.runway, self.inbox, self.hub_up, self.hub_clients):
            gauge.clear()
        for gauge in (self.reachable, self.required, self.pool, self.shares):
            gauge.clear()

    def text(self) -> bytes:
        """The exposition, as Prometheus reads it."""
        return exposition(self.families)
