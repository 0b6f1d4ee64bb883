"""The manual pages say everything that there is to say, in a form that a formatter reads without complaint."""

import re
import shutil
import subprocess

import pytest

from contrib.debian import manual
from qfagent.cli.table import PROGRAMS

PAGES = manual.pages()


def read(page):
    """The page as plain text, on a terminal that is wide enough for every line of it."""
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=200n", "-ww"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "" == done.stderr
    return re.sub(r"\s+", " ", done.stdout.replace("\N{HYPHEN}", "-"))


def test_there_is_a_page_for_each_program_and_one_for_the_configuration():
    assert {"qfagent.1", "qufabric.1", "qbt-local-distributor.1", "qfagent.toml.5"} == set(PAGES)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not there")
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)
def test_a_page_names_every_command_and_all_that_it_takes(program):
    page = read(PAGES[f"{program.name}.1"])
    says = [
        text
        for row in program.rows
        for text in (f"{program.name} {row.words}", *(argument.options["help"] for argument in row.arguments))
    ]

    assert [] == [text for text in says if text.replace("`", "") not in page]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not there")
def test_the_page_of_the_configuration_names_every_setting():
    page = read(PAGES["qfagent.toml.5"])
    named = re.findall(r"^(\w+ = .*|\[.*\])", manual.REFERENCE.read_text(), re.MULTILINE)

    assert len(named) > 25
    assert [] == [setting for setting in named if setting not in page]


@pytest.mark.parametrize("text, roff", [("a-b", r"a\-b"), (".x", r"\&.x"), ("'x", r"\&'x"), ("a\\b", r"a\eb")])
def test_nothing_in_a_text_is_a_request(text, roff):
    assert roff == manual._roff(text)
