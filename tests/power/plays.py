"""A play is what a seed lets happen on the stage: many lives of its machines, one after the other.

`RULES` says how often each rule is followed, and from how many choices each of its arguments is taken.
"""

from collections import Counter
from random import Random

from tests.power.machines import Parts
from tests.power.stage import CALLS, ERRORS, Stage

STEPS = 100
_WHO, _WAIT = {"who": 2}, {"wait": 2}
_MACHINE = {"machine": 3}

RULES = {
    "tend": (3, {}),
    "carry": (4, {"how": 4}),
    "drop": (3, {**_WHO, "pick": 3, "how": 4, "name": 3}),
    "bring": (4, {**_WHO, "pick": 3, "how": 4, "after": 48}),
    "hand_in": (1, {**_WHO, "pick": 3}),
    "scan": (6, _WHO),
    "register": (6, {**_WHO, "pick": 2, "proof": 2, **_WAIT}),
    "make": (5, {**_WHO, "count": 3}),
    "deposit": (8, {**_WHO, "pick": 4, "width": 3, "block": 2, **_WAIT}),
    "fetch": (8, {**_WHO, "how": 3, "block": 2, **_WAIT}),
    "deliver": (14, {"pick": 4, "width": 3, "again": 3, **_WAIT}),
    "accept": (14, {**_WHO, "width": 3, "again": 2, **_WAIT}),
    "converse": (30, {**_WHO, "what": 3, "block": 2}),
    "establish": (4, _WHO),
    "hand_over": (12, {**_WHO, "pick": 3, "index": 3}),
    "lose": (16, {"what": 2, "pick": 8}),
    "sweep": (1, _WHO),
    "wait": (1, {"how": 3}),
    "settle": (3, _MACHINE),
    "erase": (4, _MACHINE),
    "checkpoint": (8, _MACHINE),
    "retire": (0.3, {**_WHO, "pick": 3, **_WAIT}),
    "halt": (0.3, {**_WHO, "pick": 3, "ahead": 4, **_WAIT}),
    "resume": (1, {**_WHO, **_WAIT}),
    "assign": (0.5, _WHO),
    "remove": (0.1, _WHO),
    "expire": (0.1, {}),
    "fence": (0.4, _MACHINE),
    "stop": (2, _MACHINE),
    "cut": (6, {**_MACHINE, "after": 24}),
    "strike": (60, {**_MACHINE, **_WHO, "what": 9, "block": 2, "after": 24}),
    "crash": (5, {**_MACHINE, "lose": 3, "cut": 16}),
    "wake": (12, {}),
    "fail": (1, {**_MACHINE, "call": len(CALLS), "error": len(ERRORS), "after": 12, "times": 3}),
    "heal": (4, _MACHINE),
}


def play(seed, parts=Parts, *, steps=STEPS, tell=lambda _: None, end=lambda _: None):
    """What was played, and how many lives of machines that were; raises Broken.

    `tell` hears of every rule before, `end` gets the stage behind them.
    """
    chance = Random(seed)
    names, weights = list(RULES), [weight for weight, _ in RULES.values()]
    stage = Stage(seed, parts)
    with stage.one_run(), stage:
        if chance.random() < 0.7:
            prologue(stage)
        for name in chance.choices(names, weights, k=steps):
            choices = {key: chance.randrange(size) for key, size in RULES[name][1].items()}
            tell(f"stage.{name}({', '.join(f'{key}={value}' for key, value in choices.items())})")
            stage.play(name, **choices)
        tell("stage.finish()")
        stage.play("finish")
        end(stage)
        return sum((machine.lives.checked for machine in stage.machines), Counter(rules=steps))


def prologue(stage):
    """Both clients have one block each, registered."""
    for who in (0, 1):
        stage.play("equip", who=who)
