"""The ledger: a block comes in once, a byte is given out once, whatever is lost or repeated."""

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.dske.pad import Direction
from qfagent.dske.psrd import Block
from qfagent.dske.secret import Secret
from qfagent.dske.spans import MAX_INTERVALS, Span
from qfagent.errors import (
    PsrdContradiction,
    PsrdExhausted,
    PsrdPreviouslyInserted,
    Refusal,
    StoreError,
    StoreFenced,
)
from qfagent.store.fence import Reason
from qfagent.store.ledger import MAX_SPAN
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import CLIENT, HUB, Home, block_of, home

__all__ = ["home"]


def slug(call):
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.slug


# --- blocks ---------------------------------------------------------------------------------------


def test_a_block_comes_in_once(home):
    block = home.ingest(block_of())

    with pytest.raises(PsrdPreviouslyInserted, match=block):
        home.run(lambda: home.ledger.ingest(block_of(), own=Direction.USER))


def test_a_block_comes_in_once_even_after_power_loss_and_after_its_end(home):
    block = home.ingest(block_of())
    home.crash()
    with pytest.raises(PsrdPreviouslyInserted):
        home.run(lambda: home.ledger.check_new(block_of()))
    home.run(lambda: home.ledger.retire(block, state="gone", reason="spent"))
    home.crash("none")

    with pytest.raises(PsrdPreviouslyInserted):
        home.run(lambda: home.ledger.check_new(block_of()))


@pytest.mark.parametrize("at", [16, 31, 32, 1000, 1983])
def test_a_known_id_with_other_bytes_is_a_contradiction(home, at):
    home.ingest(block_of())
    user = bytearray(block_of().user.reveal())
    user[at] ^= 0x80
    other = Block(HUB, CLIENT, "pool-0a1b2c3d", Secret(user), block_of().server)

    with pytest.raises(PsrdContradiction):
        home.run(lambda: home.ledger.check_new(other))


def test_what_was_spent_can_not_be_compared_any_more_and_is_no_contradiction(home):
    block = home.ingest(block_of())
    home.take(block, 100)
    home.store.erase()
    user = bytearray(block_of().user.reveal())
    user[40] ^= 1
    other = Block(HUB, CLIENT, "pool-0a1b2c3d", Secret(user), block_of().server)

    with pytest.raises(PsrdPreviouslyInserted):
        home.run(lambda: home.ledger.check_new(other))


@pytest.mark.parametrize("sizes", [{"user": 2049}, {"server": 2049}])
def test_a_known_id_with_pads_of_other_sizes_is_a_contradiction(home, sizes):
    home.ingest(block_of())
    longer = block_of(**sizes)
    same = block_of()
    other = Block(
        HUB,
        CLIENT,
        "pool-0a1b2c3d",
        Secret(same.user.reveal() + longer.user.reveal()[2048:]),
        Secret(same.server.reveal() + longer.server.reveal()[2048:]),
    )

    with pytest.raises(PsrdContradiction):
        home.run(lambda: home.ledger.check_new(other))


def test_blocks_are_born_in_the_order_of_their_arrival(home):
    blocks = [home.ingest(block_of(seed)) for seed in (3, 1, 2)]

    assert blocks == [block for (block,) in home.database.rows("SELECT id FROM blocks ORDER BY born")]


def test_an_unknown_block_is_refused(home):
    assert "unknown-block" == slug(lambda: home.run(lambda: home.ledger.facts("f" * 32)))
    assert "unknown-block" == slug(lambda: home.run(lambda: home.ledger.look("f" * 32, Span(32, 32))))


# --- the own pad ----------------------------------------------------------------------------------


@pytest.mark.parametrize("own, first, end", [(Direction.USER, 32, 2048 - 64), (Direction.SERVER, 16, 2048)])
def test_bytes_are_given_out_in_order_from_the_first_to_the_last_that_may_be_spent(home, own, first, end):
    block = home.ingest(block_of(), own=own)
    came = (block_of().user if own is Direction.USER else block_of().server).reveal()
    given_out, at = b"", first
    while at + 96 <= end:
        pad = home.take(block, 96)
        assert pad.span == Span(at, 96)
        given_out += pad.draw(96)
        at = pad.span.end

    assert came[first:at] == given_out
    with pytest.raises(PsrdExhausted):
        home.take(block, 96)
    assert end - at == home.ledger.room(block)


