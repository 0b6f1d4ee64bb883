"""A report is what a peer says of itself to its server: levels and counts, never content."""

import msgspec

from qfagent.managed.view import RoleName

MOST_HUBS = 64
MOST_ISSUES = 32


class HubLevels(msgspec.Struct, frozen=True):
    """A hub at work: its DSKE id, where clients reach it, its pool in files, its clients and shares as counts."""

    id: str
    address: str
    pool_files: int
    pool_target: int
    handed_out: int
    clients_bound: int
    clients_unbound: int
    shares: int


class PsrdLevel(msgspec.Struct, frozen=True):
    """What a client has left with one hub, in bytes and as parts of the whole; `lasts_s` seconds at today's rate."""

    hub: str
    state: str
    user_left: int
    server_left: int
    user_fraction: float
    server_fraction: float
    lasts_s: float | None


class Report(msgspec.Struct, frozen=True):
    """The name it goes by, what it runs as, and the codes of its health issues."""

    name: str
    role: RoleName
    version: str
    hub: HubLevels | None
    psrd: tuple[PsrdLevel, ...]
    issues: tuple[str, ...]

    def is_news_after(self, other: "Report") -> bool:
        """Whether something else has changed than a level by a little."""
        return _rough(self) != _rough(other)


def _rough(report: Report) -> object:
    hub = None if report.hub is None else msgspec.structs.replace(report.hub, shares=0)
    psrd = [(p.hub, p.state, round(min(p.user_fraction, p.server_fraction), 1)) for p in report.psrd]
    return report.role, report.issues, hub, psrd
