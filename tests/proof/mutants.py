"""Systems that are broken on purpose; the promise that each breaks, and the life in which it shows."""

import json
from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

from qfagent.client.exchange import Exchange
from qfagent.client.standing import Standing
from qfagent.client.vetting import Vetting
from qfagent.dske import envelope, shamir, strict_json, validation, wire
from qfagent.dske.pad import Authenticator
from qfagent.hub import report
from qfagent.hub.deposits import Deposits
from qfagent.hub.registration import Registration
from qfagent.store.keys import KeyLog
from qfagent.store.shares import Shares
from qfagent.store.store import Store
from tests.power import mutants as power
from tests.proof import (
    arithmetic,
    callers,
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
from tests.proof.fate import CLOCKS, Fate
from tests.proof.fleets import breaking
from tests.threats.test_lying_hubs import LIES

_small = partial(whole.play, clients=2, hours=0.5)


LET_IN, LEAKED, WRONG = frozenset({"let-in"}), frozenset({"leaked"}), frozenset({"wrong-arithmetic"})
SMALL = "tests/client/test_keys.py::test_two_callers_at_once_each_get_their_own_key_of_a_secret"


class Mutant(NamedTuple):
    """`patch(monkeypatch)` breaks the system; then `play` raises Broken with one of these promises.

    `seed` is the first life to look at; others follow, since what a life meets changes with the code.
    """

    patch: Callable
    breaks: frozenset
    play: Callable
    seed: int = 0
    needs: Callable = lambda: None  # what this machine lacks for it, if anything


def _nothing(_):
    """It is broken otherwise."""


def _unvalidated(monkeypatch):
    monkeypatch.setattr(validation, "holds", lambda secret, o: True)
    monkeypatch.setattr(Fate, "lie_with", lambda self, liar: setattr(liar, "lie", LIES["share"]))


def _unlogged(monkeypatch):
    monkeypatch.setattr(KeyLog, "release", lambda self, generator, secret_id, keys, *, now: None)


def _unstored(monkeypatch):
    monkeypatch.setattr(Shares, "put", lambda self, share, *, now: None)


def _unforgiving(monkeypatch):
    lost = Standing.lost

    def lost_for_good(self, error):
        news, self.retry_at = lost(self, error), float("inf")
        return news

    monkeypatch.setattr(Standing, "lost", lost_for_good)


def _replaced(kind, name, value):
    return lambda monkeypatch: monkeypatch.setattr(kind, name, value)


def _given_to_anybody(self, block, owner, peer, proof, *, source):
    holder = self._clients.of_peer(peer)
    if holder is None:
        self._clients.bind(owner, peer)
    else:
        self._clients.join(block, from_client=owner, to=holder)


def _timely(monkeypatch):
    open_all = Exchange._open_all

    def open_what_has_not_expired(self, shares):
        return open_all(self, [share for share in shares if share.expires_at > self._now()])

    monkeypatch.setattr(Exchange, "_open_all", open_what_has_not_expired)


def _untied(keys, c, d):
    blocks = [int.from_bytes(keys[at : at + 16], "big") for at in range(0, len(keys), 16)]
    total = reduce(
        lambda total, v: arithmetic.product(total, int.from_bytes(c, "big"), arithmetic.BLOCK) ^ v,
        [*reversed(blocks), int.from_bytes(d, "big")],
        0,
    )
    return total.to_bytes(16, "big")


def _hoard(monkeypatch):
    kept, decode = [], wire.decode
    monkeypatch.setattr(wire, "decode", lambda kind, data: decode(kind, kept.append(str(data)) or data))


async def _unforeseen(_):
    raise KeyError("a fault that nobody foresaw")


CARELESS = """
import logging
from qfagent.client.generator import Generator
log = Generator._log
async def careless(self, made):
    logging.getLogger("qfagent").debug("made %s", made.keys[0].reveal().hex())
    await log(self, made)
Generator._log = careless
"""
DUMPABLE = "from qfagent.cli import run; run.harden = lambda: None"
IN_PROCESS = "from pytest import MonkeyPatch as M; from tests.power.mutants import {0}; {0}.patch(M())"
OBLIVIOUS = "from qfagent.store.keys import KeyLog; KeyLog.release = lambda *_, **_now: None"
UNKEPT = "from qfagent.store.shares import Shares; Shares.put = lambda *_, **_now: None"
SLUGGISH = """
import trio
from qfagent.agent import Frame
status = Frame.status
async def slow(self):
    await trio.sleep(0.1)
    return await status(self)
Frame.status = slow
"""
FORGETFUL = "from qfagent.store.pads import Erasure; Erasure.perform = lambda self: None"

MUTANTS = {
    "a recoverer that validates nothing": Mutant(_unvalidated, frozenset({"wrong-key"}), _small),
    "keys that are not logged": Mutant(_unlogged, frozenset({"key-released-twice"}), _small, 2),
    "shares that are acknowledged and not kept": Mutant(_unstored, frozenset({"key-lost", "no-key"}), _small),
    "a hub that was lost is never asked again": Mutant(_unforgiving, frozenset({"no-key", "key-lost"}), _small),
    "spans that are taken twice": Mutant(power.TakenWithoutMovingOn.patch, frozenset({"span-used-twice"}), _small),
    "a receiver that claims nothing": Mutant(
        power.ClaimWithoutALook.patch, frozenset({"answered-twice", "surprise", "key-lost", "no-key"}), _small
    ),
    "a client that trusts its own memory": Mutant(
        _replaced(Vetting, "has_passed", lambda self, block: True),
        frozenset({"not-stopped", "span-used-twice"}),
        rollback.play,
        1,
    ),
    "a hub that trusts its own memory": Mutant(
        _replaced(Deposits, "retire_if_rolled_back", lambda self, block, seen: False),
        frozenset({"not-stopped", "span-used-twice"}),
        rollback.play,
        2,
    ),
    "a store that does not look where it is": Mutant(
        _replaced(Store, "_check_machine", lambda self, machine: None), frozenset({"not-stopped"}), rollback.play, 0
    ),
    "tags that nobody looks at": Mutant(
        _replaced(Authenticator, "verify", lambda self, tag, *, seen, context, body: True), LET_IN, messages.play
    ),
    "tags that don't cover the target": Mutant(
        _replaced(envelope, "request_context", lambda method, target: b""), LET_IN, messages.play
    ),
    "answers' tags that don't cover the request's": Mutant(
        _replaced(envelope, "answer_context", lambda tag, status: b""), LET_IN, messages.play
    ),
    "names that are given to anybody": Mutant(
        _replaced(Registration, "_claim_name", _given_to_anybody), LET_IN, messages.play
    ),
    "requests that are answered twice": Mutant(power.ClaimWithoutALook.patch, LET_IN, messages.play),
    "a route that is open to more than the table says": Mutant(
        _replaced(
            callers,
            "VERBS",
            {
                **callers.VERBS,
                ("POST", "/v1/reload"): "admin",
                ("GET", "/v1/hubs"): "keys",
                ("GET", "/v1/backup"): "observe",
            },
        ),
        LET_IN,
        callers.play,
        needs=callers.lacks,
    ),
    "an agent that logs a key": Mutant(_nothing, LEAKED, partial(leaks.play, prefix=breaking(CARELESS))),
    "an agent that leaves a core dump": Mutant(
        _nothing, LEAKED, partial(leaks.play, prefix=breaking(DUMPABLE)), needs=leaks.lacks_cores
    ),
    "an agent that logs a key, in some test": Mutant(
        _nothing, LEAKED, partial(suite.play, tests=(SMALL,), broken=CARELESS)
    ),
    "an agent that takes spans twice": Mutant(
        _nothing,
        frozenset({"span-used-twice"}),
        partial(kills.play, kills=1, prefix=breaking(IN_PROCESS.format("TakenWithoutMovingOn"))),
    ),
    "an agent that forgets which keys are out": Mutant(
        _nothing,
        frozenset({"key-released-twice", "key-lost"}),  # who is asked once more has told the hubs that it is done
        partial(kills.play, kills=1, prefix=breaking(OBLIVIOUS)),
    ),
    "an agent that acknowledges shares and keeps none": Mutant(
        _nothing,
        frozenset({"key-lost"}),
        partial(kills.play, kills=1, prefix=breaking(UNKEPT)),
    ),
    "an agent that is slow to say how it is": Mutant(
        _nothing, frozenset({"too-slow"}), partial(load.play, seconds=8, busy=5, prefix=breaking(SLUGGISH))
    ),
    "an agent that erases nothing": Mutant(
        _nothing,
        frozenset({"left-behind"}),
        partial(remains.play, keys=10, prefix=breaking(FORGETFUL)),
        needs=remains.lacks,
    ),
    "a recoverer that goes by its own clock": Mutant(
        _timely,
        frozenset({"no-key", "key-lost"}),
        partial(whole.play, clients=2, hours=0.5, blows=CLOCKS),
        1,
    ),
    "products of another field": Mutant(
        _replaced(shamir, "_times", lambda a: bytes(arithmetic.product(a, b, 0x11D) for b in range(256))),
        WRONG,
        arithmetic.play,
    ),
    "a validation tag without its last term": Mutant(_replaced(validation, "tag", _untied), WRONG, arithmetic.play),
    "a parser that trusts its input": Mutant(
        _replaced(strict_json, "loads", json.loads), frozenset({"unhandled"}), inputs.play
    ),
    "a parser that keeps what it has read": Mutant(_hoard, frozenset({"memory-grows"}), inputs.play),
    "a route that trusts its caller": Mutant(
        _replaced(report, "report_pool", _unforeseen), frozenset({"unhandled"}), requests.play, 1
    ),
}
