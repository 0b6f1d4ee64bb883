"""A client's blocks: from new to ready to tombstone, stopped only by an alarm and resumed only behind its evidence."""

import pytest

from qfagent.dske.psrd import HubAddress
from qfagent.dske.spans import Span
from qfagent.errors import NotFound, NothingChanged, PsrdRejected, WrongState
from qfagent.store.holdings import IN_USE, WRAPS_LIVE, Holdings, check_name
from qfagent.store.hubs import Pins
from qfagent.store.keys import KeyLog, Wrap
from tests.store.stores import HUB, NOW, block_of, home

__all__ = ["home"]

OTHER = HubAddress("b" * 32, "hub2.mesh", 27277)


class Shelf:
    def __init__(self, home):
        self.home = home
        self.open()

    def open(self):
        self.holdings = Holdings(self.home.database, self.home.ledger)
        self.home.store.add(self.holdings)

    def restart(self):
        self.home.crash()
        self.open()

    def run(self, call, *args, **how):
        return self.home.run(lambda: getattr(self.holdings, call)(*args, **how))

    def add(self, seed=1, *, ready=True, **how):
        block = self.home.ingest(block_of(seed, **how))
        if ready:
            self.run("make_ready", block)
        return block

    def state(self, block):
        holding = self.run("get", block)
        return holding.state, holding.reason


@pytest.fixture
def shelf(home):
    return Shelf(home)


def test_a_block_is_new_until_its_hub_has_registered_it(shelf):
    block = shelf.add(ready=False)
    assert ("new", "") == shelf.state(block)
    assert frozenset() == shelf.run("ready_hubs")
    shelf.run("make_ready", block)

    assert ("ready", "") == shelf.state(block)
    assert {HUB.id} == shelf.run("ready_hubs")
    assert [block] == [holding.id for holding in shelf.run("ready", HUB.id)]


def test_blocks_of_a_hub_come_oldest_first(shelf):
    blocks = [shelf.add(seed) for seed in (3, 1, 2)]
    shelf.add(4, hub=OTHER)

    assert blocks == [holding.id for holding in shelf.run("at", HUB.id, "ready")]
    assert blocks == [holding.id for holding in shelf.run("ready", HUB.id)]


def test_an_unknown_block_is_not_found(shelf):
    for call in ("get", "resume"):
        with pytest.raises(NotFound):
            shelf.run(call, "f" * 32)
    with pytest.raises(NotFound):
        shelf.run("retire", "f" * 32, reason="x")


def test_what_memory_has_of_the_ready_blocks_follows_every_change(shelf):
    one, two = shelf.add(1), shelf.add(2)
    seen = [[holding.id for holding in shelf.run("ready", HUB.id)]]
    shelf.run("stop", one, reason="rolled-back", evidence=500)
    seen.append([holding.id for holding in shelf.run("ready", HUB.id)])
    shelf.run("resume", one)
    seen.append([holding.id for holding in shelf.run("ready", HUB.id)])
    shelf.run("retire", two, reason="test")
    seen.append([holding.id for holding in shelf.run("ready", HUB.id)])
    three = shelf.add(3)
    seen.append([holding.id for holding in shelf.run("ready", HUB.id)])

    assert [[one, two], [two], [one, two], [one], [one, three]] == seen


def test_what_a_failed_transaction_changed_is_forgotten(shelf):
    one = shelf.add(1)

    def fail():
        shelf.holdings.retire(one, reason="test")
        assert shelf.holdings.ready(HUB.id) == ()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shelf.home.run(fail)
    assert [one] == [holding.id for holding in shelf.run("ready", HUB.id)]


def test_a_stop_keeps_its_evidence_and_survives_power_loss(shelf):
    block = shelf.add()
    shelf.run("stop", block, reason="rolled-back", evidence=777)
    shelf.restart()

    assert ("stopped", "rolled-back") == shelf.state(block)
    assert 777 == shelf.run("get", block).evidence


def test_a_resumed_block_goes_on_behind_what_its_hub_has_seen(shelf):
    block = shelf.add()
    shelf.run("stop", block, reason="rolled-back", evidence=777)
    shelf.run("resume", block)

    assert ("ready", "") == shelf.state(block)
    assert 777 == shelf.home.take(block, 32).span.offset


def test_a_resumed_block_has_no_proofs_left(shelf):
    block = shelf.add()
    shelf.run("stop", block, reason="rolled-back", evidence=777)
    shelf.run("resume", block)

    assert not shelf.run("get", block).can_prove


def test_a_block_that_was_stopped_before_it_registered_is_new_again_when_it_is_resumed(shelf):
    block = shelf.add(ready=False)
    shelf.run("stop", block, reason=IN_USE, evidence=777)
    shelf.run("resume", block)

    assert ("new", "") == shelf.state(block)


def test_what_is_not_stopped_is_not_resumed(shelf):
    block = shelf.add()

    with pytest.raises(NothingChanged):
        shelf.run("resume", block)
    assert "ready" == shelf.state(block)[0]


def test_a_tombstone_is_neither_stopped_nor_retired_again(shelf):
    block = shelf.add()
    shelf.run("retire", block, reason="file-in-use")
    shelf.run("stop", block, reason="rolled-back", evidence=777)

    assert ("retired", "file-in-use") == shelf.state(block)
    with pytest.raises(NothingChanged):
        shelf.run("retire", block, reason="again")
    shelf.run("make_ready", block)
    assert "retired" == shelf.state(block)[0]


