"""Health is a list of issues, each under its own code; ready means that none of them keeps keys from being made."""

import ctypes
from typing import Final

import msgspec

from qfagent.store.store import Store

# these are to be seen to, but keys are made meanwhile
WARNINGS: Final = frozenset(
    {
        "approval-waiting",
        "clock-unsynced",
        "group-missing",
        "handed-out-limit",
        "hub-stopped",
        "hubs-not-enough",
        "hubs-not-spare",
        "inbox-held",
        "inbox-incomplete",
        "inbox-unreadable",
        "pool-problem",
        "psrd-low",
    }
)
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES: Final = 256  # more than the structure has


class Issue(msgspec.Struct, frozen=True):
    """One thing to see to; `blocking` keeps the agent from being ready."""

    code: str
    detail: str
    blocking: bool


class Readiness(msgspec.Struct, frozen=True):
    """Whether the agent can do its work, and what an operator should see to."""

    ready: bool
    issues: tuple[Issue, ...]


def readiness(found: dict[str, str]) -> Readiness:
    """What the issues, by code, come to."""
    issues = tuple(Issue(code, detail, code not in WARNINGS) for code, detail in sorted(found.items()))
    return Readiness(not any(issue.blocking for issue in issues), issues)


def common_issues(store: Store) -> dict[str, str]:
    """What may be wrong in any role."""
    found = {}
    fence = store.fence.reason
    if fence is not None:
        found["store-fenced"] = f"nothing is spent: {fence.code}, {fence.evidence}; {fence.remedy}"
    if store.failed:
        found["store-failed"] = "the disk has failed; look at the log, then start the agent again"
    if not clock_is_synchronized():
        found["clock-unsynced"] = "the kernel's clock is not synchronized; shares may expire early or late"
    return found


def clock_is_synchronized() -> bool:
    """Whether the kernel says that its clock follows a reference."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state != _TIME_ERROR
