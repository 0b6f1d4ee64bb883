"""The table of promises: how each is played, and how many plays are enough for a quick and for a full proof."""

from collections.abc import Callable
from typing import NamedTuple

from tests.power import plays
from tests.proof import (
    arithmetic,
    callers,
    cuts,
    fuzz,
    inputs,
    kills,
    leaks,
    load,
    messages,
    remains,
    requests,
    rollback,
    suite,
    whole,
)


class Promise(NamedTuple):
    """`play(seed)` plays once; `claim` is what it raises Broken against."""

    claim: str
    play: Callable
    quick: int
    full: int


PROMISES = {
    "power": Promise("nothing lost, nothing reused, whenever power fails", plays.play, 6_000, 60_000),
    "whole": Promise("never a wrong key; a key once all is calm", whole.play, 16, 2_000),
    "month": Promise("the same, for a month of 5 hubs and 10 clients", whole.play_month, 0, 1),
    "time": Promise("whatever the clocks say", whole.play_time, 4, 500),
    "kills": Promise("nothing lost, nothing reused, when processes are killed", kills.play, 2, 50),
    "cuts": Promise("the same, when the power of a machine with a real kernel is cut", cuts.play, 0, 10),
    "rollback": Promise("restored and cloned machines are stopped, and reuse nothing", rollback.play, 40, 4_000),
    "messages": Promise("nobody gets in by a message", messages.play, 4, 1_000),
    "callers": Promise("nobody gets in by the socket", callers.play, 2, 20),
    "remains": Promise("nothing that was spent is left on the disk", remains.play, 1, 50),
    "leaks": Promise("no secret gets into anything that agents let out", leaks.play, 1, 100),
    "suite": Promise("no secret gets into anything that the whole test suite lets out", suite.play, 0, 1),
    "inputs": Promise("no input breaks a parser", inputs.play, 60, 2_000),
    "fuzz": Promise("no input breaks a parser, with an eye on what is covered", fuzz.play, 0, 900),
    "requests": Promise("no request breaks an agent", requests.play, 6, 1_000),
    "arithmetic": Promise("the arithmetic is right", arithmetic.play, 40, 700),
    "load": Promise("it answers under load", load.play, 1, 0),
    "flood": Promise("it answers when nobody waits", load.play_flood, 0, 1),
    "hour": Promise("it answers under load, within 20 ms, and its memory is flat over an hour", load.play_hour, 0, 1),
}
