"""`peers`: how many keys were made with each peer."""

import argparse

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import show as print_found, table


def show(arguments: argparse.Namespace) -> None:
    """Prints the counts since the agent started."""
    head = ("PEER", "ESTABLISHED", "RECOVERED")
    print_found(
        arguments,
        agent_of(arguments).peers(),
        lambda peers: table(head, [(peer["peer"], peer["established"], peer["recovered"]) for peer in peers]),
    )
