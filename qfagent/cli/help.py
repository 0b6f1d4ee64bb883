"""Help is read off the table of commands: the same on every version of Python, in 80 columns.

* It goes to standard output, and takes what a command takes from its row only.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from qfagent.cli.parser import Help
from qfagent.cli.table import Argument, Program, Row

WIDTH: Final = 80
EXIT_CODES: Final = (
    "exit codes: 0 done, 1 failed, 2 usage, 3 the agent is not running, 4 not permitted, 5 not found, 6 refused in"
    " this state, 7 exhausted (PSRD, or too few hubs), 8 input rejected, 9 already so, nothing changed, 10 timed out"
)


def text(program: Program, wanted: Help) -> str:
    """What somebody wants to know."""
    if wanted.row is None:
        return "\n".join(_group(program, wanted.words))
    return "\n".join([*_command(program, wanted.row), *_further(program, wanted.row)])


def _group(program: Program, words: str) -> Iterator[str]:
    here = f"{program.name} {words}".rstrip()
    yield f"usage: {here} COMMAND ..."
    yield ""
    yield f"  {program.groups[words] if words else program.does}"
    yield ""
    rows = [row for row in program.rows if f"{row.words} ".startswith(f"{words} ".lstrip())]
    yield from _columns((row.words, row.does) for row in rows)
    if not words:
        yield ""
        yield from _columns([("--socket PATH", "ahead of a command: the agent's socket"), ("--version", "the version")])
        yield ""
        yield from textwrap.wrap(EXIT_CODES, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _command(program: Program, row: Row) -> Iterator[str]:
    start = f"usage: {program.name} {row.words}"
    uses = " ".join(use(argument).replace(" ", "\0") for argument in row.arguments)  # a value stays with its option
    lines = textwrap.wrap(f"{start} {uses}", WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
    yield from (line.replace("\0", " ") for line in lines)
    yield ""
    yield f"  {row.does}"
    if row.arguments:
        yield ""
    yield from _columns((names(argument), argument.options["help"]) for argument in row.arguments)


def _further(program: Program, row: Row) -> list[str]:
    """Commands whose words begin with this one's."""
    below = [(other.words, other.does) for other in program.rows if other.words.startswith(f"{row.words} ")]
    return ["", *_columns(below)] if below else []


def _columns(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    known = list(pairs)
    width = max((len(name) for name, _ in known), default=0)
    for name, does in known:
        blank = " " * (width + 4)
        yield from textwrap.wrap(does, WIDTH, initial_indent=f"  {name.ljust(width)}  ", subsequent_indent=blank)


def use(argument: Argument) -> str:
    """The argument, as it stands in a usage line."""
    name, options = argument.names[0], argument.options
    if not name.startswith("-"):
        return f"[{options['metavar']}]" if options.get("nargs") == "?" else str(options["metavar"])
    use = f"{name} {options['metavar']}" if "metavar" in options else name
    return use if options.get("required") else f"[{use}]"


def names(argument: Argument) -> str:
    """What the argument may be called, and what goes with it."""
    if not argument.names[0].startswith("-"):
        return str(argument.options["metavar"])
    value = f" {argument.options['metavar']}" if "metavar" in argument.options else ""
    return ", ".join(argument.names) + value
