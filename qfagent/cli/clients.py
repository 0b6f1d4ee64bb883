"""`dske-client`: a hub's clients: add, approve, list, remove."""

import argparse
import re
import time
from typing import Any, Final

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import duration, facts, show as print_found, size, table
from qfagent.errors import BadRequest

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add(arguments: argparse.Namespace) -> None:
    """Registers a client for a peer."""
    print_found(arguments, agent_of(arguments).add_client(arguments.name), lambda found: facts(found.items()))


def approve(arguments: argparse.Namespace) -> None:
    """Lets a registration that waits go through."""
    print_found(arguments, agent_of(arguments).approve_client(arguments.id), lambda found: facts(found.items()))


def show(arguments: argparse.Namespace) -> None:
    """Prints the clients."""
    print_found(arguments, agent_of(arguments).clients(), _lines)


def remove(arguments: argparse.Namespace) -> None:
    """Forgets one client, or all whose file was handed out long ago and never used."""
    if (arguments.id is None) == (arguments.expire is None):
        remedy = "see `qbt-local-distributor dske-client remove --help`"
        raise BadRequest("expected either ID or --expire DURATION", remedy=remedy)
    agent = agent_of(arguments)
    if arguments.id is not None:
        found = agent.remove_client(arguments.id)
    else:
        found = agent.expire_clients(_seconds(arguments.expire))
    print_found(arguments, found, lambda found: facts(found.items()))


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if match is None:
        raise BadRequest("--expire: expected a duration such as 12h or 30d")
    return int(match[1]) * _UNITS[match[2]]


def _lines(clients: list[dict[str, Any]]) -> list[str]:
    return table(("ID", "NAME", "PEER", "LEFT", "SEEN"), [_row(client) for client in clients])


def _row(client: dict[str, Any]) -> tuple[object, ...]:
    left = size(min(client["user_left"], client["server_left"])) if client["blocks"] else "-"
    ago = None if client["last_seen"] is None else max(0.0, time.time() - client["last_seen"])
    return client["id"], client["name"], client["peer"] or f"({client['state']})", left, duration(ago), _wish(client)


def _wish(client: dict[str, Any]) -> str:
    return f"waits for approval as {client['wanted']}" if client["wanted"] else ""
