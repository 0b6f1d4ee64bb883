"""`doctor`: looks at everything that the agent needs, and names a remedy for whatever is wrong."""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from qfagent.cli.configured import path_of
from qfagent.cli.text import show, wrapped
from qfagent.doctor.checkup import check_up
from qfagent.errors import AgentError

_INDENT = 23


def run(arguments: argparse.Namespace) -> None:
    """Prints what was found; AgentError if there are faults."""
    socket = arguments.socket or os.environ.get("QFAGENT_SOCKET") or ""
    findings = [msgspec.to_builtins(finding) for finding in check_up(path_of(arguments), socket)]
    levels = Counter(finding["level"] for finding in findings)
    show(arguments, {"findings": findings, "faults": levels["fault"], "warnings": levels["warning"]}, _lines)
    if levels["fault"]:
        raise AgentError(f"{_count(levels['fault'], 'fault')} found", remedy="each has its remedy beside it")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for finding in found["findings"]:
        first, *more = wrapped(finding["detail"], indent=_INDENT)
        yield f"{finding['level']:8} {finding['check']:14}{first[_INDENT:]}"
        yield from more
        if finding["remedy"]:
            yield from wrapped(f"remedy: {finding['remedy']}", indent=_INDENT)
    yield ""
    yield f"{_count(found['faults'], 'fault')}, {_count(found['warnings'], 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
