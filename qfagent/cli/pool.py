"""`pool`: the PSRD files that wait to be carried away, and taking one."""

import argparse
from collections.abc import Iterator
from typing import Any

from qfagent.cli.files import output
from qfagent.cli.sockets import agent_of
from qfagent.cli.text import facts, show as print_found


def show(arguments: argparse.Namespace) -> None:
    """Prints the files' names, how many there should be, and how many are with somebody unknown."""
    print_found(arguments, agent_of(arguments).pool(), _lines)


def take(arguments: argparse.Namespace) -> None:
    """Takes one file out, into a file or to standard output."""
    with output(arguments.output) as file:
        agent_of(arguments).take_from_pool(file)


def _lines(pool: dict[str, Any]) -> Iterator[str]:
    yield from facts([("files", f"{len(pool['files'])} of {pool['target']}"), ("handed out", pool["handed_out"])])
    yield from (f"  {name}" for name in pool["files"])
