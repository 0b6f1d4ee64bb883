"""Deposits and fetches, message by message: statuses, errors in their order, quotas to the byte, no share in clear."""

import json
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from qfagent.dske import strict_json, wire
from qfagent.errors import Invalid
from qfagent.hub.exchange import Message
from qfagent.store.fence import Reason
from qfagent.store.quotas import PERIOD
from tests.hub.parties import HUB, NOW, OTHER, House, base64, deposit_of, unbase64


@pytest.fixture
def house():
    with House() as made:
        yield made


@pytest.fixture
def pair(house):
    """A generator and a recoverer, registered."""
    return house.voice("alice"), house.voice("bob")


def named(secret):
    return {"generator": "alice", "secret_id": secret[0]["secret_id"]}


# --- a share on its way ---------------------------------------------------------------------------


def test_what_was_deposited_is_what_is_fetched(pair):
    alice, bob = pair
    fields, share = secret = deposit_of("bob")

    assert ["stored"] == alice.statuses(secret)
    [shown] = bob.fetch(named(secret)).body["shares"]
    assert share == bob.open(shown)
    assert {name: fields[name] for name in ("secret_id", "hubs", "k", "m", "o")} == {
        name: shown[name] for name in ("secret_id", "hubs", "k", "m", "o")
    }
    assert ("alice", bob.block.id, NOW + 3600) == (shown["generator"], shown["block"], shown["expires_at"])


@pytest.mark.parametrize("m", [1, 2, 63, 64])
def test_a_share_of_any_number_of_keys_arrives_whole(house, m):
    alice, bob = house.voice("alice", server=65_536), house.voice("bob", server=65_536)
    secret = deposit_of("bob", m=m)
    alice.deposit(secret)

    assert [("alice", secret[0]["secret_id"], secret[1])] == bob.fetched(named(secret))


def test_several_deposits_are_sealed_in_their_order(house):
    alice, bob = house.voice("alice", server=65_536), house.voice("bob", server=65_536)
    secrets = [deposit_of("bob", m=m) for m in (3, 1, 7, 1)]

    assert ["stored"] * 4 == alice.statuses(*secrets)
    assert [share for _, share in secrets] == [share for _, _, share in bob.fetched({"generator": "alice"})]


def test_a_message_carries_64_deposits(house):
    alice, bob = house.voice("alice", server=131_072), house.voice("bob", server=131_072)
    secrets = [deposit_of("bob") for _ in range(64)]

    assert ["stored"] * 64 == alice.statuses(*secrets)
    assert [share for _, share in secrets] == [share for _, _, share in bob.fetched({"generator": "alice"})]


def test_results_stand_in_the_order_of_the_request_and_each_has_its_own_status(pair, house):
    alice, _ = pair
    house.client("named")
    known = deposit_of("bob")
    alice.deposit(known)
    secrets = [deposit_of("nobody"), known, deposit_of("bob"), deposit_of("named"), deposit_of("bob", m=40)]
    results = alice.deposit(*secrets).body["results"]

    assert [fields["secret_id"] for fields, _ in secrets] == [result["secret_id"] for result in results]
    assert ["unknown-recoverer", "duplicate", "stored", "unknown-recoverer", "quota"] == [
        result["status"] for result in results
    ]


def test_a_deposit_that_is_not_kept_does_not_shift_the_next_one(pair):
    alice, bob = pair
    last = deposit_of("bob")
    alice.deposit(deposit_of("nobody", m=5), deposit_of("bob", m=60), last)

    assert [last[1]] == [share for _, _, share in bob.fetched({"generator": "alice"})]


def test_the_generator_is_whose_block_it_is_and_not_what_the_body_says(pair):
    alice, bob = pair
    alice.deposit(deposit_of("bob", generator="mallory"))

    assert ["alice"] == [generator for generator, _, _ in bob.fetched({"generator": "alice"})]
    assert [] == bob.fetched({"generator": "mallory"})


def test_one_id_of_two_generators_is_two_secrets(pair, house):
    alice, bob = pair
    mallory = house.voice("mallory")
    one = deposit_of("bob")
    two = deposit_of("bob", one[0]["secret_id"])

    assert ["stored"] == alice.statuses(one) == mallory.statuses(two)
    both = bob.fetched({"secret_id": one[0]["secret_id"]})
    assert [("alice", one[1]), ("mallory", two[1])] == [(generator, share) for generator, _, share in both]
    assert [two[1]] == [
        share for _, _, share in bob.fetched({"generator": "mallory", "secret_id": one[0]["secret_id"]})
    ]


def test_nobody_else_can_fetch_a_share(pair, house):
    alice, _ = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    carol = house.voice("carol")

    assert [] == carol.fetched(named(secret), {"generator": "alice"}) == alice.fetched(named(secret))


# --- idempotence ----------------------------------------------------------------------------------


def test_a_repeated_deposit_changes_nothing_and_spends_nothing_of_the_recoverers_pad(pair, house):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    spent, rows = house.books.ledger.spent(bob.block.id), house.shares()

    assert ["duplicate"] * 3 == [alice.statuses(secret)[0] for _ in range(3)]
    assert spent == house.books.ledger.spent(bob.block.id)
    assert rows == house.shares()


def test_another_share_under_the_same_id_does_not_replace_the_first(pair):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)

    assert ["duplicate"] == alice.statuses(deposit_of("bob", secret[0]["secret_id"]))
    assert [secret[1]] == [share for _, _, share in bob.fetched(named(secret))]


