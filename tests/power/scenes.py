"""A scene is one thing that an agent does, played once for every call of its disk at which something can go wrong."""

import errno
from functools import partial

from tests.power.machines import Parts
from tests.power.plays import prologue
from tests.power.stage import Stage

HUB, CLIENT = 0, 1  # the machine that something happens to


def _carried(stage):
    stage.play("tend")
    stage.play("carry", how=1)


def _ingest(stage):
    _carried(stage)
    stage.play("drop", who=0, pick=-1, how=0, name=0)
    yield CLIENT
    stage.play("scan", who=0)


def _ingest_again(stage):
    stage.play("drop", who=0, pick=0, how=0, name=0)
    yield CLIENT
    stage.play("scan", who=0)


def _register(stage):
    _carried(stage)
    stage.play("hand_in", who=0, pick=-1)
    yield CLIENT
    stage.play("register", who=0, pick=0, proof=1, wait=0)
    stage.play("register", who=0, pick=0, proof=1, wait=0)


def _answer_register(stage):
    _carried(stage)
    stage.play("hand_in", who=0, pick=-1)
    stage.play("register", who=0, pick=0, proof=1, wait=0)
    yield HUB
    stage.play("deliver", pick=0, width=9, again=1, wait=0)
    stage.play("tend")


def _deposit(stage):
    yield CLIENT
    stage.play("converse", who=0, what=1, block=0)
    stage.play("converse", who=0, what=1, block=0)


def _answer_deposit(stage):
    yield HUB
    stage.play("converse", who=1, what=1, block=0)
    stage.play("converse", who=1, what=1, block=0)


def _fetch(stage):
    stage.play("converse", who=1, what=1, block=0)
    yield CLIENT
    stage.play("converse", who=0, what=2, block=0)
    stage.play("hand_over", who=0, pick=0, index=2)


def _fetch_again(stage):
    stage.play("converse", who=1, what=1, block=0)
    stage.play("converse", who=0, what=2, block=0)
    stage.play("stop", machine=CLIENT)
    yield CLIENT
    stage.play("converse", who=0, what=2, block=0)
    stage.play("hand_over", who=0, pick=0, index=2)


def _expire(stage):
    stage.play("converse", who=1, what=1, block=0)
    stage.play("converse", who=0, what=2, block=0)
    stage.play("stop", machine=CLIENT)
    stage.play("wait", how=2)
    yield CLIENT
    stage.play("sweep", who=0)
    stage.play("settle", machine=CLIENT)
    stage.play("erase", machine=CLIENT)


def _top_up(stage):
    stage.play("carry", how=1)
    yield HUB
    stage.play("tend")


def _take(stage):
    stage.play("tend")
    yield HUB
    stage.play("carry", how=1)
    stage.play("carry", how=3)
    stage.play("carry", how=2)


def _retire(stage):
    stage.play("converse", who=1, what=1, block=0)
    yield CLIENT
    stage.play("retire", who=0, pick=0, wait=0)
    stage.play("erase", machine=CLIENT)


def _stop(stage):
    stage.play("converse", who=0, what=1, block=0)
    yield CLIENT
    stage.play("stop", machine=CLIENT)


def _lost(stage):
    stage.play("fetch", who=0, how=0, block=0, wait=0)
    stage.play("lose", what=0, pick=0)
    yield CLIENT
    stage.play("converse", who=0, what=1, block=0)


SCENES = {
    "ingest": _ingest,
    "ingest again": _ingest_again,
    "register": _register,
    "answer a registration": _answer_register,
    "deposit": _deposit,
    "answer a deposit": _answer_deposit,
    "fetch and hand over": _fetch,
    "fetch again": _fetch_again,
    "ask again": _lost,
    "expire": _expire,
    "top up the pool": _top_up,
    "take from the pool": _take,
    "retire": _retire,
    "stop": _stop,
}


def _power(agent, call):
    agent.disk.power_off_after(call)
    return lambda: agent.disk.dead


def _fault(name, number):
    def strike(agent, call):
        agent.fail(name, number, after=call, times=1)
        (fault,) = agent.disk._faults
        return lambda: fault.after < 0

    return strike


MISHAPS = {
    "power fails": _power,
    "there is no room": _fault("write_at", errno.ENOSPC),
    "a sync fails": _fault("sync", errno.EIO),
}


def played(name, seed, parts=Parts, *, mishap="power fails"):
    """Plays a scene for every call at which the mishap can strike; returns how many there are. Raises Broken."""
    calls = 0
    while _play(SCENES[name], seed, parts, partial(MISHAPS[mishap], call=calls)):
        calls += 1
    return calls


def _play(scene, seed, parts, mishap):
    """Whether the mishap struck."""
    with Stage(seed, parts) as stage:
        prologue(stage)
        acts = scene(stage)
        machine = next(acts)
        struck = mishap(stage.machines[machine])
        next(acts, None)
        has_struck = struck()
        stage.play("crash", machine=machine, lose=0, cut=0)
        for _ in range(4):
            stage.play("carry", how=1)
        stage.play("finish")
    return has_struck
