"""`reload`: the agent reads its configuration again."""

import argparse
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import facts, show as print_found


def run(arguments: argparse.Namespace) -> None:
    """Prints which keys were applied, and which need a restart."""
    print_found(arguments, agent_of(arguments).reload(), _lines)


def _lines(reloaded: dict[str, Any]) -> list[str]:
    applied, needs_restart = (", ".join(reloaded[name]) for name in ("applied", "needs_restart"))
    return facts([("applied", applied or "nothing"), ("needs a restart", needs_restart or "nothing")])
