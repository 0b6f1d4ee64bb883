"""`key`: making keys, and getting those that others made.

* A key itself is printed with `--show-key` or `--json` only; else its fingerprint, which both ends can compare.
"""

import argparse
import binascii
import hashlib
from collections.abc import Iterator
from typing import Any

from qfagent.cli.sockets import agent_of
from qfagent.cli.text import facts, show as print_found, table
from qfagent.local.client import Key


def establish(arguments: argparse.Namespace) -> None:
    """Makes keys with a peer."""
    _show_all(arguments, agent_of(arguments).establish(arguments.peer, count=arguments.count))


def waiting(arguments: argparse.Namespace) -> None:
    """Recovers what waits from a peer."""
    _show_all(arguments, agent_of(arguments).wait_next(arguments.peer))


def get(arguments: argparse.Namespace) -> None:
    """Recovers one key."""
    key = agent_of(arguments).recover(arguments.key_id, peer=arguments.peer)
    found = {"key_id": key.key_id, "key": _base64(key), "peer": key.peer}
    print_found(arguments, found, lambda _: _lines([key], show_key=arguments.show_key))


def _show_all(arguments: argparse.Namespace, keys: list[Key]) -> None:
    found: dict[str, Any] = {"keys": [{"key_id": key.key_id, "key": _base64(key)} for key in keys]}
    print_found(arguments, found, lambda _: _lines(keys, show_key=arguments.show_key))


def _lines(keys: list[Key], *, show_key: bool) -> Iterator[str]:
    if not show_key:
        yield from table(("KEY ID", "FINGERPRINT", "PEER"), [(k.key_id, _fingerprint(k), k.peer) for k in keys])
        return
    for number, key in enumerate(keys):
        if number:
            yield ""
        shown = ("key", _base64(key)), ("fingerprint", _fingerprint(key)), ("peer", key.peer)
        yield from facts([("key id", key.key_id), *shown])


def _fingerprint(key: Key) -> str:
    return hashlib.sha256(key.key.reveal()).hexdigest()[:16]


def _base64(key: Key) -> str:
    return binascii.b2a_base64(key.key.reveal(), newline=False).decode()
