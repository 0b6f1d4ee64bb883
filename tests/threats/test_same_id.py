"""Key ids travel in the clear: another client that has seen one deposits a secret of its own under it."""

import msgspec
import pytest
import trio

from qfagent.dske import ids
from qfagent.dske.establish import establish
from qfagent.errors import AmbiguousGenerator, KeyGone, NotFound, TooFewHubs
from tests.conftest import enrol


def draft(network, *hubs):
    """A secret for bob with a share for each of these hubs, which nobody has yet."""
    places = [network.hubs[hub].address.id for hub in hubs]
    return establish("bob", hubs=places, k=2, count=1, random=network.random)


async def hand_in(network, name, made, *hubs, secret_id):
    client = network.clients[name].client
    for place in [network.hubs[hub].address.id for hub in hubs]:
        await client.hub(place).deposits.carry(msgspec.structs.replace(made.drafts[place], secret_id=secret_id))


async def deposit(network, name, *hubs, secret_id=None):
    """A client's secret for bob at some of its hubs; its id and its key."""
    made = draft(network, *hubs)
    secret_id = secret_id or made.secret_id
    await hand_in(network, name, made, *hubs, secret_id=secret_id)
    return secret_id, made.keys[0]


@pytest.fixture
def crowded(connected):
    async def build(hubs=4):
        network = await connected(hubs=hubs)
        await network.add_client("mallory")
        await enrol(network, "mallory")
        return network

    return build


async def fetch(network, secret_id, peer=None):
    recoverer = network.clients["bob"].client.recoverer
    generator, (_, key) = await recoverer.recover(ids.key_id(secret_id, 0), peer=peer, uid=0)
    return generator, key


def delay(network, *hubs):
    async def later(data):
        await trio.sleep(0.3)
        return data

    for hub in hubs:
        network.hubs[hub].bend = later


async def test_the_faster_hubs_do_not_decide_whose_key_is_meant(crowded):
    network = await crowded()
    secret_id, key = await deposit(network, "alice", "h1", "h2")
    await deposit(network, "mallory", "h3", "h4", secret_id=secret_id)
    delay(network, "h1", "h2")

    with pytest.raises(AmbiguousGenerator, match="alice, mallory"):
        await fetch(network, secret_id)
    assert ("alice", key) == await fetch(network, secret_id, "alice")


@pytest.mark.parametrize("away", [("h1", "h2"), ("h1",)], ids=["unheard", "one_share_heard"])
async def test_while_hubs_are_away_that_may_hold_the_key_meant_the_peer_has_to_be_named(crowded, away):
    network = await crowded()
    secret_id, _ = await deposit(network, "alice", "h1", "h2")
    _, other = await deposit(network, "mallory", "h3", "h4", secret_id=secret_id)
    for hub in away:
        await network.hubs[hub].crash()

    with pytest.raises(AmbiguousGenerator, match="too few hubs have answered"):
        await fetch(network, secret_id)
    assert ("mallory", other) == await fetch(network, secret_id, "mallory")


async def test_what_a_hub_has_shown_before_it_went_away_speaks_against_anothers_key(crowded):
    network = await crowded(hubs=3)
    secret_id, _ = await deposit(network, "alice", "h1", "h2")
    for hub in ("h2", "h3"):
        await network.hubs[hub].crash()
    with pytest.raises(TooFewHubs):
        await fetch(network, secret_id)
    for hub in ("h2", "h3"):
        await network.hubs[hub].boot()
    await trio.sleep(400)
    await deposit(network, "mallory", "h2", "h3", secret_id=secret_id)
    await network.hubs["h1"].crash()

    with pytest.raises(AmbiguousGenerator, match="alice, mallory"):
        await fetch(network, secret_id)


async def test_that_hubs_held_nothing_earlier_says_nothing_of_whose_key_is_meant(crowded):
    """In a draft, what hubs had told of an id once was heard for good."""
    network = await crowded()
    secret_id = ids.new_secret_id(network.random)
    with pytest.raises(NotFound):
        await fetch(network, secret_id)
    await trio.sleep(60)
    await deposit(network, "alice", "h1", "h2", secret_id=secret_id)
    await deposit(network, "mallory", "h3", "h4", secret_id=secret_id)
    delay(network, "h1", "h2")

    with pytest.raises(AmbiguousGenerator, match="alice, mallory"):
        await fetch(network, secret_id)


async def test_that_a_hub_held_ones_share_earlier_says_nothing_of_anothers(crowded):
    network = await crowded()
    await network.hubs["h3"].crash()
    mallorys, secret_id = draft(network, "h1", "h3"), ids.new_secret_id(network.random)
    await hand_in(network, "mallory", mallorys, "h1", secret_id=secret_id)
    for _ in range(3):
        with pytest.raises(TooFewHubs):
            await fetch(network, secret_id)
    await network.hubs["h3"].boot()
    await trio.sleep(400)
    await deposit(network, "alice", "h1", "h2", secret_id=secret_id)
    await hand_in(network, "mallory", mallorys, "h3", secret_id=secret_id)

    with pytest.raises(AmbiguousGenerator, match="too few hubs have answered"):
        await fetch(network, secret_id)


async def test_fewer_than_k_hubs_that_are_away_keep_nobody_waiting(crowded):
    network = await crowded(hubs=3)
    secret_id, key = await deposit(network, "alice", "h1", "h2", "h3")
    await network.hubs["h3"].crash()

    assert ("alice", key) == await fetch(network, secret_id)


async def test_a_secret_that_came_in_under_its_peers_name_is_not_taken_for_one_that_needs_none(crowded):
    """A tool that waits for mallory's keys brings hers into memory, or takes it, before somebody asks for the id."""
    network = await crowded()
    secret_id, key = await deposit(network, "alice", "h1", "h2")
    await deposit(network, "mallory", "h3", "h4", secret_id=secret_id)
    await fetch(network, secret_id, "mallory")

    with pytest.raises(KeyGone):
        await fetch(network, secret_id)
    assert ("alice", key) == await fetch(network, secret_id, "alice")
