"""A hub that lies never makes a wrong key; where k honest hubs answer, the right one comes."""

import itertools

import pytest
import trio

from qfagent.dske import ids, wire
from qfagent.errors import AgentError, NotFound, Refusal, TooFewHubs
from qfagent.testing.liar import bending_share, changing
from tests.conftest import enrol, within

STRANGER = "f" * 32

LIES = {
    "share": bending_share(),
    "last_byte_of_share": bending_share(at=-1, mask=0x80),
    "o": changing(o=wire.Base64(bytes(16))),
    "k": changing(k=3),
    "m": lambda w: wire.Wrapped(**_fields(w) | {"m": 2, "share": wire.Base64(bytes(96))}),
    "generator": changing(generator="mallory"),
    "secret_id": changing(secret_id="685d6b4b-c7b2-8711-901c-257774930000"),
    "hubs_order": lambda w: wire.Wrapped(**_fields(w) | {"hubs": w.hubs[::-1]}),
    "hubs_without_itself": lambda w: wire.Wrapped(**_fields(w) | {"hubs": (*w.hubs[1:], STRANGER)}),
    "another_place_in_the_pad": lambda w: wire.Wrapped(**_fields(w) | {"offset": w.offset + 1}),
    "a_place_behind_the_pad": lambda w: wire.Wrapped(**_fields(w) | {"offset": 999_999_999}),
    "another_block": changing(block="e" * 32),
    "an_expiry_in_a_million_years": changing(expires_at=1 << 45),
}


def _fields(wrapped):
    return {name: getattr(wrapped, name) for name in wrapped.__struct_fields__}


async def recovered(network, key_id, peer="alice"):
    return (await network.clients["bob"].client.recoverer.recover(key_id, peer=peer, uid=0))[1]


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("liar", ["h1", "h2", "h3"])
async def test_one_liar_of_three_changes_nothing(connected, lie, liar):
    network = await connected()
    network.hubs[liar].lie = lie
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == await recovered(network, key_id)


@pytest.mark.parametrize("name", ["share", "last_byte_of_share", "o", "k", "hubs_order"])
async def test_the_liar_is_named(connected, name):
    network = await connected()
    network.hubs["h2"].lie = LIES[name]
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")
    await recovered(network, key_id)
    await trio.sleep(1)

    suspects = [event["hub"] for event in network.clients["bob"].happened("hub.suspect")]
    assert suspects == [network.hubs["h2"].address.id]


async def test_a_liar_is_called_faulty_after_secrets_of_two_generators(connected):
    network = await connected()
    await network.add_client("carol")
    await enrol(network, "carol")
    network.hubs["h2"].lie = LIES["share"]
    for generator in ("alice", "carol"):
        [(key_id, _)] = await network.clients[generator].client.generator.establish("bob")
        await recovered(network, key_id, generator)
        await trio.sleep(1)

    [faulty] = network.clients["bob"].happened("hub.faulty")
    assert network.hubs["h2"].address.id == faulty["hub"]


@pytest.mark.parametrize("name", ["share", "o", "k", "m", "generator", "hubs_order"])
async def test_where_too_few_are_honest_there_is_no_key_rather_than_a_wrong_one(connected, name):
    network = await connected()
    for liar in ("h1", "h2"):
        network.hubs[liar].lie = LIES[name]
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")

    with pytest.raises(AgentError):
        await recovered(network, key_id)


@pytest.mark.parametrize("liars", list(itertools.combinations(["h1", "h2", "h3", "h4", "h5"], 2)), ids=str)
async def test_two_liars_of_five_change_nothing_when_three_shares_are_required(connected, liars):
    network = await connected(hubs=5, settings="shares_required = 3")
    for number, liar in enumerate(liars):
        network.hubs[liar].lie = bending_share(at=number)
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == await recovered(network, key_id)


async def test_two_liars_who_agree_change_nothing_when_three_shares_are_required(connected):
    network = await connected(hubs=5, settings="shares_required = 3")
    for liar in ("h1", "h2"):
        network.hubs[liar].lie = changing(o=wire.Base64(b"x" * 16))
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == await recovered(network, key_id)


async def test_a_hub_that_forgets_costs_nothing_where_k_others_remember(connected):
    network = await connected()
    network.hubs["h1"].forgets = True
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == await recovered(network, key_id)


