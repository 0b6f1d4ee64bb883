"""`hubs`: the hubs that a client knows, and the word that one has moved."""

import argparse
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import duration, facts, show as print_found, size, table


def show(arguments: argparse.Namespace) -> None:
    """Prints the hubs."""
    print_found(arguments, agent_of(arguments).hubs(), _lines)


def move(arguments: argparse.Namespace) -> None:
    """Says where a hub is reached from now on."""
    moved = agent_of(arguments).move_hub(arguments.id, arguments.address)
    print_found(arguments, moved, lambda hub: facts([("hub", hub["id"]), ("address", _address(hub))]))


def _lines(hubs: list[dict[str, Any]]) -> list[str]:
    head = ("HUB", "ADDRESS", "STATE", "LEFT", "LASTS")
    return table(head, [_row(hub) for hub in hubs])


def _row(hub: dict[str, Any]) -> tuple[object, ...]:
    left = size(min(hub["user_left"], hub["server_left"]))
    return hub["id"], _address(hub), hub["state"], left, duration(hub["lasts_s"]), hub["reason"], _suspicion(hub)


def _suspicion(hub: dict[str, Any]) -> str:
    return f"gave bad shares of secrets of {hub['suspected_by']} generators" if hub["suspected_by"] else ""


def _address(hub: dict[str, Any]) -> str:
    host = f"[{hub['host']}]" if ":" in hub["host"] else hub["host"]
    return f"{host}:{hub['port']}"
