"""A hub's shares: one row a secret of a generator for a recoverer, in the order of arrival, gone when it is time."""

import errno

import pytest

from qfagent.errors import DiskFull
from qfagent.store.shares import Share, Shares
from tests.store.stores import NOW, home

__all__ = ["home"]

HUBS = ("a" * 32, "b" * 32)
BLOCK, OTHER = "c" * 32, "d" * 32


class Shelf:
    def __init__(self, home):
        self.home = home
        self.open()

    def open(self):
        self.shares = Shares(self.home.database)
        self.home.store.add(self.shares)

    def put(self, secret_id, *, recoverer="bob", generator="alice", expires_at=NOW + 100, block=BLOCK, size=64):
        share = Share(
            recoverer,
            generator,
            secret_id,
            HUBS,
            2,
            1,
            b"o" * 16,
            expires_at,
            block,
            500,
            secret_id.encode().ljust(size),
        )
        self.home.run(lambda: self.shares.put(share, now=NOW))
        return share

    def run(self, call, *args, **how):
        return self.home.run(lambda: getattr(self.shares, call)(*args, **how))

    def waiting(self, *, now=NOW, blocks=(BLOCK,), limit=64):
        found = self.run("of_generator", "bob", "alice", blocks=blocks, now=now, limit=limit)
        return [share.secret_id for share in found]


@pytest.fixture
def shelf(home):
    return Shelf(home)


def test_a_share_comes_back_as_it_was_put(shelf):
    share = shelf.put("one")

    assert [share] == shelf.run("of_id", "bob", "one", now=NOW)
    shelf.home.crash()
    shelf.open()
    assert [share] == shelf.run("of_id", "bob", "one", now=NOW)


def test_what_waits_comes_in_the_order_of_arrival_and_so_many_at_most(shelf):
    for name in ("c", "a", "b"):
        shelf.put(name)

    assert ["c", "a", "b"] == shelf.waiting()
    assert ["c", "a"] == shelf.waiting(limit=2)


def test_shares_of_others_and_under_other_blocks_are_not_mixed_in(shelf):
    shelf.put("mine")
    shelf.put("mine", generator="carol")
    shelf.put("mine", recoverer="dave")
    shelf.put("elsewhere", block=OTHER)

    assert ["mine"] == shelf.waiting()
    assert ["mine", "elsewhere"] == shelf.waiting(blocks=(OTHER, BLOCK))
    assert [] == shelf.waiting(blocks=())
    assert ["alice", "carol"] == [share.generator for share in shelf.run("of_id", "bob", "mine", now=NOW)]


def test_the_limit_counts_only_what_can_be_opened(shelf):
    for number in range(5):
        shelf.put(f"hidden-{number}", block=OTHER)
    shelf.put("shown")

    assert ["shown"] == shelf.waiting(limit=1)


def test_a_share_is_there_until_the_second_in_which_it_expires(shelf):
    shelf.put("one", expires_at=NOW + 10)

    assert [["one"], []] == [shelf.waiting(now=NOW + 9), shelf.waiting(now=NOW + 10)]
    assert [1, 0] == [len(shelf.run("of_id", "bob", "one", now=now)) for now in (NOW + 9, NOW + 10)]
    assert [True, False] == [shelf.run("known", "bob", "alice", "one", now=now) for now in (NOW + 9, NOW + 10)]


def test_an_expired_share_gives_way_to_a_new_one_of_its_names(shelf):
    shelf.put("one", expires_at=NOW - 1)
    shelf.put("two")

    assert not shelf.run("known", "bob", "alice", "one", now=NOW)
    again = shelf.put("one", size=96)

    assert [again] == shelf.run("of_id", "bob", "one", now=NOW)
    assert ["two", "one"] == shelf.waiting()
    assert 2 == shelf.run("count")


def test_what_is_done_is_known_but_holds_nothing(shelf):
    shelf.put("one")
    shelf.run("finish", "bob", "alice", "one")

    assert [] == shelf.waiting() == shelf.run("of_id", "bob", "one", now=NOW)
    assert shelf.run("known", "bob", "alice", "one", now=NOW)
    assert 0 == shelf.run("count")


