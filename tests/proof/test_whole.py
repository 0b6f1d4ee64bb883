"""The simulation is one: its seed decides all that happens, in this process and in any other."""

import os
import subprocess
import sys

from qfagent.testing import network
from tests.proof import whole

SMALL = {"clients": 2, "hours": 0.2}


def trace(seed):
    return whole.play(seed, **SMALL)["trace"]


def test_the_same_seed_gives_the_same_trace_in_every_process():
    code = "from tests.proof.test_whole import trace; print(trace(5))"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]

    assert [trace(5)] * 2 == told


def test_another_seed_gives_another_trace():
    assert trace(5) != trace(6)


def test_randomness_from_elsewhere_shows_in_the_trace(monkeypatch):
    before = trace(5)
    monkeypatch.setattr(network.random.Random, "randbytes", lambda _, size: os.urandom(size))

    assert before != trace(5)
