"""The help of every command is a page of the documentation.

`python -m tests.cli.test_help` writes the page anew.
"""

import contextlib
import io
from pathlib import Path

import pytest

from qfagent.cli.program import main
from qfagent.cli.table import PROGRAMS

PAGE = Path(__file__).parents[2] / "docs/commands.md"
HEAD = """# Commands

What `--help` says, of every command; a test keeps this page equal.

"""


def every_help():
    """The words behind each program's name for which there is help."""
    for program in PROGRAMS.values():
        groups = ["", *program.groups]
        for words in [*groups, *(row.words for row in program.rows)]:
            yield program.name, words


def help_of(name, words, *, option="--help"):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(name, [*words.split(), option]) == 0
    return out.getvalue()


def everything():
    parts = (f"## {name} {words}".rstrip() + f"\n\n```\n{help_of(name, words)}```\n" for name, words in every_help())
    return HEAD + "\n".join(parts)


def test_help_is_as_it_is_documented():
    assert everything() == PAGE.read_text(), "if this is meant: python -m tests.cli.test_help"


def test_help_fits_into_80_columns():
    assert [line for line in PAGE.read_text().splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)
def test_short_option_says_the_same(program):
    row = program.rows[-1]

    assert help_of(program.name, row.words, option="-h") == help_of(program.name, row.words)


if __name__ == "__main__":
    PAGE.write_text(everything())