@pytest.mark.parametrize("names", [("bob", "alice", "two"), ("bob", "carol", "one"), ("dave", "alice", "one")])
def test_done_of_something_else_changes_nothing(shelf, names):
    shelf.put("one")
    shelf.run("finish", *names)

    assert ["one"] == shelf.waiting()


def test_shares_count_against_their_generators_quota_until_they_are_fetched(shelf):
    share = shelf.put("one")
    shelf.put("two", size=96)
    before = shelf.home.run(lambda: shelf.shares.quotas.owed("bob", "alice", now=NOW))
    shelf.run("mark_fetched", share, now=NOW)

    assert [(160, 160), (96, 96)] == [before, shelf.home.run(lambda: shelf.shares.quotas.owed("bob", "alice", now=NOW))]


def test_a_share_that_is_marked_as_fetched_says_so(shelf):
    shelf.run("mark_fetched", shelf.put("one"), now=NOW)
    [share] = shelf.run("of_id", "bob", "one", now=NOW)
    shelf.run("mark_fetched", share, now=NOW)

    assert share.fetched
    assert (0, 0) == shelf.home.run(lambda: shelf.shares.quotas.owed("bob", "alice", now=NOW))


def test_what_was_wrapped_under_a_block_goes_with_it(shelf):
    shelf.put("one")
    shelf.put("two", block=OTHER)
    shelf.run("delete_under", BLOCK)

    assert ["two"] == shelf.waiting(blocks=(BLOCK, OTHER))
    assert not shelf.run("known", "bob", "alice", "one", now=NOW)


def test_of_a_peer_both_what_it_made_and_what_waits_for_it_goes(shelf):
    shelf.put("one")
    shelf.put("two", generator="bob", recoverer="carol")
    shelf.put("three", generator="dave", recoverer="carol")
    shelf.run("delete_of", "bob")

    assert 1 == shelf.run("count")
    assert (0, 0) == shelf.home.run(lambda: shelf.shares.quotas.owed("bob", "alice", now=NOW))


def test_the_sweep_deletes_at_most_so_many_and_says_how_many(shelf):
    for number in range(5):
        shelf.put(f"{number}", expires_at=NOW + number)

    assert [2, 1, 0] == [shelf.run("sweep", now=NOW + 2, limit=2) for _ in range(3)]
    assert ["3", "4"] == shelf.waiting()


def test_the_count_keeps_up_with_whatever_happens(shelf):
    def recount():
        return shelf.home.run(Shares(shelf.home.database).count)

    shelf.run("count")
    for number in range(9):
        shelf.put(f"{number}", expires_at=NOW + number, block=OTHER if number == 8 else BLOCK)
    steps = [
        lambda: shelf.run("finish", "bob", "alice", "7"),
        lambda: shelf.run("finish", "bob", "alice", "7"),
        lambda: shelf.run("finish", "bob", "alice", "unheard"),
        lambda: shelf.run("known", "bob", "alice", "0", now=NOW),
        lambda: shelf.run("known", "bob", "alice", "1", now=NOW),
        lambda: shelf.run("sweep", now=NOW + 2, limit=10),
        lambda: shelf.run("delete_under", OTHER),
        lambda: shelf.run("delete_of", "alice"),
    ]
    counts = []
    for step in steps:
        step()
        counts.append((shelf.run("count"), recount()))

    assert [8, 8, 8, 7, 7, 5, 4, 0] == [count for count, _ in counts]
    assert [recounted for _, recounted in counts] == [count for count, _ in counts]


def test_the_count_forgets_what_a_transaction_that_failed_had_put(shelf):
    shelf.put("one")
    shelf.run("count")
    shelf.home.disk.fail("write_at", errno.ENOSPC)
    with pytest.raises(DiskFull):
        shelf.put("two")

    assert 1 == shelf.run("count")


def test_deleted_shares_leave_no_bytes_in_the_database(shelf):
    shelf.put("precious-secret", expires_at=NOW + 1)
    shelf.run("sweep", now=NOW + 1, limit=10)
    shelf.home.store.close()
    for data in shelf.home.disk.files().values():
        assert b"precious-secret" not in data