def test_the_last_byte_can_be_spent_and_not_one_more(home):
    block = home.ingest(block_of())
    home.take(block, 2048 - 64 - 32)

    assert 0 == home.ledger.room(block)
    with pytest.raises(PsrdExhausted):
        home.take(block, 1)


@pytest.mark.parametrize("step", [1, 100, 1024, 5000])
@pytest.mark.parametrize("lose", ["all", "some", "none"])
def test_after_a_crash_spending_goes_on_behind_all_that_was_given_out(step, lose):
    with MemoryDisk() as disk:
        home = Home(disk, step=step)
        block = home.ingest(block_of(user=8192))
        ends = [home.take(block, 50).span.end for _ in range(7)]
        home.crash(lose)

        assert 0 <= home.ledger.next(block) - ends[-1] <= step
        assert home.take(block, 50).span.offset >= ends[-1]


def test_what_a_failed_transaction_gave_out_is_lost_or_given_out_again_but_never_left_the_store(home):
    block = home.ingest(block_of())

    def fail():
        home.ledger.take(block, 100)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        home.run(fail)
    assert Span(32, 100) == home.take(block, 100).span


def test_a_transaction_commits_all_or_nothing_of_its_spans(home):
    block = home.ingest(block_of())
    home.disk.fail("write_at", 28, times=10**9)
    with pytest.raises(Exception, match="no room left"):
        home.take(block, 100)
    home.disk.heal()

    assert Span(32, 100) == home.take(block, 100).span
    home.crash()
    assert home.ledger.spent(block) == 132


def test_marks_are_reserved_in_steps_so_that_not_every_take_commits():
    with MemoryDisk() as disk:
        home = Home(disk, step=1024)
        block = home.ingest(block_of(user=8192))
        changed = []
        for _ in range(20):
            home.take(block, 96)
            changed.append(home.store.is_changed)

    assert [True, *[False] * 9] * 2 == changed


def test_what_lies_ahead_is_known_and_lost_when_the_agent_stops():
    with MemoryDisk() as disk:
        home = Home(disk, step=1024)
        block = home.ingest(block_of(user=8192))
        home.take(block, 96)

        assert 1024 - 96 == home.ledger.ahead(block)
        home.crash("none")
        assert (0, 32 + 1024) == (home.ledger.ahead(block), home.ledger.next(block))


def test_skip_spends_unused_and_never_moves_back(home):
    block = home.ingest(block_of())
    home.run(lambda: home.ledger.skip(block, 500))
    assert 500 == home.ledger.next(block)
    home.run(lambda: home.ledger.skip(block, 100))
    assert 500 == home.ledger.next(block)
    home.run(lambda: home.ledger.skip(block, 10**9))

    assert 2048 - 64 == home.ledger.next(block)
    assert 0 == home.ledger.room(block)


def test_there_are_two_proofs_in_a_block_and_they_are_its_last_64_bytes(home):
    block = home.ingest(block_of())
    home.take(block, 2048 - 64 - 32)
    proofs = [home.run(lambda: home.ledger.take_proof(block)) for _ in range(2)]

    assert [Span(1984, 32), Span(2016, 32)] == [pad.span for pad in proofs]
    assert block_of().user.reveal()[1984:] == b"".join(pad.draw(32) for pad in proofs)
    with pytest.raises(PsrdExhausted):
        home.run(lambda: home.ledger.take_proof(block))
    home.crash()
    assert not home.ledger.can_prove(block)


def test_while_a_fence_stands_nothing_is_given_out_and_nothing_comes_in(home):
    block = home.ingest(block_of())
    home.store.fence.put_up(Reason("test", 0, "", ""))

    for operation in (
        lambda: home.ledger.take(block, 32),
        lambda: home.ledger.take_proof(block),
        lambda: home.ledger.ingest(block_of(2), own=Direction.USER),
    ):
        with pytest.raises(StoreFenced):
            home.run(operation)
    assert Span(64, 32) == home.run(lambda: home.ledger.look(block, Span(64, 32))).span


def test_consumed_counts_what_was_given_out(home):
    block = home.ingest(block_of())
    for length in (32, 100, 1):
        home.take(block, length)

    assert 133 == home.ledger.consumed


# --- the other side's pad -------------------------------------------------------------------------


