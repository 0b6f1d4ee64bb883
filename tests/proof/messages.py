"""Nobody gets in by a message: each kind of it, at hub and client, in every way in which it is not genuine.

* What is not genuine has no proven answer and leaves no trace in any table; the genuine one is accepted after it.
* What is genuine, and asks for what is another's, gets nothing of it.
"""

from collections import Counter

from msgspec.structs import replace

from qfagent.client.exchange import Received
from qfagent.dske import envelope, wire
from qfagent.errors import Unproven
from qfagent.hub.exchange import Message
from qfagent.testing.witness import Broken
from tests.hub.parties import House, Voice, deposit_of
from tests.power.places import HUB_ID
from tests.power.plays import prologue
from tests.power.stage import Stage


def play(seed):
    """The whole matrix, with other bytes for every seed; how many cells of it."""
    cells = Counter()
    for kind, make in REQUESTS.items():
        for name, forge in FORGED_REQUESTS.items():
            _check_request(seed, make, forge, f"{kind}, {name}")
            cells["requests"] += 1
    for name, ask in ASKED_FOR_ANOTHERS.items():
        _check_rights(seed, ask, name)
        cells["rights"] += 1
    for kind, what in ANSWERS.items():
        for name, forge in FORGED_ANSWERS.items():
            _check_answer(seed, what, forge, f"{kind}, {name}")
            cells["answers"] += 1
    return cells


def tables(store):
    """Every row of a database but for what goes without saying."""
    names = [name for (name,) in store.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(map(repr, store.database.rows(f"SELECT * FROM {name}"))) for name in names}


# --- requests at the hub ------------------------------------------------------------------------------


class Pen(Voice):
    """Writes messages down instead of saying them."""

    def send(self, message):
        return message


