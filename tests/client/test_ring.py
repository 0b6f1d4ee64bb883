"""The ring gives every key to one caller, and again to the same for a minute; in memory only."""

from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qfagent.client.ring import GRACE, Held, Ring
from qfagent.dske.secret import Secret


def held(generator="alice", secret_id="one", keys=3, expires_at=100, is_alone=True):
    every = {index: Secret(bytes([index]) * 32) for index in range(keys)}
    return Held(generator, secret_id, every, expires_at, is_alone)


def test_a_key_leaves_once():
    ring, secret = Ring(), held()
    ring.add(secret)

    assert [0, 2] == list(ring.take(secret, frozenset({0, 2})))
    assert {} == ring.take(secret, frozenset({0, 2}))
    assert [1] == list(secret.keys)


def test_a_secret_whose_keys_are_all_out_is_forgotten():
    ring, secret = Ring(), held()
    ring.add(secret)
    ring.take(secret, frozenset({0, 1, 2}))

    assert [] == ring.holding("one", generator=None)
    assert ring.oldest("alice") is None
    assert not ring.has(("alice", "one"))


def test_the_oldest_secret_of_a_generator_comes_first():
    ring = Ring()
    for name in ("b", "a", "c"):
        ring.add(held(secret_id=name))
    ring.add(held("carol", "d"))

    order = []
    while (oldest := ring.oldest("alice")) is not None:
        order.append(oldest.secret_id)
        ring.take(oldest, frozenset(oldest.keys))
    assert ["b", "a", "c"] == order


def test_a_secret_that_is_there_is_not_replaced_by_another_copy():
    ring, first = Ring(), held()
    ring.add(first)
    ring.take(first, frozenset({0}))
    ring.add(held())

    assert [first] == ring.holding("one", generator="alice")
    assert [1, 2] == list(first.keys)


def test_one_id_of_two_generators_is_two_secrets():
    ring = Ring()
    ring.add(held("alice"))
    ring.add(held("mallory"))

    assert ["alice", "mallory"] == [secret.generator for secret in ring.holding("one", generator=None)]
    assert ["mallory"] == [secret.generator for secret in ring.holding("one", generator="mallory")]
    ring.take(ring.oldest("alice"), frozenset({0, 1, 2}))
    assert ring.has(("mallory", "one"))


def test_keys_that_could_not_be_handed_over_are_there_again():
    ring, secret = Ring(), held()
    ring.add(secret)
    keys = ring.take(secret, frozenset({0, 1, 2}))
    ring.put_back(secret, keys)

    assert [secret] == ring.holding("one", generator="alice")
    assert keys == secret.keys


def test_expired_secrets_are_taken_out_at_their_second():
    ring = Ring()
    for name, expires_at in (("a", 10), ("b", 11), ("c", 12)):
        ring.add(held(secret_id=name, expires_at=expires_at))

    assert [] == ring.expire(now=9)
    assert ["a", "b"] == [secret.secret_id for secret in ring.expire(now=11)]
    assert [True] == [ring.has(("alice", name)) for name in "abc" if ring.has(("alice", name))]


def give(ring, secret, *, uid=7, now=0.0):
    keys = ring.take(secret, frozenset(secret.keys))
    ring.give(secret, keys, uid=uid, now=now)
    return keys


def test_a_lost_answer_is_given_again_to_the_same_uid_for_a_minute():
    ring, secret = Ring(), held()
    ring.add(secret)
    keys = give(ring, secret)

    assert ("alice", keys[1]) == ring.given("one", 1, generator=None, uid=7, now=GRACE - 0.1)
    assert ("alice", keys[1]) == ring.given("one", 1, generator="alice", uid=7, now=GRACE - 0.1)
    assert ring.given("one", 1, generator=None, uid=7, now=GRACE) is None


def test_nobody_else_gets_a_key_again():
    ring, secret = Ring(), held()
    ring.add(secret)
    give(ring, secret, uid=7)

    assert [None, None] == [ring.given("one", 1, generator=None, uid=uid, now=1.0) for uid in (0, 8)]
    assert ring.given("one", 5, generator=None, uid=7, now=1.0) is None
    assert ring.given("two", 1, generator=None, uid=7, now=1.0) is None