async def test_hubs_that_forget_leave_no_key(connected):
    network = await connected()
    for name in ("h1", "h2"):
        network.hubs[name].forgets = True
    [(key_id, _)] = await network.clients["alice"].client.generator.establish("bob")

    with pytest.raises(TooFewHubs, match="2 hubs are needed, 1 did their part"):
        await recovered(network, key_id)


async def test_a_share_shown_for_two_secrets_is_believed_for_the_first_only(connected):
    network = await connected()
    alice = network.clients["alice"].client.generator
    [(one, key)] = await alice.establish("bob")
    [(two, other)] = await alice.establish("bob")
    seen = []

    def replay(wrapped):
        """Shows the first share's place in the pad again, as if it were the second's."""
        seen.append(wrapped)
        return wrapped if len(seen) == 1 else changing(block=seen[0].block, offset=seen[0].offset)(wrapped)

    network.hubs["h1"].lie = replay

    assert (one, key) == await recovered(network, one)
    assert (two, other) == await recovered(network, two)


# --- on the wire


def silence():
    async def bend(data):
        await trio.sleep_forever()

    return bend


def cutting(part):
    async def bend(data):
        return data[: int(len(data) * part)]

    return bend


def saying(noise):
    async def bend(_):
        return noise

    return bend


def endless(noise):
    async def bend(_):
        await trio.lowlevel.checkpoint()
        return noise

    return bend


async def doubling(data):
    return data + data


async def flipping(data):
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:] if len(data) > 3 else data


WIRES = {
    "hangs": silence(),
    "closes_without_a_word": saying(b""),
    "half_an_answer": cutting(0.5),
    "all_but_the_end": cutting(0.95),
    "garbage": saying(b"\x00\xff" * 500),
    "html": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
    "an_answer_without_a_tag": saying(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"shares":[]}'),
    "an_error_without_a_tag": saying(
        b"HTTP/1.1 409 Conflict\r\nContent-Length: 41\r\n\r\n" + b'{"type":"https://x/errors/retired","x":1}\n'
    ),
    "an_endless_head": endless(b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 100),
    "an_endless_body": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 4000),
    "answers_twice": doubling,
    "a_flipped_bit": flipping,
}


