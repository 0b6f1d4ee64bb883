"""`ledger`: every block that was ever ingested."""

import argparse
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import show as print_found, size, table


def show(arguments: argparse.Namespace) -> None:
    """Prints the blocks, oldest first."""
    print_found(arguments, agent_of(arguments).ledger(), _lines)


def _lines(blocks: list[dict[str, Any]]) -> list[str]:
    return table(("BLOCK", "HUB", "STATE", "USER PAD", "SPENT", "SERVER PAD"), [_row(block) for block in blocks])


def _row(block: dict[str, Any]) -> tuple[object, ...]:
    sizes = size(block["user_bytes"]), size(block["spent"]), size(block["server_bytes"])
    return block["block"], block["hub"][:8], block["state"], *sizes, block["reason"]
