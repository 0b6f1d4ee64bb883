"""No promise is broken, whatever happens: random plays, and every scene with a mishap at every call of the disk."""

import sys

import pytest

from tests.power import __main__ as command
from tests.power.plays import RULES, play
from tests.power.scenes import MISHAPS, SCENES, played
from tests.power.stage import Stage

BATCHES, PLAYS = 8, 25


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_play_breaks_a_promise(batch):
    for seed in range(batch * PLAYS, (batch + 1) * PLAYS):
        play(seed)


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_ends_well_at_whatever_call_the_mishap_strikes(scene, mishap):
    calls = played(scene, 2, mishap=mishap)

    assert calls > 0


def test_a_play_is_told_by_its_seed():
    told = [[], []]
    for lines in told:
        play(7, tell=lines.append, end=lambda stage, lines=lines: lines.append(marks_of(stage)))

    assert told[0] == told[1]


def marks_of(stage):
    return [
        client.store.database.rows("SELECT id, spent, seen, state FROM blocks ORDER BY born")
        for client in stage.clients
    ]


def test_every_rule_of_a_play_is_a_rule_of_the_stage():
    assert all(callable(getattr(Stage, name)) for name in RULES)


def test_the_command_tells_how_many_plays_there_were(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["power", "--plays", "2", "--seed", "5"])

    assert command.main() == 0
    assert capsys.readouterr().out.startswith("2 plays in ")
