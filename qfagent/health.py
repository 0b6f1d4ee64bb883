"""Health is a list of issues, each under its own code; ready means that none of them keeps keys from being made.

* A code stands in one of two tables, with its remedy; what stands in neither is a fault.
"""

import ctypes
from collections.abc import Callable
from typing import Final

import msgspec

from qfagent.store.store import Store

_CARRY: Final = "carry a new PSRD file from each of these hubs into the inbox"
_LOOK: Final = (
    "find out whether this machine was restored or cloned, then `qfagent psrd retire BLOCK`, or, if it was not,"
    " `qfagent psrd resume BLOCK`"
)
_MESH: Final = "bring the mesh up, for example with `wg-quick up wg0`, or name another `interface`"

# keys can't be made meanwhile: code -> remedy
FAULTS: Final = {
    "hubs-unreachable": "see `qfagent hubs`: start the hub, mend the way to it, or carry a file from one hub more",
    "interface-down": _MESH,
    "not-listening": "see with `ss -ltnp` who has that address and port, and end it, or listen at another",
    "not-enrolled": "start the management server, mend the way to it, or mend the setup key; then `qfagent reload`",
    "psrd-exhausted": _CARRY,
    "role-changing": "wait; what is under way ends first, which takes a minute at most",
    "role-failed": "see to what it says; it is tried again by itself",
    "rolled-back": _LOOK,
    "store-failed": "look at the disk and the log, then restart the agent; it starts fenced",
    "store-hangs": "find out why the disk of the state folder doesn't answer; the agent goes on when it does",
    "store-fenced": "do what the fence says, then `qfagent psrd resume`",
}

# these are to be seen to, but keys are made meanwhile: code -> remedy
WARNINGS: Final = {
    "approval-waiting": "make sure who asks, then `qbt-local-distributor dske-client approve ID`, or `remove ID`",
    "clock-unsynced": "let a time service run, for example with `timedatectl set-ntp true`",
    "file-in-use": "find out who has a copy, then `qfagent psrd retire BLOCK`, or `resume BLOCK` if nobody has",
    "group-missing": "`groupadd --system GROUP`, then `qfagent reload`, or restart an agent that is not root",
    "handed-out-limit": "`qbt-local-distributor dske-client remove --expire 30d`, or raise max_handed_out",
    "hub-moved": "if it has moved, `qfagent hubs move ID HOST:PORT`; if not, look at the management server",
    "hub-stopped": _LOOK,
    "hubs-not-enough": "mark another peer as a security hub, on the dashboard",
    "hubs-not-spare": "mark another peer as a security hub, on the dashboard",
    "inbox-held": "make room on the disk, or mend it; the files are taken in by themselves then",
    "inbox-incomplete": "copy the files again, or remove them",
    "inbox-unreadable": "let the agent's group read the files: `chmod g+r FILE`",
    "management-refused": "see to this peer at the server, or put another setup key in place; then `qfagent reload`",
    "management-unreachable": "start the server, or mend the way to it; what it said last is in force",
    "pool-problem": "make room in the folder of the pool, and let the agent write there",
    "psrd-low": _CARRY,
    "role-held": "let the role be at the management server; the agent follows by itself",
    "store-slow": "find out what else uses the disk, or keep the state folder on a faster one",
    "view-not-kept": "make room on the disk, or mend it; the view is taken by itself then",
}
SLOW: Final = 1.0  # seconds of a commit, so long that whoever waits for a key notices
SLOW_FOR: Final = 120.0  # seconds that a slow commit is told of
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES: Final = 256  # more than the structure has


class Issue(msgspec.Struct, frozen=True):
    """One thing to see to; `blocking` keeps the agent from being ready, `remedy` is what helps."""

    code: str
    detail: str
    blocking: bool
    remedy: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the agent can do its work, and what an operator should see to."""

    ready: bool
    issues: tuple[Issue, ...]


def readiness(found: dict[str, str]) -> Readiness:
    """What the issues, by code, come to."""
    remedies = FAULTS | WARNINGS
    issues = tuple(
        Issue(code, detail, code not in WARNINGS, remedies.get(code, "see the log"))
        for code, detail in sorted(found.items())
    )
    return Readiness(not any(issue.blocking for issue in issues), issues)


class Commits:
    """How long commits take: the latest slow one, and when it was; `now` in seconds of one clock."""

    def __init__(self) -> None:
        self._slow, self._at = 0.0, float("-inf")

    def took(self, seconds: float, *, now: float) -> None:
        """A commit took so long; safe in any thread."""
        if seconds >= SLOW:
            self._slow, self._at = seconds, now

    def issues(self, *, now: float, waits: float) -> dict[str, str]:
        """What an operator should see to; `waits`: seconds that the commit under way has taken so far."""
        if waits >= SLOW:
            return {"store-hangs": f"a commit has been under way for {waits:.0f} s, and keys wait for it"}
        is_slow = now - self._at < SLOW_FOR
        return {"store-slow": f"a commit took {self._slow:.1f} s, and keys wait for it"} if is_slow else {}


def common_issues(store: Store, *, is_synchronized: Callable[[], bool]) -> dict[str, str]:
    """What may be wrong in any role."""
    found = {}
    fence = store.fence.reason
    if fence is not None:
        found["store-fenced"] = f"nothing is spent: {fence.code}, {fence.evidence}; {fence.remedy}"
    if store.failed:
        found["store-failed"] = "the disk has failed, and the store stands still"
    if not is_synchronized():
        found["clock-unsynced"] = "the kernel's clock is not synchronized; shares may expire early or late"
    return found


def clock_is_synchronized() -> bool:
    """Whether the kernel says that its clock follows a reference."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state != _TIME_ERROR
