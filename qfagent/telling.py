"""Telling makes a report for the management server out of what local tools are told: levels and counts only."""

from qfagent.client.report import ClientReport, HubReport
from qfagent.config import VERSION
from qfagent.health import Issue
from qfagent.hub.report import HubStatus
from qfagent.managed.report import MOST_HUBS, MOST_ISSUES, HubLevels, PsrdLevel, Report


def tell(name: str, part: ClientReport | HubStatus, issues: tuple[Issue, ...]) -> Report:
    """The report of the agent of this name, whose role says this of itself."""
    codes = tuple(issue.code for issue in issues)[:MOST_ISSUES]
    if isinstance(part, HubStatus):
        return Report(name, "hub", VERSION, _hub_levels(part), (), codes)
    return Report(name, "client", VERSION, None, tuple(_psrd_level(hub) for hub in part.hubs[:MOST_HUBS]), codes)


def _hub_levels(hub: HubStatus) -> HubLevels:
    pool, clients = hub.pool, hub.clients
    counts = len(pool.files), pool.target, pool.handed_out, clients["bound"], clients["unbound"], hub.shares
    return HubLevels(hub.id, hub.address, *counts)


def _psrd_level(hub: HubReport) -> PsrdLevel:
    left = hub.user_left, hub.server_left, hub.user_fraction, hub.server_fraction
    return PsrdLevel(hub.id, hub.state, *left, hub.lasts_s)