@pytest.mark.parametrize("bend", WIRES.values(), ids=WIRES)
async def test_a_bent_wire_to_one_hub_of_three_delays_nothing(connected, bend):
    network = await connected()
    network.hubs["h2"].bend = bend

    async with within(0.5):
        for _ in range(3):
            [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
            assert (key_id, key) == await recovered(network, key_id)


@pytest.mark.parametrize("bend", [w for name, w in WIRES.items() if name != "answers_twice"])
async def test_bent_wires_to_too_many_hubs_give_an_error_in_time(connected, bend):
    network = await connected()
    for name in ("h1", "h2"):
        network.hubs[name].bend = bend

    async with within(9.5):
        with pytest.raises(AgentError):
            await network.clients["alice"].client.generator.establish("bob")


async def test_a_hub_is_used_again_when_its_wire_is_straight_again(connected):
    network = await connected()
    straight = network.hubs["h1"].bend
    network.hubs["h1"].bend = silence()
    await network.clients["alice"].client.generator.establish("bob")
    await trio.sleep(10)
    network.hubs["h1"].bend = straight
    await trio.sleep(60)
    network.hubs["h2"].reachable = False
    await trio.sleep(60)
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")

    assert (key_id, key) == await recovered(network, key_id)


async def test_a_hub_without_proven_answers_is_asked_nothing_but_its_health(connected):
    network = await connected()
    network.hubs["h1"].bend = WIRES["garbage"]
    alice = network.clients["alice"].client
    await alice.generator.establish("bob")
    await trio.sleep(5)
    spent = alice.desk.burned["unanswered"]
    await trio.sleep(600)

    assert spent == alice.desk.burned["unanswered"]


async def test_a_broken_hub_can_not_make_the_client_loop(connected):
    """Its health is fine and its answers prove nothing: each further attempt waits longer."""
    network = await connected()
    alice = network.clients["alice"].client

    async def bend(data):
        return data if b"hub_id" in data else await flipping(data)

    network.hubs["h1"].bend = bend
    for _ in range(300):
        [(key_id, _)] = await alice.generator.establish("bob")
        await recovered(network, key_id)
        await trio.sleep(2)

    assert alice.desk.burned["unanswered"] < 96 * 20


async def test_deposits_that_a_hub_missed_reach_it_while_the_secret_lives(connected):
    network = await connected()
    network.hubs["h1"].reachable = False
    keys = [(await network.clients["alice"].client.generator.establish("bob"))[0] for _ in range(5)]
    await trio.sleep(60)
    network.hubs["h1"].reachable = True
    await trio.sleep(400)
    network.hubs["h2"].reachable = False

    assert keys == [await recovered(network, key_id) for key_id, _ in keys]


# --- what only its own share can suffer from


async def shares_kept(network):
    return [hub.hub.books.shares.count() for hub in network.hubs.values()]


async def test_secrets_that_nobody_asked_for_are_not_let_in_and_nothing_is_deleted_for_them(connected):
    """A hub slips in entries of all secrets that wait here, and says of each that it has expired."""
    network = await connected()
    keys = [(await network.clients["alice"].client.generator.establish("bob"))[0] for _ in range(3)]
    books, bob = network.hubs["h1"].hub.books, network.clients["bob"].client
    honest = books.exchange.deposits.fetch

    def fetch(recoverer, block, request):
        waiting = books.shares.of_generator("bob", "alice", blocks=[block], now=0, limit=64)
        return wire.Shares(tuple(changing(expires_at=0)(books.exchange.deposits.show(share)) for share in waiting))

    books.exchange.deposits.fetch = fetch
    with pytest.raises(AgentError):
        await bob.recoverer.recover("00000000-0000-8000-8000-000000000000", peer="carol", uid=0)
    await trio.sleep(400)
    books.exchange.deposits.fetch = honest

    assert [3, 3, 3] == await shares_kept(network)
    assert keys == [await recovered(network, key_id) for key_id, _ in keys]


@pytest.mark.parametrize("expires_at", [0, 1_800_000_000 - 3600], ids=["lie", "slow_clock"])
async def test_a_hubs_word_about_expiry_concerns_its_own_share_only(connected, expires_at):
    network = await connected()
    network.hubs["h1"].lie = changing(expires_at=expires_at)
    keys = await network.clients["alice"].client.generator.establish("bob", count=2)
    assert keys[0] == await recovered(network, keys[0][0])
    await trio.sleep(400)
    await network.clients["bob"].crash()
    await network.clients["bob"].boot()

    assert [1, 1, 1] == await shares_kept(network)
    assert keys[1] == await recovered(network, keys[1][0])


async def test_a_key_that_nobody_asks_for_is_not_kept_for_as_long_as_a_hub_says(connected, monkeypatch):
    monkeypatch.setattr(wire, "MAX_EXPIRES", 600)
    network = await connected()
    network.hubs["h1"].lie = changing(expires_at=1 << 45)
    one, other = await network.clients["alice"].client.generator.establish("bob", count=2)
    assert one == await recovered(network, one[0])

    await trio.sleep(3700)  # the honest hubs keep their shares for an hour

    with pytest.raises(NotFound):
        await recovered(network, other[0])


# --- what it says when it refuses


async def test_a_hubs_long_words_are_cut_and_printable(network):
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")

    def refuse(*_, source):
        raise Refusal("malformed", "\x1b[2J" + "x" * 200_000)

    hub.hub.books.registration.register = refuse
    await network.carry(hub, alice)
    await trio.sleep(5)

    reason = alice.happened("psrd.not-registered")[0]["reason"]
    assert (200, True) == (len(reason), reason.isprintable())


async def test_deposits_that_a_hub_missed_are_not_lost_with_one_that_it_refuses(connected):
    network = await connected()
    late, alice = network.hubs["h3"], network.clients["alice"].client.generator
    await late.crash()
    secrets = [ids.parse_key_id((await alice.establish("bob"))[0][0])[0] for _ in range(5)]
    await late.boot()
    honest = late.hub.books.deposits.deposit

    def deposit(generator, request, pad):
        if secrets[2] in [one.secret_id for one in request.deposits]:
            raise Refusal("malformed", "not this one")
        return honest(generator, request, pad)

    late.hub.books.deposits.deposit = deposit
    await trio.sleep(900)

    assert 4 == late.hub.books.shares.count()
