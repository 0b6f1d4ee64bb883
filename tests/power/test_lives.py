"""What counts as a life, so that their number is no larger than it should be."""

import pytest

from tests.power.plays import prologue
from tests.power.stage import Stage

CLIENT = 1


@pytest.fixture
def stage():
    with Stage(2) as made:
        prologue(made)
        yield made


def counted(stage):
    return dict(stage.machines[CLIENT].lives.checked)


def test_a_life_counts_once_the_machine_is_up_again(stage):
    stage.clients[0].crash("some")
    before = counted(stage)
    stage.clients[0].start()

    assert ({}, {"lives": 1, "power cuts": 1}) == (before, counted(stage))


def test_a_killed_agent_has_lived_too(stage):
    stage.play("crash", machine=CLIENT, lose=2, cut=0)

    assert {"lives": 1, "kills": 1} == counted(stage)


def test_a_machine_that_has_done_nothing_since_its_start_has_not_lived(stage):
    stage.play("crash", machine=CLIENT, lose=1, cut=0)
    stage.play("crash", machine=CLIENT, lose=1, cut=0)

    assert {"lives": 1, "power cuts": 1} == counted(stage)


def test_a_clean_stop_ends_no_life(stage):
    stage.play("stop", machine=CLIENT)

    assert {} == counted(stage)


def test_what_others_put_onto_the_disk_is_no_life(stage):
    stage.play("stop", machine=CLIENT)
    stage.play("drop", who=0, pick=0, how=0, name=0)
    stage.play("crash", machine=CLIENT, lose=1, cut=0)

    assert {} == counted(stage)


def test_a_start_that_is_cut_short_is_a_life_of_its_own(stage):
    stage.play("crash", machine=CLIENT, lose=1, cut=12)
    stage.play("wake")

    assert {"lives": 2, "power cuts": 2, "starts cut short": 1} == counted(stage)
