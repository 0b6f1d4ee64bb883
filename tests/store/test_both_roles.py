"""One state folder in both roles, by turns: whose pad a block is never changes, and no byte is spent in both."""

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.dske.pad import Direction
from qfagent.errors import PsrdPreviouslyInserted
from qfagent.store.ledger import CLIENT_STEP
from qfagent.testing.disk import MemoryDisk
from tests.hub.parties import House, Voice
from tests.store.stores import Home, block_of

TURNS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["as client", "as hub"]), st.integers(1, 200)),
        st.tuples(st.just("crash"), st.sampled_from(["all", "some", "none"])),
        st.tuples(st.just("stop"), st.none()),
    ),
    max_size=20,
)


@given(TURNS, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_whatever_the_turns_no_byte_of_either_pad_is_given_out_twice(turns, seed):
    spent = set()
    with MemoryDisk(seed) as disk:
        home = Home(disk, step=CLIENT_STEP)
        blocks = {
            "as client": home.ingest(block_of(1, user=16_384), own=Direction.USER),
            "as hub": home.ingest(block_of(2, server=16_384), own=Direction.SERVER, owner="c"),
        }
        for turn, value in turns:
            if turn in blocks:
                pad = home.take(blocks[turn], value)
                bytes_of = {(pad.block, at) for at in range(pad.span.offset, pad.span.end)}
                assert spent.isdisjoint(bytes_of)
                spent |= bytes_of
            elif turn == "crash":
                home.crash(value)
            else:
                home.store.close()
                home.boot()


def test_a_client_reserves_ahead_and_a_hub_does_not_whichever_role_is_played_now():
    with MemoryDisk() as disk:
        home = Home(disk, step=CLIENT_STEP)
        client = home.ingest(block_of(1, user=8192), own=Direction.USER)
        hub = home.ingest(block_of(2, server=8192), own=Direction.SERVER, owner="c")
        home.take(client, 32)
        home.take(hub, 32)

        assert (32 + CLIENT_STEP, 16 + 32) == (home.ledger.spent(client), home.ledger.spent(hub))


@pytest.mark.parametrize("first", Direction)
def test_a_block_that_is_here_in_one_role_never_comes_in_for_the_other(first):
    with MemoryDisk() as disk:
        home = Home(disk)
        home.ingest(block_of(), own=first, owner="c")

        with pytest.raises(PsrdPreviouslyInserted):
            home.run(lambda: home.ledger.ingest(block_of(), own=Direction(1 - first)))


@pytest.mark.parametrize("say", ["register", "fetch"])
def test_a_hub_does_not_know_the_blocks_that_its_machine_holds_as_a_client(say):
    with House() as house:
        mine = block_of(3, user=8192, server=8192)
        house.store.pads.write(mine)
        house.run(lambda: house.store.ledger.ingest(mine, own=Direction.USER))
        voice = Voice(house, mine)
        heard = voice.register("alice") if say == "register" else voice.fetch()

        assert (404, "unknown-block", False) == (heard.status, heard.slug, heard.authenticated)
        assert house.store.ledger.seen(mine.id) == 16


def test_a_block_held_as_a_client_vouches_for_nothing_at_the_hub():
    with House() as house:
        mine = block_of(3, user=8192, server=8192)
        house.store.pads.write(mine)
        house.run(lambda: house.store.ledger.ingest(mine, own=Direction.USER))
        house.voice("alice")
        second = Voice(house, house.block())
        heard = second.register("alice", proof=Voice(house, mine))

        assert "proof-required" == heard.slug


def test_parts_of_a_role_leave_with_it():
    class Part:
        flushed = 0

        def flush(self):
            self.flushed += 1

        def forget(self):
            pass

    with MemoryDisk() as disk:
        home, part = Home(disk), Part()
        with home.store.parts():
            home.store.add(part)
            home.run(lambda: None)
        home.run(lambda: None)

        assert 1 == part.flushed
