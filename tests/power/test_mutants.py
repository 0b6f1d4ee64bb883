"""A harness that has never caught anything proves nothing: every broken agent is caught within a few plays."""

import pytest

from qfagent.testing.witness import Broken
from tests.power.mutants import MUTANTS
from tests.power.plays import play
from tests.power.scenes import played

SEEDS = 100


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_agent_is_caught(mutant, monkeypatch):
    mutant.patch(monkeypatch)

    assert first_broken_by(mutant) in mutant.breaks


def first_broken_by(mutant):
    """The promise that is broken first; None if all are kept."""
    for seed in range(mutant.first, mutant.first + SEEDS):
        try:
            if mutant.scene is None:
                play(seed, mutant.parts)
            else:
                played(mutant.scene, seed, mutant.parts, mishap=mutant.mishap)
        except Broken as broken:
            return broken.promise
    return None
