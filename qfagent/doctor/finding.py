"""A finding is what one check has to say, and what helps if that is nothing good.

* A command that helps stands in `backquotes` in the remedy, ready for root's shell.
"""

from typing import Literal

import msgspec

Level = Literal["ok", "skipped", "warning", "fault"]


class Finding(msgspec.Struct, frozen=True):
    """`check` is a stable word; a fault keeps the agent from its work, or its secrets from being secret."""

    check: str
    level: Level
    detail: str
    remedy: str = ""


def ok(check: str, detail: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, "ok", detail)


def skipped(check: str, detail: str, remedy: str = "") -> Finding:
    """It could not be checked."""
    return Finding(check, "skipped", detail, remedy)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """The agent works, and not as well as it should."""
    return Finding(check, "warning", detail, remedy)


def fault(check: str, detail: str, remedy: str) -> Finding:
    """Something is wrong."""
    return Finding(check, "fault", detail, remedy)
