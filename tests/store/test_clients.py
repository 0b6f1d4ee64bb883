"""A hub's registry: one client a peer, one peer a client, and memory that never says something else than the disk."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from qfagent.dske import ids
from qfagent.dske.pad import Direction
from qfagent.errors import NotFound, NothingChanged
from qfagent.store.clients import Clients, Stock
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import NOW, Home, block_of, home

__all__ = ["home"]


class Registry:
    def __init__(self, home):
        self.home, self.random = home, random.Random(7).randbytes
        self.open()

    def open(self):
        self.clients = Clients(self.home.database, self.random)
        self.home.store.add(self.clients)

    def restart(self):
        self.home.crash("none")
        self.open()

    def run(self, call, *args, **how):
        return self.home.run(lambda: getattr(self.clients, call)(*args, **how))

    def block(self, client, seed=1):
        return self.home.ingest(block_of(seed, client=client.id), own=Direction.SERVER, owner=client.id)

    def ready(self, client):
        return self.run("ready_blocks", self.run("get", client.id))


@pytest.fixture
def registry(home):
    return Registry(home)


def test_a_named_client_is_bound_from_the_start(registry):
    client = registry.run("add", "alice", now=NOW)

    assert ("alice", "alice", "bound", "none") == (client.name, client.peer, client.state, client.handout)
    assert ids.matches(ids.UUID, client.id)
    assert client == registry.run("of_peer", "alice") == registry.run("get", client.id)


def test_a_name_is_given_once(registry):
    first = registry.run("add", "alice", now=NOW)

    with pytest.raises(NothingChanged, match=first.id):
        registry.run("add", "alice", now=NOW)


def test_a_pool_client_is_nobodys_and_has_a_pools_name(registry):
    client = registry.run("add_for_pool", now=NOW)

    assert (None, "pool", "writing") == (client.peer, client.state, client.handout)
    assert ids.matches(ids.POOL_NAME, client.name)


def test_who_is_unknown_is_not_found(registry):
    with pytest.raises(NotFound):
        registry.run("get", "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b")
    assert registry.run("of_peer", "nobody") is None
    assert registry.run("state_of", "f" * 32) is None


@pytest.mark.parametrize(
    "handout, state",
    [("writing", "pool"), ("ready", "pool"), ("out", "handed-out"), ("used", "leaving"), ("none", "leaving")],
)
def test_the_state_follows_the_file(registry, handout, state):
    client = registry.run("add_for_pool", now=NOW)
    registry.run("hand_out", client.id, handout, was="writing", now=NOW)

    assert state == registry.run("get", client.id).state


def test_a_file_comes_on_only_from_where_it_was(registry):
    client = registry.run("add_for_pool", now=NOW)
    registry.run("hand_out", client.id, "ready", was="writing", now=NOW)
    registry.run("hand_out", client.id, "out", was="writing", now=NOW)
    assert "ready" == registry.run("get", client.id).handout
    registry.run("bind", registry.run("get", client.id), "alice")
    registry.run("hand_out", client.id, "out", was="ready", now=NOW)

    assert "used" == registry.run("get", client.id).handout


def test_a_bound_pool_client_is_its_peer_and_its_file_is_to_go(registry):
    client = registry.run("add_for_pool", now=NOW)
    registry.run("want", client, "alice")
    assert ["alice"] == [waiting.wanted for waiting in registry.run("waiting")]
    registry.run("bind", client, "alice")

    bound = registry.run("of_peer", "alice")
    assert (client.id, "bound", "used", None) == (bound.id, bound.state, bound.handout, bound.wanted)
    assert [] == registry.run("waiting")
    assert [bound] == registry.run("with_handout", "used")


def test_binding_a_named_client_hands_nothing_out(registry):
    client = registry.run("add", "alice", now=NOW)
    registry.run("bind", client, "alice")

    assert "none" == registry.run("get", client.id).handout


def test_a_block_that_joins_belongs_to_the_other_client_and_the_row_it_came_with_waits_for_its_file(registry):
    alice, pool = registry.run("add", "alice", now=NOW), registry.run("add_for_pool", now=NOW)
    block = registry.block(pool)
    registry.run("join", block, from_client=pool, to=alice)

    assert alice.id == registry.run("owner", block).id
    assert ([block], []) == (registry.run("blocks", alice.id), registry.run("blocks", pool.id))
    assert ("used", None) == (registry.run("get", pool.id).handout, registry.run("get", pool.id).peer)


def test_clients_stand_in_the_order_of_their_arrival_even_within_one_second(registry):
    made = [registry.run("add", name, now=NOW).id for name in ("c", "a", "b", "e", "d")]

    assert made == [client.id for client in registry.run("all")]


def test_the_count_is_of_bound_and_unbound(registry):
    assert {"bound": 0, "unbound": 0} == registry.run("count")
    registry.run("add", "alice", now=NOW)
    for _ in range(3):
        registry.run("add_for_pool", now=NOW)

    assert {"bound": 1, "unbound": 3} == registry.run("count")


def test_an_unbound_client_frees_its_name(registry):
    client = registry.run("add", "alice", now=NOW)
    registry.run("unbind", client.id)

    assert registry.run("of_peer", "alice") is None
    assert client.id != registry.run("add", "alice", now=NOW).id


def test_a_removed_client_is_not_found_any_more(registry):
    client = registry.run("add", "alice", now=NOW)
    registry.run("of_peer", "alice")
    registry.run("remove", client.id)

    assert registry.run("of_peer", "alice") is None
    with pytest.raises(NotFound):
        registry.run("get", client.id)


def test_blocks_are_usable_when_they_are_registered_the_latest_first_then_the_newest(registry):
    client = registry.run("add", "alice", now=NOW)
    one, two, three = (registry.block(client, seed) for seed in (1, 2, 3))
    assert () == registry.ready(client)
    for block in (one, two, three):
        registry.run("make_ready", block)

    assert (three, two, one) == registry.ready(client)
    registry.run("heard", registry.run("get", client.id), two, now=NOW)
    assert (two, three, one) == registry.ready(client)
    registry.home.run(lambda: registry.home.ledger.retire(two, state="retired", reason="test"))
    registry.clients.forget()
    assert (three, one) == registry.ready(client)


def test_a_retired_block_is_no_live_one_and_counts_as_psrd_that_was_had(registry):
    client = registry.run("add", "alice", now=NOW)
    assert not registry.run("ever_had_block", client.id)
    block = registry.block(client)
    registry.home.run(lambda: registry.home.ledger.retire(block, state="retired", reason="test"))
    registry.clients.forget()

    assert registry.run("ever_had_block", client.id)
    assert ([], {}, "retired") == (
        registry.run("blocks", client.id),
        registry.run("levels"),
        registry.run("state_of", block),
    )


def test_levels_are_what_is_left_of_both_pads(registry):
    client = registry.run("add", "alice", now=NOW)
    block = registry.block(client)
    registry.home.take(block, 100)

    assert {client.id: Stock(1, 2048 - 64 - 32, 2048 - 116, 2048, 2048)} == registry.run("levels")


def test_levels_of_a_client_add_up_over_its_blocks(registry):
    client, other = (registry.run("add", name, now=NOW) for name in ("alice", "bob"))
    registry.block(client)
    registry.block(client, seed=2)
    registry.block(other, seed=3)
    levels = registry.run("levels")

    assert [2, 1] == [levels[which.id].blocks for which in (client, other)]
    assert 2 * levels[other.id].user_left == levels[client.id].user_left


def test_when_a_client_was_heard_is_written_once_a_minute_unless_the_block_changes(registry):
    client = registry.run("add", "alice", now=NOW)
    written = []
    for block, now in (("a", 0), ("a", 59), ("a", 60), ("b", 61), ("b", 62)):
        registry.run("heard", registry.run("get", client.id), block * 32, now=NOW + now)
        written.append(registry.home.store.is_changed)
    registry.restart()

    assert [True, False, True, True, False] == written
    assert (NOW + 61, "b" * 32) == (
        registry.run("get", client.id).last_seen,
        registry.run("get", client.id).latest,
    )


def test_what_a_failed_transaction_changed_is_forgotten(registry):
    client = registry.run("add_for_pool", now=NOW)

    def fail():
        registry.clients.bind(client, "alice")
        assert registry.clients.of_peer("alice") is not None
        raise RuntimeError

    with pytest.raises(RuntimeError):
        registry.home.run(fail)
    assert registry.run("of_peer", "alice") is None
    assert registry.run("get", client.id).peer is None


NAMES = st.sampled_from(["alice", "bob"])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "pool", "bind", "want", "hand_out", "unbind", "remove", "restart", "fail"]),
        NAMES,
        st.integers(0, 5),
    ),
    max_size=20,
)


@given(CHANGES)
@settings(max_examples=40, deadline=None)
def test_memory_never_says_something_else_than_the_disk(changes):
    with MemoryDisk() as disk:
        registry = Registry(Home(disk))
        for what, name, number in changes:
            every = registry.run("all")
            chosen = every[number % len(every)] if every else None
            if what == "add" and registry.run("of_peer", name) is None:
                registry.run("add", name, now=NOW)
            elif what == "pool":
                registry.run("add_for_pool", now=NOW)
            elif what == "bind" and chosen and registry.run("of_peer", name) is None:
                registry.run("bind", chosen, name)
            elif what == "want" and chosen:
                registry.run("want", chosen, name)
            elif what == "hand_out" and chosen:
                registry.run("hand_out", chosen.id, "out", was=chosen.handout, now=NOW)
            elif what == "unbind" and chosen:
                registry.run("unbind", chosen.id)
            elif what == "remove" and chosen:
                registry.run("remove", chosen.id)
            elif what == "restart":
                registry.restart()
            for client in registry.run("all"):
                assert client == registry.run("get", client.id)
                assert client.peer is None or client == registry.run("of_peer", client.peer)
            peers = [client.peer for client in registry.run("all") if client.peer]
            assert len(peers) == len(set(peers))
            assert all((registry.run("of_peer", peer) is not None) == (peer in peers) for peer in ("alice", "bob"))
