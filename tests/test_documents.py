"""What operators print is true: tables equal to the agent, commands that parse, configurations that are valid, sums.

`python -m tests.test_documents` writes the parts anew that are kept equal to the agent.
"""

import re
import shlex
from pathlib import Path

import pytest

from qfagent import amendment
from qfagent.cli.parser import parse as parse_command
from qfagent.cli.table import PROGRAMS
from qfagent.cli.text import size
from qfagent.config import Config, parse
from qfagent.dske.pad import AUTH_BYTES, MAX_PAD, MIN_PAD, PROOF_BYTES, Direction
from qfagent.dske.shamir import MAX_KEYS, secret_size
from qfagent.health import FAULTS, WARNINGS

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs/operations.md", ROOT / "README.md"
DAYS, DAY = 90, 86_400
POOL_FILE = 131_072


def codes():
    yield "| code | | what helps |"
    yield "| --- | --- | --- |"
    for kind, table in (("fault", FAULTS), ("warning", WARNINGS)):
        yield from (f"| `{code}` | {kind} | {remedy} |" for code, remedy in table.items())


def keys():
    every = amendment._flat(parse('name = "a"'))
    for said, chosen in (("At once", True), ("After a restart", False)):
        yield f"* {said}: {', '.join(f'`{path}`' for path in every if (path in amendment.LIVE) == chosen)}."


KEPT = {"codes": codes, "keys": keys}


def section(text, name):
    return re.search(rf"<!-- {name}: .*? -->\n(.*?)\n<!-- end of {name} -->", text, re.DOTALL)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_equal_is(name):
    found = section(PAGE.read_text(), name)[1]

    assert "\n".join(KEPT[name]()) == found, "if this is meant: python -m tests.test_documents"


# --- commands and configurations ------------------------------------------------------------------


def commands(path):
    """The commands of ours in a page's indented blocks: program and words, with those at the other end of ssh."""
    for line in re.findall(
        r"^ {4,}(?:\$ )?(.*\b(?:qfagent|qufabric|qbt-local-distributor) .*)$", path.read_text(), re.MULTILINE
    ):
        for command in re.split(r" \| | && ", re.sub(r"\bssh \S+ ", "", line)):
            program, *words = shlex.split(command, comments=True)
            if program in PROGRAMS and words:
                yield program, words


EVERY = [(page.stem, *command) for page in (PAGE, README) for command in commands(page)]


@pytest.mark.parametrize(
    "page, program, words", EVERY, ids=lambda value: " ".join(value) if type(value) is list else value
)
def test_every_command_that_is_told_is_one(page, program, words):
    row, _ = parse_command(PROGRAMS[program], words)

    assert row in PROGRAMS[program].rows


def test_commands_are_told():
    assert 15 < sum(page == PAGE.stem for page, *_ in EVERY)


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_every_configuration_that_is_shown_is_valid(text):
    assert isinstance(parse(text), Config)


def test_every_path_of_the_project_that_is_named_is_there():
    named = re.findall(r"`(contrib/[\w./]+)`|\]\(([\w./]+\.md)\)", PAGE.read_text())

    assert named
    assert [] == [path for path, page in named if path and not (ROOT / path).exists()]
    assert [] == [page for _, page in named if page and not (PAGE.parent / page).exists()]


# --- sums -----------------------------------------------------------------------------------------


def rows(head):
    """The numbers of the table with that head."""
    table = PAGE.read_text().partition(f"{head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace(",", "") for cell in line.strip("|").split("|")] for line in table]


def test_a_secret_costs_what_is_said():
    found = [[int(cell) for cell in row] for row in rows("| bytes a key")]

    assert [[m, AUTH_BYTES + secret_size(m), round((AUTH_BYTES + secret_size(m)) / m)] for m, *_ in found] == found
    assert MAX_KEYS == found[-1][0]


def test_ninety_days_cost_what_is_said():
    found = rows("| for 90 days")
    each = AUTH_BYTES + secret_size(1)

    assert 4 == len(found)
    for per_day, bytes_per_day, for_all in found:
        assert int(per_day) * each == int(bytes_per_day)
        assert size(DAYS * int(bytes_per_day)) == for_all


def test_a_pool_file_is_good_for_what_is_said():
    usable = POOL_FILE - Direction.USER.first - PROOF_BYTES - AUTH_BYTES

    assert f"A pool file of {POOL_FILE:,} bytes each way is good for some 1,360 single keys" in PAGE.read_text()
    assert 1360 == usable // (AUTH_BYTES + secret_size(1)) // 10 * 10
    assert f"may be {MIN_PAD:,}\nto {MAX_PAD:,}" in PAGE.read_text()


if __name__ == "__main__":
    page = PAGE.read_text()
    for name, lines in KEPT.items():
        found = section(page, name)
        page = page[: found.start(1)] + "\n".join(lines()) + page[found.end(1) :]
    PAGE.write_text(page)
