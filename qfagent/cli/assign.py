"""`dske-client assign-psrd`: PSRD for one client, in a file to be carried to it."""

import argparse
from pathlib import Path

from qfagent.cli.files import new_file
from qfagent.cli.progress import counted, progress
from qfagent.cli.sockets import agent_of
from qfagent.cli.text import facts, show
from qfagent.errors import NotFound
from qfagent.local.client import Agent


def run(arguments: argparse.Namespace) -> None:
    """Writes the file; what is in it is made when the file's name is ours."""
    agent = agent_of(arguments)
    path = _target(agent, arguments)
    length = (arguments.user_bytes + arguments.server_bytes) * 4 // 3  # in base64
    with new_file(path) as file, progress("assigning", length) as advance:
        agent.assign_psrd(
            arguments.user_id,
            user_bytes=arguments.user_bytes,
            server_bytes=arguments.server_bytes,
            first=arguments.first,
            to=counted(file, advance),
        )
    found = {"id": arguments.user_id, "path": str(path)}
    show(arguments, found, lambda _: facts(found.items()))


def _target(agent: Agent, arguments: argparse.Namespace) -> Path:
    path = Path(arguments.output)
    return path / f"{_name(agent, arguments.user_id)}.json" if path.is_dir() else path


def _name(agent: Agent, client_id: str) -> str:
    """What the file will say of whom it is for."""
    for client in agent.clients():
        if client["id"] == client_id:
            return str(client["peer"] or client["name"])
    raise NotFound(f"there is no client {client_id} here", remedy="see `dske-client list`")