def claim(home, block, offset, length, **how):
    def look_and_claim():
        pad = home.ledger.look(block, Span(offset, length))
        home.ledger.claim(pad, **how)
        return pad

    return home.run(look_and_claim)


@pytest.mark.parametrize("own, first, size", [(Direction.SERVER, 32, 2048), (Direction.USER, 16, 2048)])
def test_spans_lie_inside_the_pad_behind_its_reserved_bytes(home, own, first, size):
    block = home.ingest(block_of(), own=own)

    assert {"bad-span"} == {
        slug(lambda span=span: home.run(lambda: home.ledger.look(block, span)))
        for span in (
            Span(first - 1, 32),
            Span(0, 32),
            Span(size - 31, 32),
            Span(size, 32),
            Span(first, 31),
            Span(first, 0),
        )
    }
    for span in (Span(first, 32), Span(size - 32, 32), Span(first, size - first)):
        assert span == home.run(lambda span=span: home.ledger.look(block, span)).span


@pytest.mark.parametrize("span", [Span(100, 32), Span(69, 32), Span(131, 32), Span(80, 200), Span(110, 33)])
def test_a_byte_is_accepted_once(home, span):
    block = home.ingest(block_of(), own=Direction.SERVER)
    claim(home, block, 100, 32)

    assert "pad-spent" == slug(lambda: home.run(lambda: home.ledger.look(block, span)))


@pytest.mark.parametrize("span", [Span(68, 32), Span(132, 32), Span(500, 1000)])
def test_spans_beside_it_and_in_any_order_are_accepted(home, span):
    block = home.ingest(block_of(), own=Direction.SERVER)
    claim(home, block, 100, 32)

    assert span == claim(home, block, *span).span


def test_looking_accepts_nothing(home):
    block = home.ingest(block_of(), own=Direction.SERVER)
    for _ in range(3):
        home.run(lambda: home.ledger.look(block, Span(32, 100)))

    assert 32 == home.ledger.seen(block)


def test_a_span_that_was_accepted_between_look_and_claim_stops_the_store(home):
    block = home.ingest(block_of(), own=Direction.SERVER)
    pad = home.run(lambda: home.ledger.look(block, Span(32, 64)))
    claim(home, block, 80, 32)

    with pytest.raises(StoreError, match="claimed twice"):
        home.run(lambda: home.ledger.claim(pad))
    assert home.store.failed
    assert "reused-span" == home.store.fence.reason.code


def test_what_was_accepted_is_known_after_a_crash(home):
    block = home.ingest(block_of(), own=Direction.SERVER)
    for offset in (32, 500, 100, 300):
        claim(home, block, offset, 40)
    home.crash()

    for offset in (32, 500, 100, 300):
        assert "pad-spent" == slug(lambda offset=offset: home.run(lambda: home.ledger.look(block, Span(offset, 40))))
    assert 540 == home.ledger.seen(block)


def test_seen_is_the_highest_byte_below_those_of_proofs(home):
    block = home.ingest(block_of(), own=Direction.SERVER)
    claim(home, block, 200, 32)
    claim(home, block, 2048 - 64, 32)
    assert 232 == home.ledger.seen(block)
    claim(home, block, 2048 - 64 - 40, 32)

    assert 2048 - 64 - 8 == home.ledger.seen(block)


def test_beyond_so_many_intervals_everything_below_the_highest_counts_as_accepted():
    with MemoryDisk() as disk:
        home = Home(disk)
        block = home.ingest(block_of(user=8 * MAX_INTERVALS * 10), own=Direction.SERVER)

        def many():
            for number in range(MAX_INTERVALS):
                home.ledger.claim(home.ledger.look(block, Span(32 + 40 * number, 32)))

        home.run(many)
        last = 32 + 40 * MAX_INTERVALS
        claim(home, block, last, 32)

        assert "pad-spent" == slug(lambda: home.run(lambda: home.ledger.look(block, Span(64, 32), least=1)))
        claim(home, block, last + 100, 32)
        home.crash("none")
        assert "pad-spent" == slug(lambda: home.run(lambda: home.ledger.look(block, Span(64, 32), least=1)))


