"""No promise is broken, whatever happens: random lives, and every scene with a mishap at every call of the disk."""

import sys

import pytest

from tests.power import __main__ as command
from tests.power.lives import RULES, live
from tests.power.scenes import MISHAPS, SCENES, played
from tests.power.stage import Stage

BATCHES, LIVES = 8, 25


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_life_breaks_a_promise(batch):
    for seed in range(batch * LIVES, (batch + 1) * LIVES):
        live(seed)


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_ends_well_at_whatever_call_the_mishap_strikes(scene, mishap):
    calls = played(scene, 2, mishap=mishap)

    assert calls > 0


def test_a_life_is_told_by_its_seed():
    told = [[], []]
    for lines in told:
        live(7, tell=lines.append, end=lambda stage, lines=lines: lines.append(marks_of(stage)))

    assert told[0] == told[1]


def marks_of(stage):
    return [
        client.store.database.rows("SELECT id, spent, seen, state FROM blocks ORDER BY born")
        for client in stage.clients
    ]


def test_every_rule_of_a_life_is_a_rule_of_the_stage():
    assert all(callable(getattr(Stage, name)) for name in RULES)


def test_the_command_tells_how_many_lives_were_lived(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["power", "--lives", "2", "--seed", "5"])

    assert command.main() == 0
    assert capsys.readouterr().out.startswith("2 lives in ")
