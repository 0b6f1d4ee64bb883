"""A program runs one command, and ends as its errors say: one line, and the exit code that goes with it.

* Exit codes are frozen: those of `errors.py`; 130 when interrupted, 141 when nobody reads the output any more.
* Nothing that comes from elsewhere reaches a terminal raw: one line stays one line.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

from qfagent.cli.parser import Help, Version, parse
from qfagent.cli.sockets import agent_of
from qfagent.cli.table import PROGRAMS, Program, Row
from qfagent.cli.text import clause
from qfagent.errors import AgentError, BadRequest, NotFound, NotPermitted, WrongState

INTERRUPTED: Final = 130
NOBODY_READS: Final = 141


def main(name: str, arguments: Sequence[str] | None = None) -> int:
    """Runs the program of that name; its exit code."""
    program = PROGRAMS[name]
    try:
        _run(program, sys.argv[1:] if arguments is None else arguments)
        _flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains about what is still to be written
        return NOBODY_READS
    except OSError as error:
        return _complain(program, _explained(error))
    except AgentError as error:
        return _complain(program, error)
    return 0


def _run(program: Program, arguments: Sequence[str]) -> None:
    try:
        row, parsed = parse(program, arguments)
    except Version:
        print(f"{program.name} {import_module('qfagent').__version__}")
    except Help as wanted:
        print(import_module("qfagent.cli.help").text(program, wanted))
    else:
        _call(program, row, parsed)


def _call(program: Program, row: Row, parsed: argparse.Namespace) -> None:
    module, _, function = row.run.partition(":")
    command: Callable[[argparse.Namespace], None] = getattr(import_module(f"qfagent.cli.{module}"), function)
    try:
        command(parsed)
    except NotFound:
        _check_role(program, row, parsed)
        raise


def _check_role(program: Program, row: Row, parsed: argparse.Namespace) -> None:
    """WrongState if the agent has not found the route because it is of the other role."""
    role = ""
    if row.role:
        with suppress(AgentError):
            role = agent_of(parsed).status()["role"]
    if role not in ("", row.role):
        raise WrongState(
            f"this agent runs as {role}, and `{program.name} {row.words}` is for a {row.role}",
            remedy="name another agent's socket with --socket",
        )


def _explained(error: OSError) -> AgentError:
    """What a file did, in our words."""
    kinds: dict[type[OSError], type[AgentError]] = {
        FileNotFoundError: NotFound,
        PermissionError: NotPermitted,
        IsADirectoryError: BadRequest,
    }
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return kinds.get(type(error), AgentError)(f"{where}{(error.strerror or str(error)).lower()}")


def _complain(program: Program, error: AgentError) -> int:
    with suppress(OSError):
        _flush()
    print(f"{program.name}: {clause(error.detail)}", file=sys.stderr)
    return error.exit_code


def _flush() -> None:
    """What was printed goes out now, while errors can still be told; a program may be called without an output."""
    if sys.stdout is not None:
        sys.stdout.flush()
