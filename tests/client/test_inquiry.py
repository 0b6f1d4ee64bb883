"""Who asks again and again while hubs come back gets the key as soon as enough of them have answered once."""

import pytest
import trio

from qfagent.dske.establish import establish
from qfagent.errors import AgentError, AmbiguousGenerator, FetchLimit, TooFewHubs


async def ask(network, key_id, peer):
    return await network.clients["bob"].client.recoverer.recover(key_id, peer=peer, uid=0)


async def ask_often(network, key_id, peer, times=10):
    for _ in range(times):
        with pytest.raises(AgentError):
            await ask(network, key_id, peer)


async def made_without(network, *hubs):
    """A key whose shares for these hubs are lost: they were away, and then its generator was."""
    for hub in hubs:
        await network.hubs[hub].crash()
    [(key_id, key)] = await network.clients["alice"].client.generator.establish("bob")
    await network.clients["alice"].crash()
    for hub in hubs:
        await network.hubs[hub].boot()
    await trio.sleep(400)
    return key_id, key


async def deposit_at_one(network, hub):
    """A secret that its generator did not get to the other hubs; its id, which is that of its first key."""
    places = [hub.address.id for hub in network.hubs.values()]
    made = establish("bob", hubs=places, k=2, count=1, random=network.random)
    place = network.hubs[hub].address.id
    await network.clients["alice"].client.hub(place).deposits.carry(made.drafts[place])
    return made.secret_id


async def back(network, *hubs):
    for hub in hubs:
        await network.hubs[hub].boot()
    await trio.sleep(400)


async def test_asking_while_a_hub_comes_back_uses_up_no_key(connected):
    """Before, three tries while another hub answered in vain made the key unreachable until a restart."""
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, "alice")
    await back(network, "h3")

    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")


async def test_the_hubs_that_a_key_needs_may_be_up_one_after_the_other(connected):
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, "alice")
    await network.hubs["h1"].crash()
    await network.hubs["h2"].crash()
    await ask_often(network, key_id, "alice")
    await back(network, "h3")

    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")


async def test_hubs_that_know_nothing_make_no_key_unreachable(connected):
    network = await connected(hubs=5)
    key_id, key = await made_without(network, "h2", "h3", "h4")
    await network.hubs["h5"].crash()
    await ask_often(network, key_id, "alice")
    await back(network, "h5")

    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")


async def test_without_a_peers_name_what_hubs_brought_before_is_no_answer_to_who_else_may_be_meant(connected):
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, None)
    await back(network, "h3")

    with pytest.raises(AmbiguousGenerator, match="too few hubs have answered"):
        await ask(network, key_id, None)
    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")


async def test_without_a_peers_name_a_hub_that_was_slow_before_is_heard_again(connected):
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, None, times=2)
    await back(network, "h3")

    assert ("alice", (key_id, key)) == await ask(network, key_id, None)


async def test_shares_that_came_without_a_peers_name_count_for_whoever_gives_it(connected):
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, None)
    await back(network, "h3")

    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")


async def test_a_hub_that_has_brought_its_share_is_not_asked_again(connected):
    network = await connected()
    key_id, _ = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, "alice", times=1)
    before = network.hubs["h1"].store.ledger.consumed

    await ask_often(network, key_id, "alice")

    assert before == network.hubs["h1"].store.ledger.consumed


async def test_when_the_hubs_that_are_left_were_asked_three_times_the_error_says_so(connected):
    network = await connected()
    secret_id = await deposit_at_one(network, "h1")
    await ask_often(network, secret_id, "alice", times=3)

    with pytest.raises(FetchLimit, match=r"2 hubs are needed, 1 did their part .* 3 times already"):
        await ask(network, secret_id, "alice")


async def test_while_one_hub_may_still_help_the_limit_is_not_the_reason(connected):
    network = await connected()
    key_id, _ = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, "alice", times=3)

    with pytest.raises(TooFewHubs, match="3 times already") as caught:
        await ask(network, key_id, "alice")
    assert "no connection" in str(caught.value)


async def test_a_start_of_the_agent_counts_anew_and_fetches_anew(connected):
    network = await connected()
    key_id, key = await made_without(network, "h2")
    await network.hubs["h3"].crash()
    await ask_often(network, key_id, "alice")
    await network.clients["bob"].crash()
    await network.clients["bob"].boot()
    await back(network, "h3")

    assert ("alice", (key_id, key)) == await ask(network, key_id, "alice")