def test_a_share_is_wrapped_once_however_often_it_is_fetched(pair, house):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    first = bob.fetch(named(secret)).body
    before = house.books.ledger.spent(bob.block.id)

    assert [first] * 4 == [bob.fetch(named(secret)).body for _ in range(4)]
    assert 4 * 32 == house.books.ledger.spent(bob.block.id) - before


def test_a_share_survives_power_loss_and_is_the_same(pair, house):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    house.disk.crash()
    house.boot()

    assert [("alice", secret[0]["secret_id"], secret[1])] == bob.fetched(named(secret))
    assert ["duplicate"] == alice.statuses(secret)


# --- expiry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires_in, ttl, lasts", [(100, 86_400, 100), (86_400, 100, 100), (1, 1, 1), (7, 7, 7)])
def test_a_share_lasts_for_the_shorter_of_the_two_times(expires_in, ttl, lasts):
    with House(share_ttl=ttl) as house:
        alice, bob = house.voice("alice"), house.voice("bob")
        secret = deposit_of("bob", expires_in=expires_in)
        alice.deposit(secret)
        [shown] = bob.fetch(named(secret)).body["shares"]
        house.now += lasts - 1
        before = bob.fetched(named(secret))
        house.now += 1

        assert NOW + lasts == shown["expires_at"]
        assert 1 == len(before)
        assert [] == bob.fetched(named(secret)) == bob.fetched({"generator": "alice"})


@pytest.mark.parametrize("swept", [True, False])
def test_an_expired_share_may_be_deposited_again_whether_or_not_it_was_swept(pair, house, swept):
    """Before, the hub said `duplicate` until the next sweep: an acknowledgement of what it no longer gave out."""
    alice, bob = pair
    secret = deposit_of("bob", expires_in=10)
    alice.deposit(secret)
    house.now += 9
    assert ["duplicate"] == alice.statuses(secret)
    house.now += 1
    if swept:
        house.run(lambda: house.books.shares.sweep(now=house.now, limit=10))

    assert ["stored"] == alice.statuses(secret)
    assert [secret[1]] == [share for _, _, share in bob.fetched(named(secret))]
    assert 1 == len(house.shares())


def test_the_sweep_takes_what_has_expired_and_nothing_else(pair, house):
    alice, bob = pair
    for expires_in in (5, 10, 15):
        alice.deposit(deposit_of("bob", expires_in=expires_in))
    house.now += 10

    assert [1, 1, 0] == [
        house.run(lambda: house.books.shares.sweep(now=house.now, limit=1)),
        house.run(lambda: house.books.shares.sweep(now=house.now, limit=9)),
        house.run(lambda: house.books.shares.sweep(now=house.now, limit=9)),
    ]
    assert 1 == len(bob.fetched({"generator": "alice"})) == house.books.shares.count()


# --- done -----------------------------------------------------------------------------------------


def test_what_is_done_is_deleted_and_a_duplicate_until_it_expires(pair, house):
    alice, bob = pair
    secret = deposit_of("bob", expires_in=100)
    alice.deposit(secret)
    bob.fetch(done=[named(secret)])

    assert [] == bob.fetched(named(secret))
    assert [None] == [row[5] for row in house.shares()]
    house.now += 99
    assert ["duplicate"] == alice.statuses(secret)
    house.now += 1
    assert ["stored"] == alice.statuses(secret)


def test_done_comes_before_the_fetch_of_the_same_message(pair):
    alice, bob = pair
    one, two = deposit_of("bob"), deposit_of("bob")
    alice.deposit(one, two)

    assert [two[1]] == [share for _, _, share in bob.fetched({"generator": "alice"}, done=[named(one)])]


def test_done_of_what_is_not_ones_own_or_not_there_is_ignored(pair, house):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    carol = house.voice("carol")

    assert 200 == carol.fetch(done=[named(secret), {"generator": "x", "secret_id": secret[0]["secret_id"]}]).status
    assert [secret[1]] == [share for _, _, share in bob.fetched(named(secret))]


# --- fetching -------------------------------------------------------------------------------------


def test_what_waits_from_a_generator_comes_oldest_first_and_64_at_most(house):
    alice, bob = house.voice("alice", user=65_536, server=262_144), house.voice("bob", server=262_144)
    secrets = [deposit_of("bob", expires_in=1 + 60 * (number % 3)) for number in range(70)]
    for at in range(0, 70, 10):
        alice.deposit(*secrets[at : at + 10])
    found = bob.fetched({"generator": "alice"})

    assert [fields["secret_id"] for fields, _ in secrets[:64]] == [secret_id for _, secret_id, _ in found]


def test_what_matches_twice_is_shown_once(pair):
    alice, bob = pair
    secrets = [deposit_of("bob"), deposit_of("bob")]
    alice.deposit(*secrets)
    wanted = [{"secret_id": secrets[1][0]["secret_id"]}, named(secrets[1]), {"generator": "alice"}]

    assert [secrets[1][1], secrets[0][1]] == [share for _, _, share in bob.fetched(*wanted)]


def test_shares_come_in_the_order_in_which_they_were_wanted(pair):
    alice, bob = pair
    secrets = [deposit_of("bob") for _ in range(3)]
    alice.deposit(*secrets)
    order = [secrets[number] for number in (2, 0, 1)]

    assert [share for _, share in order] == [share for _, _, share in bob.fetched(*map(named, order))]


def test_a_fetch_of_nothing_brings_nothing(pair):
    _, bob = pair

    assert {"shares": []} == bob.fetch().body
    assert {"shares": []} == bob.fetch({"generator": "nobody"}, {"secret_id": deposit_of("x")[0]["secret_id"]}).body