class Parlour:
    """A hub with alice, who has two blocks there, and bob; and another hub, where alice has a block as well."""

    def __init__(self, seed):
        self.house, self.elsewhere = House(seed=seed), House(seed=seed + 1)
        self.alice, self.bob = (self.house.voice(name) for name in ("alice", "bob"))
        self.second = Voice(self.house, self.house.block())
        assert self.second.register("alice", proof=self.alice).status == 200
        self.other_hub = self.elsewhere.voice("alice")
        assert self.bob.statuses(deposit_of("alice")) == ["stored"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.house.disk.close()
        self.elsewhere.disk.close()

    def pen(self, voice):
        pen = Pen(voice.house, voice.block)
        pen.next, pen.seen = voice.next, voice.seen
        return pen


def _register(parlour):
    return Pen(parlour.house, parlour.house.block()).register("carol")


def _join(parlour):
    return Pen(parlour.house, parlour.house.block()).register("bob", proof=parlour.bob)


def _deposit(parlour):
    return parlour.pen(parlour.alice).deposit(deposit_of("bob"), deposit_of("bob", m=3))


def _fetch(parlour):
    return parlour.pen(parlour.alice).fetch({"generator": "bob"})


REQUESTS = {"register": _register, "register with a proof": _join, "deposit": _deposit, "fetch": _fetch}


def _with(message, **members):
    [auth] = message.auth
    auth = envelope.parse_auth([auth])
    return replace(message, auth=[str(replace(auth, **members)).encode()])


def _bent(data, at=-1):
    bent = bytearray(data)
    bent[at] ^= 1
    return bytes(bent)


def _wrong_tag(_, message):
    return _with(message, tag=_bent(envelope.parse_auth(message.auth).tag))


def _signed_by(voice, message):
    """The header as somebody else would make it who knows all but the block's bytes."""
    asked = envelope.parse_auth(message.auth)
    pad = voice.pad(asked.offset, asked.length).authenticator()
    return _with(message, tag=pad.tag(seen=asked.seen, context=message.context, body=message.body))


FORGED_REQUESTS = {
    "without a tag": lambda _, m: replace(m, auth=[]),
    "with two tags": lambda _, m: replace(m, auth=[*m.auth, *m.auth]),
    "with a wrong tag": _wrong_tag,
    "with another body": lambda _, m: replace(m, body=m.body.replace(b'"', b' "', 1)),
    "with another target": lambda _, m: replace(m, target=wire.FETCH if m.target != wire.FETCH else wire.DEPOSIT),
    "with another method": lambda _, m: replace(m, method="PUT"),
    "with another seen": lambda _, m: _with(m, seen=envelope.parse_auth(m.auth).seen + 1),
    "moved to another place of the pad": lambda _, m: _with(m, offset=envelope.parse_auth(m.auth).offset + 64),
    "moved behind the pad": lambda _, m: _with(m, offset=1 << 20),
    "with a longer span": lambda _, m: _with(m, length=envelope.parse_auth(m.auth).length + 1),
    "with a shorter span": lambda _, m: _with(m, length=31),
    "moved to the same client's other block": lambda p, m: _with(m, block=p.second.block.id),
    "moved to another client's block": lambda p, m: _with(m, block=p.bob.block.id),
    "moved to a block that does not exist": lambda _, m: _with(m, block="e" * 32),
    "made with another client's bytes": lambda p, m: _signed_by(p.bob, m),
    "made with the other block's bytes": lambda p, m: _signed_by(p.second, m),
    "made with another hub's bytes": lambda p, m: _signed_by(p.other_hub, m),
    "made for another hub": lambda p, m: p.pen(p.other_hub).fetch({"generator": "bob"}),
    "replayed": lambda _, m: m,
}


def _check_request(seed, make, forge, cell):
    with Parlour(seed) as parlour:
        genuine = make(parlour)
        forged = forge(parlour, genuine)
        if forged is genuine:  # a replay
            parlour.house.answer(genuine)
        before = tables(parlour.house.store)
        answer = parlour.house.answer(forged)
        _expect(answer.auth is None and answer.status >= 400, f"{cell}: it was answered {answer.slug}, under a tag")
        _expect(before == tables(parlour.house.store), f"{cell}: it has left a trace")
        if forged is not genuine:
            _expect(parlour.house.answer(genuine).status == 200, f"{cell}: the genuine one is refused after it")


# --- what is another's --------------------------------------------------------------------------------


def _register_as(voice, **members):
    body = {"peer": "carol", "client_id": voice.block.client_id, "block": voice.block.id} | members
    return voice.say("register", body)


def _new(parlour):
    return Voice(parlour.house, parlour.house.block())


ASKED_FOR_ANOTHERS = {
    "a name that somebody holds": lambda p: _register_as(_new(p), peer="alice"),
    "a name, with another's proof": lambda p: _new(p).register("alice", proof=p.bob),
    "a name, with a proof of another hub's block": lambda p: _new(p).register("alice", proof=p.other_hub),
    "another's block": lambda p: _register_as(_new(p), block=p.bob.block.id),
    "another's client id": lambda p: _register_as(_new(p), client_id=p.bob.block.client_id),
    "a second name for a block": lambda p: _register_as(p.bob, peer="carol"),
    "to speak before it is registered": lambda p: _new(p).fetch({"generator": "bob"}),
    "to deposit before it is registered": lambda p: _new(p).deposit(deposit_of("alice")),
    "what waits for another": lambda p: p.bob.fetch({"generator": "bob"}),
    "another's secret by its id": lambda p: p.bob.fetch({"secret_id": p.house.shares()[0][2]}),
    "to end what waits for another": lambda p: p.bob.fetch(
        {"generator": "x"}, done=[{"generator": "bob", "secret_id": p.house.shares()[0][2]}]
    ),
    "to retire another's block": lambda p: p.bob.fetch(
        {"generator": "x"}, seen=[{"block": p.alice.block.id, "seen": 8000}]
    ),
    "a deposit for itself": lambda p: p.bob.deposit(deposit_of("bob")),
    "a deposit for hubs without this one": lambda p: p.bob.deposit(deposit_of("alice", hubs=["b" * 32, "c" * 32])),
}


def _check_rights(seed, ask, cell):
    """Refused, or an empty answer; and what belongs to alice and to others is as before."""
    with Parlour(seed) as parlour:
        before = parlour.house.shares(), parlour.house.state(parlour.alice.block), _bindings(parlour.house)
        heard = ask(parlour)
        after = parlour.house.shares(), parlour.house.state(parlour.alice.block), _bindings(parlour.house)
        _expect(heard.status >= 400 or heard.body == {"shares": []}, f"{cell}: it was given {heard.body}")
        _expect(before == after, f"{cell}: it has changed what is another's")


def _bindings(house):
    rows = house.store.database.rows("SELECT id, peer FROM clients WHERE peer IS NOT NULL")
    return sorted(rows)


# --- answers at the client ----------------------------------------------------------------------------

ANSWERS = {"an answer to register": 0, "an answer to a deposit": 1, "an answer to a fetch": 2}

FORGED_ANSWERS = {
    "without a tag": lambda _, a: replace(a, auth=[]),
    "with two tags": lambda _, a: replace(a, auth=[*a.auth, *a.auth]),
    "with a wrong tag": lambda _, a: _answered(a, tag=_bent(envelope.parse_auth(a.auth).tag)),
    "with another body": lambda _, a: replace(a, body=a.body + b" "),
    "with another status": lambda _, a: replace(a, status=201),
    "moved to another place of the pad": lambda _, a: _answered(a, offset=envelope.parse_auth(a.auth).offset + 32),
    "with another seen": lambda _, a: _answered(a, seen=1),
    "with a longer span": lambda _, a: _answered(a, length=64),
    "moved to another block": lambda _, a: _answered(a, block="e" * 32),
    "that belongs to an earlier request": lambda p, a: p.earlier,
    "that belongs to another client": lambda p, a: p.others,
    "of another hub": lambda p, a: p.elsewhere,
    "that is the request itself": lambda p, a: replace(a, auth=[str(p.sent.auth).encode()]),
}


def _answered(answer, **members):
    return replace(answer, auth=[str(replace(envelope.parse_auth(answer.auth), **members)).encode()])


class Desk:
    """A client that waits for an answer, and the answers that are not the one."""

    def __init__(self, stage, elsewhere, what):
        self.client = stage.clients[0]
        _, self.earlier = exchanged(stage, 0, 1)
        _, self.others = exchanged(stage, 1, 1)
        _, self.elsewhere = exchanged(elsewhere, 0, 1)
        stage.play("converse", who=1, what=1, block=0)
        if what == 0:
            stage.play("tend")
            stage.play("carry", how=1)
            stage.play("hand_in", who=0, pick=-1)
        self.sent, self.answer = exchanged(stage, 0, what)

    def accept(self, received):
        exchange, sent = self.client.desk.exchange, self.sent

        def operation():
            if sent.target == wire.REGISTER:
                return exchange.accept_registered(sent, received, HUB_ID, self.client.name)
            if sent.target == wire.FETCH:
                return exchange.accept_shares(sent, received, HUB_ID)
            return exchange.accept(sent, received)

        return self.client.store.run(operation)


def exchanged(stage, who, what):
    """A request that a client has sent, and the hub's answer to it, which has not arrived yet."""
    if what == 0:
        stage.play("register", who=who, pick=0, proof=1, wait=0)
    elif what == 1:
        stage.play("make", who=who, count=0)
        stage.play("deposit", who=who, pick=-1, width=0, block=0, wait=0)
    else:
        stage.play("fetch", who=who, how=0, block=0, wait=0)
    sent = stage.requests.pop().sent
    proof = [str(sent.proof).encode()] if sent.proof else []
    message = Message("POST", sent.target, sent.body, [str(sent.auth).encode()], proof)
    answer = stage.hub.store.run(lambda: stage.hub.books.exchange.answer(message))
    return sent, Received(answer.status, answer.body, [answer.auth.encode()])


def _check_answer(seed, what, forge, cell):
    with Stage(seed) as stage, Stage(seed + 1) as elsewhere:
        prologue(stage)
        prologue(elsewhere)
        desk = Desk(stage, elsewhere, what)
        before = tables(desk.client.store)
        try:
            reply = desk.accept(forge(desk, desk.answer))
        except Unproven:
            reply = None
        _expect(reply is None, f"{cell}: it was believed")
        _expect(before == tables(desk.client.store), f"{cell}: it has left a trace")
        _expect(desk.accept(desk.answer).refusal is None, f"{cell}: the genuine one is refused after it")


def _expect(holds, detail):
    if not holds:
        raise Broken("let-in", detail)
