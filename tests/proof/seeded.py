"""A run of trio that a seed decides: the order of its tasks too, and a clock that jumps over every wait."""

from random import Random
from unittest.mock import patch

import trio
from trio.testing import MockClock

from qfagent.testing.witness import Broken


def run(main, seed):
    """What `main(chance)` returns; the same seed gives the same run. Raises Broken, whatever went wrong first."""
    chance = Random(seed)
    order, core = Random(chance.getrandbits(64)), trio._core._run
    with patch.object(core, "_ALLOW_DETERMINISTIC_SCHEDULING", True), patch.object(core, "_r", order):
        try:
            return trio.run(main, chance, clock=MockClock(autojump_threshold=0))
        except Exception as error:
            raise broken(error) from error


def broken(error):
    """The promise that an error breaks; one that nobody foresaw breaks one, too."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Broken) else Broken("surprise", f"{type(error).__name__}: {error}")