def test_a_key_is_given_again_only_as_a_key_of_the_peer_that_made_it():
    """Before, whoever named alice within a minute of mallory's key of that id was given mallory's."""
    ring, mallorys = Ring(), held("mallory")
    ring.add(mallorys)
    keys = give(ring, mallorys)

    assert ring.given("one", 0, generator="alice", uid=7, now=1.0) is None
    assert ("mallory", keys[0]) == ring.given("one", 0, generator="mallory", uid=7, now=1.0)


def test_keys_of_two_peers_under_one_id_do_not_replace_each_other():
    ring, one, two = Ring(), held("alice"), held("mallory")
    for secret in (one, two):
        ring.add(secret)
        give(ring, secret)

    assert "alice" == ring.given("one", 0, generator="alice", uid=7, now=1.0)[0]
    assert "mallory" == ring.given("one", 0, generator="mallory", uid=7, now=1.0)[0]
    assert ring.given("one", 0, generator=None, uid=7, now=1.0) is None


def test_without_a_peers_name_only_a_key_is_given_again_that_needs_none():
    ring, secret = Ring(), held("mallory", is_alone=False)
    ring.add(secret)
    give(ring, secret)

    assert ring.given("one", 0, generator=None, uid=7, now=1.0) is None


def test_what_was_given_does_not_stay_in_memory():
    ring = Ring()
    for number in range(100):
        secret = held(secret_id=f"{number}")
        ring.add(secret)
        give(ring, secret, now=float(number))
    ring.forget_given(now=99 + GRACE)

    assert (0, 0) == (len(ring._given), len(ring._given_order))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 90)), max_size=30))
def test_forgetting_never_ends_a_grace_too_early(given_at):
    ring, until, now = Ring(), {}, 0.0
    for generator, secret_id, wait in given_at:
        now += wait
        ring.give(held(generator, secret_id, keys=1), {0: Secret(b"k")}, uid=7, now=now)
        until[generator, secret_id] = now + GRACE
    ring.forget_given(now=now)

    for (generator, secret_id), end in until.items():
        again = ring.given(secret_id, 0, generator=generator, uid=7, now=now)
        assert (again is not None) == (end > now)


class OneCallerEach(RuleBasedStateMachine):
    """Whatever is added, taken and put back: no key is in two hands."""

    def __init__(self):
        super().__init__()
        self.ring, self.out, self.taken = Ring(), [], []

    @rule(generator=st.sampled_from("ab"), secret_id=st.sampled_from("xy"))
    def add(self, generator, secret_id):
        out = {
            (generator, secret_id, index)
            for s, keys in self.taken
            for index in keys
            if _which(s) == (generator, secret_id)
        }
        new = held(generator, secret_id)
        new.keys = {index: key for index, key in new.keys.items() if (generator, secret_id, index) not in out}
        if new.keys:
            self.ring.add(new)

    @rule(generator=st.sampled_from("ab"), indices=st.frozensets(st.integers(0, 3)))
    def take(self, generator, indices):
        oldest = self.ring.oldest(generator)
        if oldest is not None and (keys := self.ring.take(oldest, indices)):
            self.taken.append((oldest, keys))

    @rule()
    def put_back(self):
        if self.taken:
            self.ring.put_back(*self.taken.pop())

    @rule()
    def expire(self):
        self.ring.expire(now=100)

    @invariant()
    def both_indices_agree(self):
        by_id = {_which(s) for found in self.ring._by_id.values() for s in found.values()}
        by_generator = {_which(s) for found in self.ring._by_generator.values() for s in found.values()}
        assert by_id == by_generator

    @invariant()
    def nothing_empty_is_kept(self):
        assert all(s.keys for found in self.ring._by_id.values() for s in found.values())

    @invariant()
    def no_key_is_in_two_hands(self):
        hands = [(*_which(s), index) for s, keys in self.taken for index in keys]
        hands += [
            (*_which(s), index) for found in self.ring._by_id.values() for s in found.values() for index in s.keys
        ]
        assert len(hands) == len(set(hands))


def _which(secret):
    return secret.generator, secret.secret_id


TestOneCallerEach = OneCallerEach.TestCase
