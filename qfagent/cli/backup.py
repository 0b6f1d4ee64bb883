"""`backup`: configuration, registry and tombstones, into a file; never pads."""

import argparse

from qfagent.cli.files import output
from qfagent.cli.sockets import agent_of


def run(arguments: argparse.Namespace) -> None:
    """Writes the backup."""
    with output(arguments.file) as file:
        agent_of(arguments).backup(file)
