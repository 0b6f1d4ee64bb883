"""What a client remembers of keys: each leaves once, and what could bring one back is erased in time."""

import pytest

from qfagent.dske.spans import Span
from qfagent.dske.wire import MAX_EXPIRES
from qfagent.store.keys import KeyLog, Wrap
from tests.store.stores import NOW, block_of, home

__all__ = ["home"]


class Log:
    def __init__(self, home):
        self.home, self.block = home, home.ingest(block_of())
        self.open()

    def open(self):
        self.keys = KeyLog(self.home.database, self.home.ledger)

    def run(self, call, *args, **how):
        return self.home.run(lambda: getattr(self.keys, call)(*args, **how))

    def wrap(self, offset, secret_id="one", *, generator="alice", length=64, expires_at=NOW + 100):
        wrap = Wrap(self.block, Span(offset, length), generator, secret_id)

        def keep():
            self.home.ledger.claim(self.home.ledger.look(self.block, wrap.span), keep=True)
            self.keys.keep(wrap, expires_at=expires_at, now=NOW)

        self.home.run(keep)
        return wrap

    def bytes_at(self, span):
        self.home.store.erase()
        return self.home.pad_file(self.block)[2048 + span.offset : 2048 + span.end]


@pytest.fixture
def log(home):
    return Log(home)


def test_nothing_is_released_at_first(log):
    assert frozenset() == log.run("released", "alice", "one") == log.run("released_of_any", "one")


def test_released_keys_add_up_and_survive_power_loss(log):
    log.run("release", "alice", "one", frozenset({3, 0}), now=NOW)
    log.run("release", "alice", "one", frozenset({63}), now=NOW)
    log.home.crash()
    log.open()

    assert {0, 3, 63} == log.run("released", "alice", "one")


def test_secrets_of_one_id_are_told_apart_by_their_generator(log):
    log.run("release", "alice", "one", frozenset({1}), now=NOW)
    log.run("release", "mallory", "one", frozenset({2}), now=NOW)

    assert ({1}, {2}, frozenset()) == tuple(log.run("released", who, "one") for who in ("alice", "mallory", "bob"))
    assert {1, 2} == log.run("released_of_any", "one")


def test_the_log_outlives_every_share_that_could_bring_a_key_back(log):
    log.run("release", "alice", "one", frozenset({1}), now=NOW)
    for lived in (MAX_EXPIRES, 82_800):
        log.run("sweep", now=NOW, lived=lived, limit=10)
        assert {1} == log.run("released", "alice", "one")
    log.run("sweep", now=NOW, lived=3600, limit=10)

    assert frozenset() == log.run("released", "alice", "one")


def test_releasing_again_puts_the_end_off(log):
    log.run("release", "alice", "one", frozenset({1}), now=NOW)
    log.run("sweep", now=NOW, lived=3600, limit=10)
    log.run("release", "alice", "one", frozenset({2}), now=NOW)
    log.run("sweep", now=NOW, lived=MAX_EXPIRES + 86_399, limit=10)

    assert {1, 2} == log.run("released", "alice", "one")


def test_no_clock_that_was_set_shortens_the_log(log):
    log.run("release", "alice", "one", frozenset({1}), now=NOW)
    log.run("sweep", now=NOW + 10**8, lived=30, limit=10)
    log.home.crash()
    log.open()
    log.run("sweep", now=NOW + 10**8, lived=30, limit=10)

    assert {1} == log.run("released", "alice", "one")


def test_the_logs_clock_goes_on_by_little_and_through_restarts(log):
    log.run("release", "alice", "one", frozenset({1}), now=NOW)
    for _ in range(2):
        for _ in range(24):
            log.run("sweep", now=NOW, lived=1800, limit=10)
            log.run("sweep", now=NOW, lived=1800, limit=10)
        log.home.crash()
        log.open()
    log.run("sweep", now=NOW, lived=0, limit=10)

    assert frozenset() == log.run("released", "alice", "one")


def test_the_sweep_takes_at_most_so_many(log):
    for number in range(5):
        log.run("release", "alice", f"{number}", frozenset({0}), now=NOW)
    log.run("sweep", now=NOW, lived=10**6, limit=2)

    assert 3 == log.home.database.value("SELECT COUNT(*) FROM released")


def test_a_wrap_is_known_by_where_it_starts(log):
    wrap = log.wrap(100)

    assert wrap == log.run("wrap_at", log.block, 100)
    assert [None, None] == [log.run("wrap_at", log.block, 101), log.run("wrap_at", "f" * 32, 100)]
    log.home.crash()
    log.open()
    assert wrap == log.run("wrap_at", log.block, 100)


def test_a_kept_wraps_bytes_stay_until_its_secret_is_finished(log):
    wrap, other = log.wrap(100), log.wrap(200, "two")
    assert block_of().server.reveal()[100:164] == log.bytes_at(wrap.span)
    log.run("finish", "alice", "one")

    assert bytes(64) == log.bytes_at(wrap.span)
    assert block_of().server.reveal()[200:264] == log.bytes_at(other.span)
    assert [None, other] == [log.run("wrap_at", log.block, offset) for offset in (100, 200)]


def test_a_kept_wraps_bytes_survive_a_crash(log):
    wrap = log.wrap(100)
    log.home.crash()

    assert block_of().server.reveal()[100:164] == log.bytes_at(wrap.span)


def test_all_wraps_of_a_secret_are_finished_at_once(log):
    wraps = [log.wrap(offset) for offset in (100, 300, 500)]
    assert 3 == log.run("wraps_under", log.block)
    log.run("finish", "alice", "one")

    assert [bytes(64)] * 3 == [log.bytes_at(wrap.span) for wrap in wraps]
    assert 0 == log.run("wraps_under", log.block)


@pytest.mark.parametrize("names", [("mallory", "one"), ("alice", "two")])
def test_finishing_something_else_changes_nothing(log, names):
    wrap = log.wrap(100)
    log.run("finish", *names)

    assert block_of().server.reveal()[100:164] == log.bytes_at(wrap.span)


def test_a_wrap_goes_when_its_own_hubs_word_about_expiry_has_come_true(log):
    wraps = [log.wrap(100, expires_at=NOW + 10), log.wrap(200, expires_at=NOW + 20)]
    log.run("sweep", now=NOW + 9, lived=0, limit=10)
    assert wraps == [log.run("wrap_at", log.block, offset) for offset in (100, 200)]
    log.run("sweep", now=NOW + 10, lived=0, limit=10)

    assert [None, wraps[1]] == [log.run("wrap_at", log.block, offset) for offset in (100, 200)]
    assert [bytes(64), block_of().server.reveal()[200:264]] == [log.bytes_at(wrap.span) for wrap in wraps]


def test_a_hub_can_not_make_a_wrap_last_longer_than_any_share_may(log):
    log.wrap(100, expires_at=1 << 45)
    log.run("sweep", now=NOW + MAX_EXPIRES, lived=0, limit=10)

    assert None is log.run("wrap_at", log.block, 100)
