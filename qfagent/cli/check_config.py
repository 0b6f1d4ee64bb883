"""`check-config`: whether the configuration is valid, and nothing more."""

import argparse

from qfagent import config
from qfagent.cli.configured import path_of
from qfagent.cli.text import show


def run(arguments: argparse.Namespace) -> None:
    """Says that it is; BadConfig says where it is not, and what was expected."""
    path = path_of(arguments)
    found = config.load(path)
    show(
        arguments,
        {"path": path, "valid": True, "name": found.peer, "role": found.role},
        lambda checked: [f"{path} is valid: {checked['name']}, {checked['role']}"],
    )