def test_a_retired_block_is_erased_with_all_that_lay_under_it(shelf):
    block = shelf.add()
    keys = KeyLog(shelf.home.database, shelf.home.ledger)

    def keep():
        shelf.home.ledger.claim(shelf.home.ledger.look(block, Span(100, 64)), keep=True)
        keys.keep(Wrap(block, Span(100, 64), "alice", "one"), expires_at=NOW + 9, now=NOW)

    shelf.home.run(keep)
    shelf.run("retire", block, reason="test")
    shelf.home.store.erase()

    assert 0 == shelf.home.run(lambda: keys.wraps_under(block))
    assert f"/state/pads/{block}" not in shelf.home.disk.files()
    assert [] == shelf.run("live") == shelf.run("levels")
    assert [block] == [level.id for level in shelf.run("history")]


def test_levels_show_what_can_still_be_used(shelf):
    block = shelf.add()
    shelf.home.take(block, 100)
    [level] = shelf.run("levels")

    assert (2048 - 64 - 132, 2048 - 16) == (level.user_left, level.server_left)


def test_a_block_can_prove_twice(shelf):
    block = shelf.add()
    able = []
    for _ in range(3):
        able.append(shelf.run("get", block).can_prove)
        if able[-1]:
            shelf.home.run(lambda: shelf.home.ledger.take_proof(block))

    assert [True, True, False] == able


def exhaust(shelf, block):
    room = shelf.home.ledger.room(block)
    if room:
        shelf.home.take(block, room)


def answer(shelf, block, offset=100):
    """The hub has answered under the block."""
    shelf.home.run(lambda: shelf.home.ledger.claim(shelf.home.ledger.look(block, Span(offset, 32))))


def test_a_block_that_is_used_up_ends_when_no_wrap_under_it_can_live_any_more(shelf):
    one, two = shelf.add(1), shelf.add(2)
    exhaust(shelf, one)
    assert [] == shelf.run("end_exhausted", now=NOW)
    answer(shelf, two)
    ended = [shelf.run("end_exhausted", now=NOW + later) for later in (1, WRAPS_LIVE, WRAPS_LIVE + 1, WRAPS_LIVE + 2)]

    assert [[], [], [one], []] == ended
    assert ("gone", "spent") == shelf.state(one)
    assert "ready" == shelf.state(two)[0]


def test_while_the_hub_answers_under_no_other_block_it_may_wrap_under_this_one(shelf):
    one, _ = shelf.add(1), shelf.add(2)
    exhaust(shelf, one)
    ended = [shelf.run("end_exhausted", now=NOW + days * 86_400) for days in range(10)]

    assert [[]] * 10 == ended


def test_the_last_block_at_a_hub_stays_since_it_can_vouch_for_a_new_file(shelf):
    one = shelf.add(1)
    shelf.add(2, hub=OTHER)
    exhaust(shelf, one)
    for days in range(10):
        assert [] == shelf.run("end_exhausted", now=NOW + days * 86_400)

    assert "ready" == shelf.state(one)[0]


def test_a_block_with_room_does_not_end(shelf):
    one, two = shelf.add(1), shelf.add(2)
    shelf.home.take(one, 2048 - 64 - 32 - 32)
    answer(shelf, two)

    assert [[], []] == [shelf.run("end_exhausted", now=NOW + later) for later in (0, 10**6)]


# --- names and hubs -------------------------------------------------------------------------------


def test_the_name_can_not_change_while_blocks_are_registered_under_it(shelf):
    shelf.home.run(lambda: check_name(shelf.home.database, "alice"))
    block = shelf.add()
    shelf.home.run(lambda: check_name(shelf.home.database, "alice"))
    with pytest.raises(WrongState, match="registered under the name alice, and the configuration says bob"):
        shelf.home.run(lambda: check_name(shelf.home.database, "bob"))
    shelf.run("retire", block, reason="test")
    shelf.home.run(lambda: check_name(shelf.home.database, "bob"))

    assert "bob" == shelf.home.database.get("peer")


@pytest.fixture
def pins(home):
    made = Pins(home.database)
    home.run(lambda: made.check(HUB))
    home.run(lambda: made.pin(HUB))
    return made


def test_a_hub_is_pinned_by_its_first_file(pins, home):
    assert [HUB] == home.run(pins.all)
    home.run(lambda: pins.check(HUB))
    home.run(lambda: pins.pin(HUB))

    assert [HUB] == home.run(pins.all)


@pytest.mark.parametrize(
    "contrary",
    [
        HubAddress(HUB.id, "else.mesh", HUB.port),
        HubAddress(HUB.id, HUB.host, 1),
        HubAddress("b" * 32, HUB.host, HUB.port),
    ],
)
def test_what_contradicts_a_pin_is_refused(pins, home, contrary):
    with pytest.raises(PsrdRejected, match="hub-mismatch"):
        home.run(lambda: pins.check(contrary))


def test_another_hub_at_another_port_of_the_same_host_is_no_contradiction(pins, home):
    home.run(lambda: pins.check(HubAddress("b" * 32, HUB.host, HUB.port + 1)))


def test_an_operator_moves_a_hub(pins, home):
    moved = HubAddress(HUB.id, "else.mesh", 7)
    home.run(lambda: pins.move(moved))
    home.run(lambda: pins.check(moved))

    assert [moved] == home.run(pins.all)
    with pytest.raises(NotFound):
        home.run(lambda: pins.move(HubAddress("c" * 32, "x", 1)))
