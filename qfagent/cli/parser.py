"""The parser finds the row that a command line means, and what it says to it.

* Words come first, then arguments; `--socket` may stand before the words as well.
* What can't be understood is one line that names the nearest help.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from qfagent.cli.table import SOCKET, Program, Row
from qfagent.errors import BadRequest


class Help(Exception):
    """Somebody has asked for help, with a row, or with a group of them."""

    def __init__(self, words: str, row: Row | None) -> None:
        super().__init__(words)
        self.words, self.row = words, row


class Version(Exception):
    """Somebody has asked for the version."""


def parse(program: Program, arguments: Sequence[str]) -> tuple[Row, argparse.Namespace]:
    """The row, and its arguments. Help, Version, BadRequest."""
    ahead, rest = _split_ahead(program, list(arguments))
    words, rest = _words(program, rest)
    row = next((row for row in program.rows if row.words == words), None)
    if row is None or (rest and not rest[0].startswith("-") and _children(program, words)):
        raise _lost(program, words, rest, row)
    parser = _Parser(prog=f"{program.name} {words}", formatter_class=_plain, allow_abbrev=False, add_help=False)
    for argument in row.arguments:
        parser.add_argument(*argument.names, **argument.options)
    if any(word in ("-h", "--help") for word in rest):
        raise Help(words, row)
    if ahead and SOCKET not in row.arguments:
        raise BadRequest(f"`{words}` takes no --socket", remedy=f"see `{program.name} {words} --help`")
    return row, parser.parse_args([*ahead, *rest])


class _Parser(argparse.ArgumentParser):
    """One that says what is wrong in our words."""

    def error(self, message: str) -> NoReturn:
        """BadRequest."""
        raise BadRequest(message.removeprefix("argument "), remedy=f"see `{self.prog} --help`")


def _plain(prog: str) -> argparse.HelpFormatter:
    """Help is made elsewhere; argparse's own would ask for the terminal's size, which costs 2 ms, and not be used."""
    return argparse.HelpFormatter(prog, width=80)


def _split_ahead(program: Program, arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the words, and what follows."""
    ahead: list[str] = []
    while arguments and arguments[0].startswith("-"):
        first = arguments.pop(0)
        if first in ("-h", "--help"):
            raise Help("", None)
        if first == "--version":
            raise Version
        if first != "--socket" and not first.startswith("--socket="):
            raise BadRequest(f"unrecognized argument: {first}", remedy=f"see `{program.name} --help`")
        ahead.append(first)
        if first == "--socket":
            ahead.append(arguments.pop(0) if arguments else "")
    return ahead, arguments


def _words(program: Program, arguments: list[str]) -> tuple[str, list[str]]:
    """The longest run of words that is known, and the rest."""
    words = ""
    while arguments and arguments[0] in _children(program, words):
        words = f"{words} {arguments.pop(0)}".lstrip()
    return words, arguments


def _children(program: Program, words: str) -> list[str]:
    """The words that may follow."""
    depth = len(words.split())
    rows = [row.words.split() for row in program.rows]
    return list(dict.fromkeys(row[depth] for row in rows if len(row) > depth and row[:depth] == words.split()))


def _lost(program: Program, words: str, rest: list[str], row: Row | None) -> Exception:
    """Why there is no such command; Help, if that is what was asked for."""
    if rest and rest[0] in ("-h", "--help"):
        return Help(words, row)
    here = f"{program.name} {words}".rstrip()
    if not rest:
        return BadRequest(f"expected {_listed(_children(program, words))}", remedy=f"see `{here} --help`")
    unknown = f"there is no `{here} {rest[0]}`{_nearest(rest[0], program, words)}"
    return BadRequest(unknown, remedy=f"see `{here} --help`")


def _listed(words: list[str]) -> str:
    return "a command" if len(words) > 3 else f"`{'` or `'.join(words)}`"


def _nearest(word: str, program: Program, words: str) -> str:
    import difflib  # noqa: PLC0415  # for those who have mistyped

    near: list[Any] = difflib.get_close_matches(word, _children(program, words), n=1)
    return f", did you mean `{near[0]}`?" if near else ""
