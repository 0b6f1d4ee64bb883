"""Every shell offers what may follow; asked for real, where the shell is there."""

import shutil
import subprocess

import pytest

from contrib.debian import completion
from qfagent.cli.table import PROGRAMS

FILES = completion.files()


def says(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def bash(program, typed):
    script = FILES[f"bash-completion/completions/{program}"] + (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _$1; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return says("bash", "-c", script, "bash", program, *typed).split()


def fish(program, typed):
    script = FILES[f"fish/vendor_completions.d/{program}.fish"] + f"\ncomplete -C '{' '.join([program, *typed])}'"
    found = says("fish", "--no-config", "-c", script).splitlines()
    return [line.partition("\t")[0] for line in found]


def zsh(program, typed):
    """With what zsh would draw the offers with told to print them."""
    told = "_describe() { print -l -- ${(P)2} }; _files() {}\n"
    words = f"words=({program} {' '.join(typed[:-1])} '{typed[-1]}'); CURRENT=$#words\n"
    found = says("zsh", "-fc", told + words + FILES[f"zsh/vendor-completions/_{program}"])
    offers = [line.partition(":")[0] for line in found.splitlines()]
    return [offer for offer in offers if offer.startswith(typed[-1])]


SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell.__name__) is None, reason="the shell is not there"))
    for shell in (bash, zsh, fish)
]
OFFERS = {
    ("qfagent", ""): {row.words.split()[0] for row in PROGRAMS["qfagent"].rows},
    ("qfagent", "key", ""): {"establish", "get", "waiting"},
    ("qfagent", "key", "establish", "bob", "--sh"): {"--show-key"},
    ("qfagent", "--socket", "x", "rel"): {"reload"},
    ("qfagent", "psrd", "ret"): {"retire"},
    ("qufabric", "dske", "ing"): {"ingest-psrd"},
    ("qbt-local-distributor", "dske-client", "assign-psrd", "--user-b"): {"--user-bytes"},
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("typed, offered", OFFERS.items(), ids=map(" ".join, OFFERS))
def test_a_shell_offers_what_may_follow(shell, typed, offered):
    program, *words = typed

    assert offered == set(shell(program, words))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)
def test_every_command_is_reached_from_word_to_word(program):
    levels = {level.path: level for level in completion.levels(program)}
    for row in program.rows:
        words = row.words.split()

        assert all(word in levels[" ".join(words[:depth])].words for depth, word in enumerate(words))
