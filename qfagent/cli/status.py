"""`status`: everything at a glance, in either role."""

import argparse
from collections.abc import Iterator
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import duration, facts, show as print_found, size, wrapped


def show(arguments: argparse.Namespace) -> None:
    """Prints the status."""
    print_found(arguments, agent_of(arguments).status(), _lines)


def _lines(status: dict[str, Any]) -> Iterator[str]:
    yield from facts(_facts(status))
    for issue in status["issues"]:
        yield ""
        yield f"{'fault' if issue['blocking'] else 'warning'} {issue['code']}"
        yield from wrapped(issue["detail"], indent=2)
        if "remedy" in issue:  # an older agent names none
            yield from wrapped(f"remedy: {issue['remedy']}", indent=2)


def _facts(status: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "name", f"{status['name']}, {status['role']}"
    yield "agent", f"version {status['version']}, up {duration(status['uptime_s'])}"
    yield "ready", "yes" if status["ready"] else "no"
    yield "interface", _interface(status["interface"])
    if status["fence"] is not None:
        yield "fence", f"{status['fence']['code']}: nothing is spent"
    if status["client"] is not None:
        yield from _client_facts(status["client"])
    if status["hub"] is not None:
        yield from _hub_facts(status["hub"])
    if status["membership"] is not None:
        yield from _membership_facts(status["membership"])
    if status["management"] is not None:
        yield from _management_facts(status["management"])


def _interface(interface: dict[str, Any]) -> str:
    if not interface["name"]:
        return "not bound to any"
    return f"{interface['name']}, {interface['address'] if interface['up'] else 'down'}"


def _client_facts(client: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "hubs", f"{client['hubs_usable']} of {len(client['hubs'])} usable, a key needs {client['shares_required']}"
    for hub in client["hubs"]:
        left = size(min(hub["user_left"], hub["server_left"]))
        lasts = "" if hub["lasts_s"] is None else f", for {duration(hub['lasts_s'])}"
        yield f"  {hub['id'][:8]}", f"{hub['state']}, {left} left{lasts}"
    yield "inbox", client["inbox"]


def _membership_facts(membership: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "managed by", membership["url"]
    if membership["id"]:
        yield "known as", f"{membership['id']}, at {membership['address']}"
        yield "in reach", f"hubs {membership['hubs']}, peers {membership['peers']}"


def _hub_facts(hub: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "hub id", hub["id"]
    yield "listens on", hub["listen"] or "nothing yet"
    yield "clients", f"{hub['clients'].get('bound', 0)} bound, {hub['clients'].get('unbound', 0)} unbound"
    yield (
        "pool",
        f"{len(hub['pool']['files'])} of {hub['pool']['target']} files, {hub['pool']['handed_out']} handed out",
    )
    yield "shares", hub["shares"]


def _management_facts(management: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "listens on", management["listen"] or "nothing yet"
    yield "dashboard", management["url"] or "nowhere yet"
    yield "peers", f"{management['peers']}, {management['connected']} of them connected"
    yield "hubs", f"{management['hubs']}, a key needs {management['shares_required']}"
    yield "groups", f"{management['groups']}, {management['policies']} policies, {management['keys']} setup keys"