def test_shares_that_can_not_be_opened_now_do_not_hide_those_that_can(house):
    """Before, 64 shares under a block that is not listed hid everything behind them until they expired."""
    alice = house.voice("alice", user=65_536)
    bob = house.voice("bob", server=262_144)
    for _ in range(2):
        alice.deposit(*[deposit_of("bob") for _ in range(32)])
    second = house.voice(server=262_144)
    assert second.register("bob", proof=bob).status == 200
    secret = deposit_of("bob")
    alice.deposit(secret)

    assert [secret[1]] == [share for _, _, share in second.fetched({"generator": "alice"})]


# --- several blocks -------------------------------------------------------------------------------


@pytest.fixture
def three(house):
    """A generator, and a recoverer with two blocks."""
    alice, one, two = house.voice("alice"), house.voice("bob"), house.voice()
    assert two.register("bob", proof=one).status == 200
    return alice, one, two


def test_shares_are_wrapped_under_the_block_of_the_latest_request(three, house):
    alice, one, two = three
    wrapped = []
    for voice in (one, two, two, one):
        voice.fetch()
        alice.deposit(deposit_of("bob"))
        wrapped.append(house.shares()[-1][3])

    assert [one.block.id, two.block.id, two.block.id, one.block.id] == wrapped


def test_the_block_of_a_register_is_the_latest_too(three, house):
    alice, _, two = three
    alice.deposit(deposit_of("bob"))

    assert two.block.id == house.shares()[-1][3]


def test_the_latest_block_is_remembered_across_a_start(three, house):
    alice, one, _ = three
    one.fetch()
    house.restart()
    alice.deposit(deposit_of("bob"))

    assert one.block.id == house.shares()[-1][3]


def test_when_the_latest_block_is_full_another_is_used(house):
    alice, one = house.voice("alice"), house.voice("bob", server=1024)
    two = house.voice(server=8192)
    assert two.register("bob", proof=one).status == 200
    one.fetch()
    blocks = []
    for _ in range(20):
        secret = deposit_of("bob")
        assert alice.statuses(secret) == ["stored"]
        blocks.append(house.shares()[-1][3])
        two_sees = {"block": two.block.id, "seen": two.seen}
        if house.books.ledger.room(one.block.id) >= 96:
            one.fetch(named(secret), seen=[two_sees])

    assert one.block.id == blocks[0]
    assert two.block.id == blocks[-1]
    assert sorted(blocks, key=[one.block.id, two.block.id].index) == blocks


