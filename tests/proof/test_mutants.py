"""A harness that has never caught anything proves nothing: every mutant breaks the promise that it should."""

import pytest

from qfagent.testing.witness import Broken
from tests.proof.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name, monkeypatch):
    mutant = MUTANTS[name]
    if missing := mutant.needs():
        pytest.skip(missing)
    mutant.patch(monkeypatch)
    with pytest.raises(Broken) as caught:
        mutant.play(mutant.seed)

    assert caught.value.promise in mutant.breaks
