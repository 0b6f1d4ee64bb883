"""The command tells what a play has covered, and which play has found something."""

import re
import sys

import pytest

from qfagent.testing.witness import Broken
from tests.proof import __main__ as command
from tests.proof.promises import PROMISES, Promise


def play(seed):
    if seed == 4:
        raise Broken("promise", "it does not hold")
    if seed == 5:
        raise KeyError("nobody foresaw it")
    return {"things": 2, "trace": "abc"}


@pytest.fixture
def prove(monkeypatch):
    monkeypatch.setitem(PROMISES, "test", Promise("it holds", play, 2, 3))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["proof", *arguments])
        return command.main()

    return run


def test_what_was_covered_is_told(prove, capsys):
    assert 0 == prove("test", "--quick")
    assert re.fullmatch(r"test: it holds\n  2 plays in \d+ s, 0 broken; things 4\n", capsys.readouterr().out)


def test_a_finding_is_told_with_its_seed_and_the_exit_code(prove, capsys):
    assert 1 == prove("test", "--seed", "3", "--plays", "3")
    assert [
        "test, seed 4: promise: it does not hold",
        "test, seed 5: surprise: KeyError: 'nobody foresaw it'",
    ] == capsys.readouterr().out.splitlines()[:2]


def test_a_promise_that_is_not_there_is_refused(prove, capsys):
    with pytest.raises(SystemExit):
        prove("tests")
    assert "no promise is named tests" in capsys.readouterr().err


def test_every_promise_is_part_of_a_full_proof_or_has_one_that_is_longer():
    assert [] == [name for name, promise in PROMISES.items() if not promise.full and name != "load"]