def test_of_a_span_longer_than_any_message_only_a_part_is_read():
    with MemoryDisk() as disk:
        home = Home(disk)
        block = home.ingest(block_of(user=MAX_SPAN + 10_000), own=Direction.SERVER)
        pad = home.run(lambda: home.ledger.look(block, Span(32, MAX_SPAN + 5_000)))

        assert (MAX_SPAN + 5_000, MAX_SPAN) == (pad.span.length, len(pad._material))


def test_a_retired_block_is_refused_and_its_bytes_are_gone(home):
    block = home.ingest(block_of(), own=Direction.SERVER)
    home.run(lambda: home.ledger.retire(block, state="retired", reason="test"))
    home.store.erase()

    assert "retired" == slug(lambda: home.run(lambda: home.ledger.look(block, Span(32, 32))))
    assert 0 == home.ledger.room(block)
    assert f"/state/pads/{block}" not in home.disk.files()
    with pytest.raises(PsrdExhausted):
        home.take(block, 32)
    assert HUB.id == home.ledger.facts(block).hub


# --- erasure --------------------------------------------------------------------------------------


def test_what_was_given_out_is_erased_once_it_is_durable_and_not_before(home):
    block = home.ingest(block_of())
    home.take(block, 100)
    before = home.pad_file(block)
    home.store.erase()
    after = home.pad_file(block)

    assert block_of().user.reveal() == before[:2048]
    assert bytes(100) == after[32:132]
    assert block_of().user.reveal()[132:] == after[132:2048]
    assert block_of().server.reveal() == after[2048:]
    assert block_of().user.reveal()[:32] == after[:32]


def test_what_was_accepted_is_erased_unless_it_is_kept(home):
    block = home.ingest(block_of())
    claim(home, block, 16, 32)
    claim(home, block, 100, 64, keep=True)
    home.store.erase()

    data = home.pad_file(block)[2048:]
    assert bytes(32) == data[16:48]
    assert block_of().server.reveal()[48:] == data[48:]
    assert block_of().server.reveal()[100:164] == home.run(lambda: home.ledger.look_again(block, Span(100, 64))).draw(
        64
    )
    home.run(lambda: home.ledger.erase(block, Span(100, 64)))
    home.store.erase()
    assert bytes(64) == home.pad_file(block)[2148:2212]


def test_what_a_failed_transaction_doomed_is_not_erased(home):
    block = home.ingest(block_of())

    def fail():
        home.ledger.take(block, 100)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        home.run(fail)
    home.store.erase()

    assert block_of().user.reveal() == home.pad_file(block)[:2048]


def test_erased_bytes_are_never_read_again(home):
    block = home.ingest(block_of())
    claim(home, block, 100, 64)
    home.store.erase()

    with pytest.raises(StoreError, match="erased or missing"):
        home.run(lambda: home.ledger.look_again(block, Span(100, 64)))


# --- any sequence ---------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 200)),
    st.tuples(st.just("claim"), st.integers(16, 2000), st.integers(32, 100)),
    st.tuples(st.just("skip"), st.integers(0, 2100)),
    st.tuples(st.just("crash"), st.sampled_from(["all", "some", "none"])),
    st.tuples(st.just("erase")),
)


@given(st.lists(STEPS, max_size=20), st.sampled_from([1, 64, 1024]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_no_byte_is_given_out_or_accepted_twice(steps, step, seed):
    given_out, accepted = set(), set()
    with MemoryDisk(seed) as disk:
        home = Home(disk, step=step)
        block = home.ingest(block_of())
        for name, *values in steps:
            if name == "take":
                try:
                    pad = home.take(block, values[0])
                except PsrdExhausted:
                    continue
                span = set(range(pad.span.offset, pad.span.end))
                assert span.isdisjoint(given_out)
                assert block_of().user.reveal()[pad.span.offset : pad.span.end] == pad.draw(values[0])
                given_out |= span
            elif name == "claim":
                span = set(range(values[0], values[0] + values[1]))
                try:
                    claim(home, block, *values)
                except Refusal as refusal:
                    assert (refusal.slug == "pad-spent") == (
                        not span.isdisjoint(accepted)
                    ) or refusal.slug == "bad-span"
                    continue
                assert span.isdisjoint(accepted)
                accepted |= span
            elif name == "skip":
                home.run(lambda values=values: home.ledger.skip(block, values[0]))
            elif name == "crash":
                home.crash(values[0])
            else:
                home.store.erase()
