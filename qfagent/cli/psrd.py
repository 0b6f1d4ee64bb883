"""`psrd`: what is left of it, and the operator's words on a stop: lift it, or seal it."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from qfagent.cli.paint import paint_for
from qfagent.cli.plot import plot
from qfagent.cli.sockets import agent_of
from qfagent.cli.text import duration, facts, show as print_found, size, table


def show(arguments: argparse.Namespace) -> None:
    """Prints what is left at each hub, and in each block; with `--plot` how that was and will be."""
    agent = agent_of(arguments)
    if arguments.plot:
        print_found(arguments, agent.psrd_history(), lambda history: _plots(agent.psrd(), history))
    else:
        print_found(arguments, agent.psrd(), _lines)


def resume(arguments: argparse.Namespace) -> None:
    """Lifts the stop of a block; without one, the fence of the store."""
    agent = agent_of(arguments)
    lifted = agent.lift_fence() if arguments.block is None else agent.resume(arguments.block)
    print_found(arguments, lifted, lambda found: facts(found.items()))


def retire(arguments: argparse.Namespace) -> None:
    """Ends a block for good."""
    print_found(arguments, agent_of(arguments).retire(arguments.block), lambda found: facts(found.items()))


def _lines(hubs: list[dict[str, Any]]) -> Iterator[str]:
    yield from table(("HUB", "USER PAD LEFT", "SERVER PAD LEFT", "LASTS"), [_row(hub) for hub in hubs])
    if hubs:
        yield ""
        blocks = [_block(block) for hub in hubs for block in hub["blocks"]]
        yield from table(("BLOCK", "USER PAD LEFT", "SERVER PAD LEFT", "STATE"), blocks)


def _plots(hubs: list[dict[str, Any]], history: list[dict[str, Any]]) -> Iterator[str]:
    points, paint = {of["hub"]: of["points"] for of in history}, paint_for(sys.stdout)
    for hub in hubs:
        for direction in ("user", "server"):
            yield from plot(hub, points[hub["hub"]], direction, paint)
            yield ""


def _row(hub: dict[str, Any]) -> tuple[object, ...]:
    user = f"{size(hub['user_left'])}, {hub['user_fraction']:.0%}"
    server = f"{size(hub['server_left'])}, {hub['server_fraction']:.0%}"
    return hub["hub"], user, server, duration(hub["lasts_s"])


def _block(block: dict[str, Any]) -> tuple[object, ...]:
    user = f"{size(block['user_left'])} of {size(block['user_bytes'])}"
    server = f"{size(block['server_left'])} of {size(block['server_bytes'])}"
    return block["id"], user, server, block["state"], block["reason"]