def fill_up(house, voice):
    """The block has no room for a share any more, as after many of them; its client has fetched since."""
    ledger, server = house.books.ledger, len(voice.block.server)
    house.run(lambda: ledger.take(voice.block.id, ledger.room(voice.block.id) - server // 16))
    voice.fetch()


def test_a_block_that_the_latest_fetch_has_left_out_is_not_fallen_back_to(three, house):
    """Before, the hub said `stored`, under a block that the recoverer had retired: nobody could ever open that."""
    alice, _, two = three
    fill_up(house, two)

    assert ["recoverer-exhausted"] == alice.statuses(deposit_of("bob"))
    assert [] == house.shares()


def test_what_happens_at_the_hub_does_not_bring_back_a_block_that_was_left_out(three, house):
    alice, _, two = three
    fill_up(house, two)
    house.voice("carol")

    assert ["recoverer-exhausted"] == alice.statuses(deposit_of("bob"))


def test_a_block_that_is_listed_again_is_fallen_back_to_again(three, house):
    alice, one, two = three
    fill_up(house, two)
    two.fetch(seen=[{"block": one.block.id, "seen": one.seen}])

    assert ["stored"] == alice.statuses(deposit_of("bob"))
    assert one.block.id == house.shares()[-1][3]


def test_a_block_that_speaks_again_is_one_to_wrap_under_again(three, house):
    alice, one, two = three
    fill_up(house, two)
    one.deposit(deposit_of("alice"))
    two.deposit(deposit_of("alice"))

    assert ["stored"] == alice.statuses(deposit_of("bob"))
    assert one.block.id == house.shares()[-1][3]


def test_a_block_that_was_registered_since_the_latest_fetch_is_fallen_back_to(house):
    alice, one = house.voice("alice"), house.voice("bob")
    fill_up(house, one)
    two = house.voice()
    assert two.register("bob", proof=one).status == 200
    one.deposit(deposit_of("alice"))

    assert ["stored"] == alice.statuses(deposit_of("bob"))
    assert two.block.id == house.shares()[-1][3]


def test_until_a_recoverer_fetches_again_after_a_start_all_its_blocks_count(three, house):
    """Hubs that were all started anew would refuse a recoverer who has nothing to fetch, and never have anything."""
    alice, one, two = three
    fill_up(house, two)
    house.restart()

    assert ["stored"] == alice.statuses(deposit_of("bob"))
    assert one.block.id == house.shares()[-1][3]


def test_only_shares_under_the_requests_block_or_a_listed_one_are_shown(three):
    alice, one, two = three
    first, second = deposit_of("bob"), deposit_of("bob")
    one.fetch()
    alice.deposit(first)
    two.fetch()
    alice.deposit(second)
    wanted = [{"generator": "alice"}]

    assert [first[1]] == [s for _, _, s in one.fetched(*wanted)]
    assert [second[1]] == [s for _, _, s in two.fetched(*wanted)]
    both = two.fetch(*wanted, seen=[{"block": one.block.id, "seen": one.seen}]).body["shares"]
    assert [one.block.id, two.block.id] == [share["block"] for share in both]


def test_a_share_that_was_not_shown_waits_on(three):
    alice, one, two = three
    one.fetch()
    secret = deposit_of("bob")
    alice.deposit(secret)

    assert [] == two.fetched(named(secret))
    assert [secret[1]] == [share for _, _, share in one.fetched(named(secret))]


def test_a_listed_block_that_is_seen_further_than_it_was_spent_is_retired_and_its_shares_never_leave(three, house):
    alice, one, two = three
    one.fetch()
    alice.deposit(deposit_of("bob"))
    spent = house.books.ledger.spent(one.block.id)

    assert [] == two.fetched({"generator": "alice"}, seen=[{"block": one.block.id, "seen": spent + 1}])
    assert ("retired", []) == (house.state(one.block), house.shares())
    assert ("block.retired", {"block": one.block.id, "code": "rolled-back"}) == house.events[-1]
    assert f"/state/pads/{one.block.id}" not in house.disk.files()


def test_a_listed_block_that_is_seen_as_far_as_it_was_spent_is_not(three, house):
    alice, one, two = three
    one.fetch()
    secret = deposit_of("bob")
    alice.deposit(secret)
    listed = {"block": one.block.id, "seen": house.books.ledger.spent(one.block.id)}

    assert 1 == len(two.fetch(named(secret), seen=[listed]).body["shares"])
    assert "ready" == house.state(one.block)


def test_foreign_and_unknown_blocks_in_the_list_are_ignored(three, house):
    alice, _, two = three
    listed = [{"block": block, "seen": 999_999_999} for block in (alice.block.id, "f" * 32)]

    assert 200 == two.fetch(seen=listed).status
    assert ["ready"] * 3 == [house.state(voice.block) for voice in three]


def test_the_requests_own_block_in_the_list_says_nothing(three, house):
    _, _, two = three

    assert 200 == two.fetch(seen=[{"block": two.block.id, "seen": 999_999_999}]).status
    assert "ready" == house.state(two.block)


def test_who_lists_another_peers_block_is_not_shown_what_lies_under_it(three, house):
    alice, one, _ = three
    mallory = house.voice("mallory")
    one.fetch()
    alice.deposit(deposit_of("bob"))

    assert [] == mallory.fetched({"generator": "alice"}, seen=[{"block": one.block.id, "seen": 16}])


# --- room and quota -------------------------------------------------------------------------------


def fill(voice, recoverer, *, most=500):
    """How many single deposits are stored, and what the next one is told."""
    for number in range(most):
        [status] = voice.statuses(deposit_of(recoverer))
        if status != "stored":
            return number, status
    raise AssertionError("it never ends")


@pytest.mark.parametrize("server, most", [(4096, 8), (4095, 7), (4608, 9), (4607, 8), (1024, 2), (1536, 3), (1535, 2)])
def test_one_generator_may_fill_an_eighth_of_the_pad_rounded_down(house, server, most):
    alice = house.voice("alice")
    house.voice("bob", server=server)

    assert (most, "quota") == fill(alice, "bob")


@pytest.mark.parametrize("server, most", [(4096, 32), (4095, 31), (4224, 33), (4223, 32)])
def test_all_together_may_fill_half_of_the_pad_rounded_down(house, server, most):
    house.voice("bob", server=server)
    stored = [fill(house.voice(f"generator-{number}"), "bob") for number in range(5)]

    assert most == sum(number for number, _ in stored)
    assert {"quota"} == {status for _, status in stored}


@pytest.mark.parametrize("m, status", [(15, "stored"), (16, "quota")])
def test_a_share_counts_with_all_its_bytes(house, m, status):
    alice = house.voice("alice")
    house.voice("bob", server=4096)

    assert [status] == alice.statuses(deposit_of("bob", m=m))


def test_a_quota_that_is_full_for_one_is_not_for_another(pair, house):
    alice, _ = pair
    house.voice("carol")
    assert fill(alice, "bob")[1] == "quota"

    assert ["stored"] == house.voice("dave").statuses(deposit_of("bob")) == alice.statuses(deposit_of("carol"))


def test_what_does_not_fit_the_quota_leaves_the_recoverers_pad_alone(pair, house):
    alice, bob = pair
    fill(alice, "bob")
    spent = house.books.ledger.spent(bob.block.id)

    assert ["quota"] * 2 == alice.statuses(deposit_of("bob"), deposit_of("bob", m=9))
    assert spent == house.books.ledger.spent(bob.block.id)


def test_a_smaller_secret_fits_where_a_larger_one_does_not(house):
    alice = house.voice("alice")
    house.voice("bob", server=4096)

    assert ["stored", "quota", "stored"] == alice.statuses(
        deposit_of("bob", m=12), deposit_of("bob", m=3), deposit_of("bob", m=1)
    )


def test_the_quota_halves_every_six_hours_at_the_same_hours_for_all(house):
    alice = house.voice("alice")
    house.voice("bob", server=4096)
    first = fill(alice, "bob")
    house.now = NOW + PERIOD - 1
    assert ["quota"] == alice.statuses(deposit_of("bob"))
    house.now = NOW + PERIOD
    second = fill(alice, "bob")
    house.now = NOW + 3 * PERIOD

    assert [(8, "quota"), (4, "quota"), (6, "quota")] == [first, second, fill(alice, "bob")]


def test_the_quota_survives_power_loss(house):
    alice = house.voice("alice")
    house.voice("bob", server=4096)
    fill(alice, "bob")
    house.disk.crash()
    house.boot()
    assert ["quota"] == alice.statuses(deposit_of("bob"))
    house.now += PERIOD
    house.restart()

    assert (4, "quota") == fill(alice, "bob")


def test_neither_expiry_nor_the_sweep_lowers_the_quota(pair, house):
    alice, _ = pair
    fill(alice, "bob")
    house.now += PERIOD - 1
    house.run(lambda: house.books.shares.sweep(now=house.now, limit=1000))

    assert [] == house.shares()
    assert ["quota"] == alice.statuses(deposit_of("bob"))


def test_done_without_a_fetch_does_not_lower_the_quota(pair, house):
    alice, bob = pair
    fill(alice, "bob")
    waiting = [{"generator": row[1], "secret_id": row[2]} for row in house.shares()]
    bob.fetch(done=waiting)

    assert ["quota"] == alice.statuses(deposit_of("bob"))


def test_a_retired_block_does_not_lower_the_quota(three, house):
    alice, one, two = three
    one.fetch()
    fill(alice, "bob")
    two.fetch(seen=[{"block": one.block.id, "seen": 999_999}])

    assert [] == house.shares()
    assert ["quota"] == alice.statuses(deposit_of("bob"))


def test_a_fetch_lowers_the_quota_by_what_it_brings_and_once(house):
    alice, bob = house.voice("alice"), house.voice("bob", server=4096)
    secrets = [deposit_of("bob") for _ in range(8)]
    alice.deposit(*secrets)
    for _ in range(3):
        bob.fetch(*map(named, secrets[:3]))

    assert (3, "quota") == fill(alice, "bob")


def test_what_was_fetched_after_the_quota_halved_never_brings_it_below_zero(house):
    alice, bob = house.voice("alice"), house.voice("bob", server=4096)
    secrets = [deposit_of("bob", expires_in=86_400) for _ in range(8)]
    alice.deposit(*secrets)
    house.now += PERIOD
    bob.fetch({"generator": "alice"})

    assert (8, "quota") == fill(alice, "bob")


def test_the_last_sixteenth_of_the_pad_is_kept_for_answers(house):
    alice, bob = house.voice("alice", user=65_536), house.voice("bob", server=4096)
    while True:
        secret = deposit_of("bob")
        [status] = alice.statuses(secret)
        if status != "stored":
            break
        bob.fetch(named(secret))
    last = max(row[4] + 64 for row in house.shares())

    assert "recoverer-exhausted" == status
    assert last <= 4096 - 256
    assert 4096 - 256 - last < 64 + 32
    answers = 0
    while bob.fetch().status == 200:
        answers += 1
    assert (4096 - house.books.ledger.spent(bob.block.id)) // 32 == 0
    assert answers >= 256 // 32


def test_room_comes_before_quota(house):
    alice, bob = house.voice("alice", user=65_536), house.voice("bob", server=1024)
    while house.books.ledger.room(bob.block.id, limit=1024 - 64) >= 64:
        bob.fetch()

    assert ["recoverer-exhausted"] == alice.statuses(deposit_of("bob", m=64))


def test_a_duplicate_is_one_even_when_room_and_quota_are_gone(pair):
    alice, _ = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    fill(alice, "bob")

    assert ["duplicate"] == alice.statuses(secret)


def test_a_peer_whose_blocks_are_all_retired_is_unknown(pair, house):
    alice, bob = pair
    house.run(lambda: house.books.deposits.retire(bob.block.id, reason="test"))

    assert ["unknown-recoverer"] == alice.statuses(deposit_of("bob"))


# --- what is refused ------------------------------------------------------------------------------


def is_claimed(voice, message):
    """Whether the span of a message was accepted: the same message again is then told so."""
    return voice.house.answer(message).slug == "pad-spent"


def flipped(message):
    [auth] = message.auth
    return Message(message.method, message.target, message.body, [auth[:-1] + (b"0" if auth[-1:] != b"0" else b"1")])


def with_header(message, *values):
    return Message(message.method, message.target, message.body, list(values))


def fetch_message(voice, **how):
    return voice.message(wire.FETCH, {"secrets": []}, **how)


UNAUTHENTICATED = {
    "no header": ("bad-tag", 401, lambda v: with_header(fetch_message(v))),
    "two headers": ("bad-tag", 401, lambda v: with_header(fetch_message(v), *fetch_message(v).auth * 2)),
    "not canonical": ("bad-tag", 401, lambda v: with_header(fetch_message(v), fetch_message(v).auth[0] + b" ")),
    "a wrong tag": ("bad-tag", 401, lambda v: flipped(fetch_message(v))),
    "another body": (
        "bad-tag",
        401,
        lambda v: Message("POST", wire.FETCH, b'{"secrets": [] }', fetch_message(v).auth),
    ),
    "another target": ("bad-tag", 401, lambda v: Message("POST", wire.DEPOSIT, b"{}", fetch_message(v).auth)),
    "another method": ("bad-tag", 401, lambda v: Message("PUT", wire.FETCH, b'{"secrets": []}', fetch_message(v).auth)),
    "an unknown block": (
        "unknown-block",
        404,
        lambda v: with_header(fetch_message(v), fetch_message(v).auth[0].replace(v.block.id.encode(), b"f" * 32)),
    ),
    "31 bytes": ("bad-span", 400, lambda v: fetch_message(v, length=31)),
    "no bytes": ("bad-span", 400, lambda v: fetch_message(v, length=0)),
    "inside the block id": ("bad-span", 400, lambda v: fetch_message(v, offset=0)),
    "inside r": ("bad-span", 400, lambda v: fetch_message(v, offset=31)),
    "over the end": ("bad-span", 400, lambda v: fetch_message(v, offset=8192 - 31)),
    "behind the end": ("bad-span", 400, lambda v: fetch_message(v, offset=999_999_999)),
    "a span that was accepted": ("pad-spent", 409, lambda v: fetch_message(v, offset=32)),
    "one byte of it": ("pad-spent", 409, lambda v: fetch_message(v, offset=63)),
}


@pytest.mark.parametrize("slug, status, make", UNAUTHENTICATED.values(), ids=UNAUTHENTICATED)
def test_what_does_not_verify_spends_nothing_and_is_told_without_a_tag(pair, house, slug, status, make):
    alice, _ = pair
    message = make(alice)
    before = house.books.ledger.spent(alice.block.id), list(house.books.ledger._marks(alice.block.id).accepted)
    heard = alice.send(message)

    assert (status, slug, False) == (heard.status, heard.slug, heard.authenticated)
    assert f"https://dske.invalid/errors/{slug}" == heard.body["type"]
    assert status == heard.body["status"]
    after = house.books.ledger.spent(alice.block.id), list(house.books.ledger._marks(alice.block.id).accepted)
    assert before == after


def test_a_rolled_back_hub_says_retired_and_nothing_of_the_message_happens(pair, house):
    alice, bob = pair
    spent = house.books.ledger.spent(alice.block.id)
    heard = alice.deposit(deposit_of("bob"), seen=spent + 1)

    assert (409, "retired", False) == (heard.status, heard.slug, heard.authenticated)
    assert ("retired", []) == (house.state(alice.block), house.shares())
    again = alice.fetch()
    assert (409, "retired", False) == (again.status, again.slug, again.authenticated)
    assert "ready" == house.state(bob.block)


def test_seen_is_believed_only_under_a_right_tag(pair, house):
    alice, _ = pair
    alice.send(flipped(fetch_message(alice, seen=999_999)))

    assert "ready" == house.state(alice.block)


def test_a_pad_without_room_for_an_answer_says_so_and_accepts_nothing(house):
    alice = house.voice("alice", server=1024)
    while house.books.ledger.room(alice.block.id) >= 32:
        alice.fetch()
    message = fetch_message(alice)
    heard = alice.send(message)

    assert (409, "pad-exhausted", False) == (heard.status, heard.slug, heard.authenticated)
    assert not is_claimed(alice, message)


def body_of(deposits):
    return {"deposits": deposits}


def sealed(recoverer="bob", **members):
    fields, share = deposit_of(recoverer, **members)
    return fields | {"share": base64(share)}


SECRET = deposit_of("bob")[0]["secret_id"]
MALFORMED = {
    "no JSON": ("deposit", b"deposits"),
    "nothing": ("deposit", b""),
    "no UTF-8": ("deposit", b'{"deposits":"\xff"}'),
    "a list": ("deposit", b"[]"),
    "null": ("fetch", b"null"),
    "cut": ("fetch", b'{"secrets":[]'),
    "something behind it": ("fetch", b'{"secrets":[]}{}'),
    "a member twice": ("fetch", b'{"secrets":[],"secrets":[]}'),
    "an unknown member twice": ("fetch", b'{"secrets":[],"x":1,"x":1}'),
    "a member twice inside": ("fetch", b'{"secrets":[{"generator":"a","generator":"a"}]}'),
    "NaN": ("fetch", b'{"secrets":[],"x":NaN}'),
    "deep": ("fetch", b'{"secrets":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a huge number": ("fetch", b'{"secrets":[],"x":' + b"9" * 5000 + b"}"),
    "secrets missing": ("fetch", {}),
    "secrets null": ("fetch", {"secrets": None}),
    "wanted of nothing": ("fetch", {"secrets": [{}]}),
    "wanted null": ("fetch", {"secrets": [{"generator": None, "secret_id": SECRET}]}),
    "no peer name": ("fetch", {"secrets": [{"generator": "Bob"}]}),
    "a pool name": ("fetch", {"secrets": [{"generator": "pool-01234567"}]}),
    "no secret id": ("fetch", {"secrets": [{"secret_id": SECRET[:-1] + "1"}]}),
    "upper case": ("fetch", {"secrets": [{"secret_id": SECRET.upper()}]}),
    "65 secrets": ("fetch", {"secrets": [{"generator": f"g{number}"} for number in range(65)]}),
    "65 done": ("fetch", {"secrets": [], "done": [{"generator": f"g{n}", "secret_id": SECRET} for n in range(65)]}),
    "65 seen": ("fetch", {"secrets": [], "seen": [{"block": f"{n:032x}", "seen": 16} for n in range(65)]}),
    "wanted twice": ("fetch", {"secrets": [{"generator": "a"}, {"generator": "a"}]}),
    "done twice": ("fetch", {"secrets": [], "done": [{"generator": "a", "secret_id": SECRET}] * 2}),
    "seen twice": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": n} for n in (16, 17)]}),
    "seen negative": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": -1}]}),
    "seen a float": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": 16.0}]}),
    "seen a string": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": "16"}]}),
    "seen true": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": True}]}),
    "seen too large": ("fetch", {"secrets": [], "seen": [{"block": "f" * 32, "seen": 10**9}]}),
    "an unknown path": ("/dske/v1/nothing", {"secrets": []}),
    "a path with a query": (wire.FETCH + "?x", {"secrets": []}),
    "no deposits": ("deposit", {"deposits": []}),
    "65 deposits": ("deposit", body_of([sealed() for _ in range(65)])),
    "the same id twice": ("deposit", body_of([sealed(secret_id=SECRET), sealed(secret_id=SECRET)])),
    "the same id for two peers": (
        "deposit",
        body_of([sealed(secret_id=SECRET), sealed(secret_id=SECRET, recoverer="x")]),
    ),
    "unused bits": ("deposit", body_of([sealed() | {"o": base64(bytes(16))[:-3] + "B=="}])),
    "base64 for URLs": ("deposit", body_of([sealed() | {"share": "-_" * 43 + "=="}])),
    "base64 with a blank": ("deposit", body_of([sealed() | {"o": " " + base64(bytes(16))}])),
    "base64 without padding": ("deposit", body_of([sealed() | {"o": base64(bytes(16)).rstrip("=")}])),
    "o of 15 bytes": ("deposit", body_of([sealed() | {"o": base64(bytes(15))}])),
    "a share too short": ("deposit", body_of([sealed() | {"share": base64(bytes(63))}])),
    "a share too long": ("deposit", body_of([sealed() | {"share": base64(bytes(65))}])),
    "m of another share": ("deposit", body_of([sealed() | {"m": 2}])),
    "m 0": ("deposit", body_of([sealed() | {"m": 0, "share": base64(bytes(32))}])),
    "m 65": ("deposit", body_of([sealed() | {"m": 65, "share": base64(bytes(2112))}])),
    "k 1": ("deposit", body_of([sealed(k=1)])),
    "k more than hubs": ("deposit", body_of([sealed(k=3)])),
    "k 2.0": ("deposit", body_of([sealed(k=2.0)])),
    "one hub": ("deposit", body_of([sealed(hubs=[HUB.id])])),
    "17 hubs": ("deposit", body_of([sealed(hubs=[HUB.id, *(f"{n:032x}" for n in range(16))])])),
    "a hub twice": ("deposit", body_of([sealed(hubs=[HUB.id, HUB.id])])),
    "hubs without this one": ("deposit", body_of([sealed(hubs=[OTHER, "c" * 32])])),
    "the generator itself": ("deposit", body_of([sealed(recoverer="alice")])),
    "expires at once": ("deposit", body_of([sealed(expires_in=0)])),
    "expires too late": ("deposit", body_of([sealed(expires_in=86_401)])),
    "expires in 3e3 s": ("deposit", json.dumps(body_of([sealed()])).replace("3600", "3e3").encode()),
    "a register of nobody": ("register", {"client_id": "x", "block": "y"}),
}


@pytest.mark.parametrize("path, body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_answered_under_a_tag_and_its_span_is_gone(pair, house, path, body):
    alice, _ = pair
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = 32 + sum(map(len, strict_shares(data)))
    message = alice.message(
        {"deposit": wire.DEPOSIT, "fetch": wire.FETCH, "register": wire.REGISTER}.get(path, path), data, length=length
    )
    heard = alice.send(message)

    assert (400, "malformed", True) == (heard.status, heard.slug, heard.authenticated)
    assert is_claimed(alice, message)
    assert [] == house.shares()


def strict_shares(data):
    """The shares in a body, as far as it can be read, so that the span may be as long as it should."""
    try:
        return [unbase64(entry["share"]) for entry in json.loads(data)["deposits"]][:64]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def test_of_a_malformed_message_nothing_is_kept_even_of_its_good_part(pair, house):
    alice, _ = pair
    heard = alice.deposit(deposit_of("bob"), deposit_of("alice"))

    assert ("malformed", []) == (heard.slug, house.shares())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "PATCH"])
def test_another_method_under_a_right_tag_is_malformed(pair, method):
    alice, _ = pair
    heard = alice.say("fetch", {"secrets": []}, method=method)

    assert (400, "malformed", True) == (heard.status, heard.slug, heard.authenticated)


@pytest.mark.parametrize(
    "path, body, length", [("fetch", {"secrets": []}, 33), ("deposit", None, 32 + 64 + 1), ("deposit", None, 32 + 63)]
)
def test_a_length_that_does_not_fit_the_body_is_told_under_a_tag(pair, house, path, body, length):
    alice, _ = pair
    message = alice.message(wire.FETCH if path == "fetch" else wire.DEPOSIT, body or body_of([sealed()]), length=length)
    heard = alice.send(message)

    assert (400, "bad-length", True) == (heard.status, heard.slug, heard.authenticated)
    assert is_claimed(alice, message)
    assert [] == house.shares()


def test_malformed_comes_before_bad_length(pair):
    alice, _ = pair

    assert "malformed" == alice.say("fetch", {"secrets": [{}]}, length=77).slug


def test_a_span_far_longer_than_any_message_is_told_the_same(house):
    alice = house.voice("alice", user=1 << 20)
    heard = alice.say("fetch", {"secrets": []}, length=900_000)

    assert (400, "bad-length", True) == (heard.status, heard.slug, heard.authenticated)


@pytest.mark.parametrize("path, body", [("fetch", {"secrets": []}), ("deposit", None)])
def test_who_has_not_registered_is_told_under_a_tag(house, path, body):
    stranger = house.voice()
    how = {} if path == "fetch" else {"length": 32 + 64}
    message = stranger.message(wire.FETCH if path == "fetch" else wire.DEPOSIT, body or body_of([sealed()]), **how)
    heard = stranger.send(message)

    assert (403, "not-registered", True) == (heard.status, heard.slug, heard.authenticated)
    assert is_claimed(stranger, message)


def test_bad_length_comes_before_not_registered(house):
    assert "bad-length" == house.voice().say("fetch", {"secrets": []}, length=40).slug


def test_unknown_members_are_ignored(pair):
    alice, bob = pair
    secret = deposit_of("bob", comment=[1, {"a": None}], x=1.5)
    alice.deposit(secret)
    body = {"secrets": [named(secret) | {"x": "y"}], "more": {"a": [1.5, None]}}

    assert [secret[0]["secret_id"]] == [s["secret_id"] for s in bob.say("fetch", body).body["shares"]]


def test_every_spelling_of_the_same_json_means_the_same(pair):
    alice, bob = pair
    secret = deposit_of("bob")
    alice.deposit(secret)
    plain = {"secrets": [named(secret)]}
    spellings = [
        json.dumps(plain, indent=2).encode(),
        json.dumps(plain, separators=(",", ":")).encode(),
        json.dumps({"done": [], **plain}).encode(),
        json.dumps(plain).replace("generator", r"\u0067enerator").encode(),
        b"\r\n\t " + json.dumps(plain).encode() + b"  ",
    ]

    assert [1] * 5 == [len(bob.say("fetch", body).body["shares"]) for body in spellings]


# --- decode: the fast way and the slow one --------------------------------------------------------


NAMES = st.sampled_from(["generator", "secret_id", "secrets", "done", "seen", "block", "x", "deposits", "k"])
VALUES = st.sampled_from(
    [None, True, 0, 1, 16, -1, 2.0, 1.5, 10**9, 10**30, "", "a", "A", SECRET, "f" * 32, "AAAA", [], {}]
)
TREES = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
FETCHES = st.fixed_dictionaries(
    {
        "secrets": st.lists(
            st.fixed_dictionaries({}, optional={"generator": VALUES, "secret_id": VALUES, "x": TREES}), max_size=3
        )
    },
    optional={
        "done": st.lists(st.fixed_dictionaries({"generator": VALUES, "secret_id": VALUES}), max_size=3),
        "seen": st.lists(st.fixed_dictionaries({"block": VALUES, "seen": VALUES}), max_size=3),
        "x": TREES,
    },
)


def strictly(kind, body):
    """What strict parsing makes of a body; None if it does not accept it."""
    try:
        return msgspec.convert(strict_json.loads(body), kind, dec_hook=wire._from_text)
    except ValueError:
        return None


def decoded(kind, body):
    try:
        return wire.decode(kind, body)
    except Invalid:
        return None


SPELLINGS = (
    partial(json.dumps),
    partial(json.dumps, separators=(",", ":")),
    partial(json.dumps, indent=1),
    partial(json.dumps, separators=(",", ":"), sort_keys=True),
)


@given(
    st.one_of(FETCHES, TREES), st.sampled_from(SPELLINGS), st.sampled_from([wire.Fetch, wire.Deposits, wire.Register])
)
@settings(max_examples=400, deadline=None)
def test_decode_accepts_what_strict_parsing_accepts_and_nothing_else(value, spell, kind):
    body = spell(value).encode()

    assert strictly(kind, body) == decoded(kind, body)


@given(FETCHES, st.data())
@settings(max_examples=400, deadline=None)
def test_decode_and_strict_parsing_agree_on_damaged_bodies_too(value, data):
    body = bytearray(json.dumps(value, separators=(",", ":")).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(
            st.sampled_from(
                [b"", b",", b'"', b"}", b"]", b" ", b"0", b"\xff", b"\0", b'"secrets":[],', b"1e5", b"NaN", b"-"]
            )
        )
        body[at : at + data.draw(st.integers(0, 2))] = piece

    assert strictly(wire.Fetch, bytes(body)) == decoded(wire.Fetch, bytes(body))


@given(st.binary(max_size=40))
def test_decode_never_raises_anything_but_invalid(body):
    for kind in (wire.Fetch, wire.Deposits, wire.Register, wire.Shares, wire.Problem, wire.BlockState):
        assert strictly(kind, body) == decoded(kind, body)


# --- the store under it ---------------------------------------------------------------------------


def windows(data, size=16):
    return {data[at : at + size] for at in range(len(data) - size + 1)}


def test_no_share_is_ever_on_the_disk_in_clear_and_no_pad_that_opens_one(house):
    alice, bob = house.voice("alice", server=65_536), house.voice("bob", server=65_536)
    secrets = [deposit_of("bob", m=m) for m in (1, 3, 8)]
    offset = alice.next
    alice.deposit(*secrets)
    starts = house.store.database.rows("SELECT start FROM shares ORDER BY seq")
    hidden = set()
    for _, share in secrets:
        hidden |= windows(share)
    hidden |= windows(alice.block.user.reveal()[offset : alice.next])  # opens what was on the wire
    for (start,), (_, share) in zip(starts, secrets, strict=True):
        hidden |= windows(bob.block.server.reveal()[start : start + len(share)])

    files = house.disk.files() | {f"durable {path}": data for path, data in house.disk.durable_files().items()}
    assert any(path.endswith("-wal") for path in files)
    for data in files.values():
        assert hidden.isdisjoint(windows(data))
    assert [secrets[0][1]] == [share for _, _, share in bob.fetched(named(secrets[0]))]
    for data in house.disk.files().values():
        assert hidden.isdisjoint(windows(data))


def test_a_fenced_hub_keeps_nothing_and_tells_no_event_of_what_did_not_happen(house):
    """Before, the event of a registration that the fence undid was told with somebody else's message later."""
    alice, bob = house.voice(), house.voice()
    house.store.fence.put_up(Reason("moved-machine", 0, "", "look"))
    with pytest.raises(Exception, match="fenced"):
        alice.register("alice")
    house.store.fence.take_down()
    house.events.clear()
    bob.register("bob")

    assert [("client.registered", "bob")] == [(name, fields["peer"]) for name, fields in house.events]
    assert "new" == house.state(alice.block)
