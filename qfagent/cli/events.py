"""`events`: what has happened, or what happens now."""

import argparse
import json
import time
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import printable


def show(arguments: argparse.Namespace) -> None:
    """Prints events, one a line; when following, each at once."""
    agent = agent_of(arguments)
    for event in agent.events() if arguments.follow else agent.recent_events():
        print(json.dumps(event) if arguments.json else _line(event), flush=arguments.follow)


def _line(event: dict[str, Any]) -> str:
    fields = dict(event)
    at, name = fields.pop("ts", None), fields.pop("event", "?")
    clock = "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    return printable("  ".join([clock, name, *(f"{key}={_value(value)}" for key, value in fields.items())]))


def _value(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value)
