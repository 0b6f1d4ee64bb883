"""A harness that has never caught anything proves nothing: every mutant breaks the promise that it should."""

import pytest

from qfagent.testing.witness import Broken
from tests.proof.mutants import MUTANTS

SEEDS = 10


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name, monkeypatch):
    mutant = MUTANTS[name]
    if missing := mutant.needs():
        pytest.skip(missing)
    mutant.patch(monkeypatch)

    assert first_broken_by(mutant) in mutant.breaks


def first_broken_by(mutant):
    """The promise that is broken first; None if all are kept."""
    for seed in range(mutant.seed, mutant.seed + SEEDS):
        try:
            mutant.play(seed)
        except Broken as broken:
            return broken.promise
    return None
