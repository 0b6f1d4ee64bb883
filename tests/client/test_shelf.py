"""The shelf keeps each hub's first share of a secret until its last key is out, and lets no hub displace another's."""

from hypothesis import given, strategies as st

from qfagent.client import shelf
from qfagent.client.exchange import Brought
from qfagent.client.shelf import MOST, Shelf
from qfagent.dske.recover import Entry, Terms
from qfagent.dske.secret import Secret

ALICES = ("alice", "one")


def share(generator="alice", secret_id="one", *, value=1, expires_at=100):
    terms = Terms(("h1", "h2"), 2, 1, bytes(16))
    return Brought(generator, secret_id, expires_at, Entry(terms, Secret(bytes([value]) * 64)))


def put(made, hub, asked, *shares):
    made.put(hub, asked, shares)


def test_what_a_hub_has_brought_is_found_again():
    made = Shelf()
    put(made, "h1", ALICES, share())

    assert (share(),) == made.find("h1", ALICES)
    assert () == made.find("h2", ALICES)
    assert () == made.find("h1", ("alice", "two"))


def test_the_first_share_of_a_hub_counts():
    made = Shelf()
    put(made, "h1", ALICES, share(value=1))
    put(made, "h1", ALICES, share(value=2))

    assert (share(value=1),) == made.find("h1", ALICES)


def test_a_share_that_came_first_keeps_no_other_peers_out():
    made = Shelf()
    put(made, "h1", (None, "one"), share("mallory"))
    put(made, "h1", (None, "one"), share("mallory", value=2), share("alice"))

    assert (share("mallory"), share("alice")) == made.find("h1", (None, "one"))
    assert (share("alice"),) == made.find("h1", ALICES)


def test_a_finished_secret_keeps_no_other_peers_out():
    made = Shelf()
    made.finish(("mallory", "one"))
    put(made, "h1", (None, "one"), share("mallory"), share("alice"))

    assert (share("alice"),) == made.find("h1", (None, "one"))


def test_that_a_hub_brought_nothing_is_not_kept():
    made = Shelf()
    put(made, "h1", ALICES)
    put(made, "h1", ALICES, share())

    assert (share(),) == made.find("h1", ALICES)


def test_what_came_for_one_peer_tells_nothing_of_others():
    made = Shelf()
    put(made, "h1", ALICES, share())

    assert () == made.find("h1", (None, "one"))


def test_what_came_without_a_peers_name_tells_of_every_peer():
    made = Shelf()
    put(made, "h1", (None, "one"), share("alice"), share("mallory"))

    assert (share("mallory"),) == made.find("h1", ("mallory", "one"))
    assert (share("alice"), share("mallory")) == made.find("h1", (None, "one"))


def test_when_the_last_key_is_out_its_shares_go_and_no_others():
    made = Shelf()
    put(made, "h1", ALICES, share())
    put(made, "h1", (None, "one"), share(), share("mallory"))
    put(made, "h2", (None, "one"), share())

    made.finish(ALICES)

    assert () == made.find("h1", ALICES) == made.find("h2", (None, "one"))
    assert (share("mallory"),) == made.find("h1", (None, "one"))


def test_a_share_that_comes_after_the_last_key_is_out_is_not_kept():
    made = Shelf()
    made.finish(ALICES)
    put(made, "h3", ALICES, share())

    assert () == made.find("h3", ALICES)


def test_a_share_goes_when_it_expires_and_takes_no_other_with_it():
    """A client that cheats chooses how long its own shares live."""
    made = Shelf()
    put(made, "h1", (None, "one"), share("alice", expires_at=100), share("mallory", expires_at=1))

    made.expire(now=1)

    assert (share("alice"),) == made.find("h1", (None, "one"))
    made.expire(now=100)
    assert () == made.find("h1", (None, "one"))


def test_a_hub_that_brings_much_displaces_only_its_own():
    made = Shelf()
    put(made, "honest", ALICES, share())
    for number in range(MOST + 1):
        put(made, "liar", (None, f"{number}"), share(secret_id=f"{number}"))

    assert (share(),) == made.find("honest", ALICES)
    assert () == made.find("liar", (None, "0"))
    assert made.find("liar", (None, f"{MOST}"))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12)), max_size=60))
def test_memory_is_bounded(answers):
    made, most = Shelf(), 10
    with_limit(most, lambda: [put(made, "h", (None, which), *map(share, "xy" * number)) for which, number in answers])

    assert sum(map(len, made._by_hub["h"].values())) <= most


def with_limit(most, act):
    before, shelf.MOST = shelf.MOST, most
    try:
        act()
    finally:
        shelf.MOST = before
