"""`netbird`: what a NetBird management server needs for DSKE, made there through its API."""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import trio

from qfagent import config
from qfagent.cli.configured import path_of
from qfagent.cli.text import show
from qfagent.errors import WrongState
from qfagent.managed.link import Link
from qfagent.managed.netbird import Api
from qfagent.managed.netbird_setup import set_up
from qfagent.world import World


def setup(arguments: argparse.Namespace) -> None:
    """Makes the group of the hubs and its policy, or says what is missing. ManagementUnreachable, ManagementRefused."""
    path = path_of(arguments)
    management = config.load(path).management
    if management.kind != "netbird":
        raise WrongState(f'{path}: this command is for management.kind = "netbird"')
    api = Api(Link(management.url, source=str), World(), token_file=management.token_file)
    missing = trio.run(partial(set_up, api, dry_run=arguments.dry_run))
    show(arguments, {"url": management.url, "missing": missing, "dry_run": arguments.dry_run}, _lines)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["missing"]:
        yield f"{found['url']} has what it needs, nothing was changed"
    for thing in found["missing"]:
        yield f"{'would make' if found['dry_run'] else 'made'} {thing}"
