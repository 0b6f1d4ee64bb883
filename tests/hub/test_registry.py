"""The registry: what an operator does with a hub's clients, once, and seen by everything else at once."""

import errno

import pytest
import trio

from qfagent.config import parse
from qfagent.dske import ids, psrd
from qfagent.dske.pad import MAX_PAD, MIN_PAD
from qfagent.errors import BadRequest, NotFound, NothingChanged, StoreError, StoreFenced, WrongState
from qfagent.hub.registry import Registry
from qfagent.hub.role import find_hub_id
from qfagent.store.committer import Inline
from qfagent.store.fence import Reason
from qfagent.surroundings import Surroundings
from tests.conftest import enrol
from tests.hub.parties import HUB, OTHER, House, Voice, deposit_of

NOBODY = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"


class Counter:
    """Where an operator stands."""

    def __init__(self, house):
        self.house, self.events, self.stirred = house, [], []
        config = parse('name = "h1"\ninterface = ""')
        around = Surroundings(
            house.store, Inline(house.store), house.disk, house.world, self.note, lambda: config, None
        )
        self.registry = Registry(around, house.books, lambda: HUB, stir=lambda: self.stirred.append(True))

    def note(self, name, /, **fields):
        self.events.append((name, fields))

    async def listed(self, name):
        return next(client for client in await self.registry.listing() if client.name == name)

    async def assign(self, client, *, user=2048, server=2048, first=False):
        return psrd.decode(await self.registry.assign(client.id, user_bytes=user, server_bytes=server, first=first))

    def pads(self):
        return [name for name in self.house.disk.list("/state/pads") if name != "CACHEDIR.TAG"]


@pytest.fixture
def house():
    with House() as made:
        yield made


@pytest.fixture
def counter(house):
    return Counter(house)


# --- the hub's own name ---------------------------------------------------------------------------


def test_a_hubs_id_is_made_once_and_kept(house):
    made = house.run(lambda: find_hub_id(house.store, house.world, ""))
    house.restart()

    assert ids.matches(ids.HEX_ID, made)
    assert made == house.run(lambda: find_hub_id(house.store, house.world, ""))
    assert made == house.run(lambda: find_hub_id(house.store, house.world, made))


def test_a_hub_can_not_be_renamed_and_trying_does_no_harm(house):
    """Before, a slip in `hub.id` stopped the store and put up a fence that outlasted its correction."""
    made = house.run(lambda: find_hub_id(house.store, house.world, OTHER))
    with pytest.raises(WrongState, match=f"belongs to hub {OTHER}, the configuration says {HUB.id}"):
        house.run(lambda: find_hub_id(house.store, house.world, HUB.id))
    house.restart()

    assert house.store.fence.reason is None
    assert made == house.run(lambda: find_hub_id(house.store, house.world, OTHER)) == OTHER


# --- add and list ---------------------------------------------------------------------------------


async def test_a_client_that_was_added_is_listed(counter):
    added = await counter.registry.add("alice")
    listed = await counter.listed("alice")

    assert (added.id, "alice", "alice", "bound", None) == (
        listed.id,
        listed.name,
        listed.peer,
        listed.state,
        listed.wanted,
    )
    assert (0, 0, 0, None) == (listed.user_left, listed.server_left, listed.blocks, listed.last_seen)
    assert [("client.added", {"client": added.id, "peer": "alice"})] == counter.events


async def test_a_name_is_added_once_and_the_answer_says_who_has_it(counter):
    added = await counter.registry.add("alice")

    with pytest.raises(NothingChanged, match=added.id):
        await counter.registry.add("alice")


@pytest.mark.parametrize("name", ["", "Alice", "pool-01234567", "pool-x", "-a", "a b", "a" * 64, "ä", "a\n", "a/b"])
async def test_what_is_no_peer_name_is_not_added(counter, name):
    with pytest.raises(BadRequest, match="name: expected a peer name"):
        await counter.registry.add(name)
    assert [] == await counter.registry.listing()


async def test_the_list_shows_what_is_left_and_when_a_client_was_heard(counter, house):
    added = await counter.registry.add("alice")
    voice = Voice(house, await counter.assign(added))
    voice.register("alice")
    voice.fetch()
    listed = await counter.listed("alice")

    assert (2048 - 64 - 32 - 64, 2048 - 16 - 64, 1, house.now) == (
        listed.user_left,
        listed.server_left,
        listed.blocks,
        listed.last_seen,
    )


# --- assign ---------------------------------------------------------------------------------------


async def test_an_assigned_file_is_for_its_client_and_registers_without_proof(counter, house):
    added = await counter.registry.add("alice")
    block = await counter.assign(added, user=4096, server=1024)

    assert (added.id, "alice", HUB, 4096, 1024) == (
        block.client_id,
        block.name,
        block.hub,
        len(block.user),
        len(block.server),
    )
    assert 200 == Voice(house, block).register("alice").status


async def test_a_further_assigned_file_needs_no_proof_either(counter, house):
    added = await counter.registry.add("alice")
    statuses = [Voice(house, await counter.assign(added)).register("alice").status for _ in range(3)]

    assert [200] * 3 == statuses
    assert 3 == (await counter.listed("alice")).blocks


async def test_an_assigned_file_registers_under_no_other_name(counter, house):
    added = await counter.registry.add("alice")
    heard = Voice(house, await counter.assign(added)).register("mallory")

    assert (409, "name-mismatch") == (heard.status, heard.slug)


async def test_the_hubs_own_copy_is_durable_before_the_file_leaves(counter, house):
    added = await counter.registry.add("alice")
    block = await counter.assign(added)
    house.disk.crash(lose="all")
    house.boot()

    assert 200 == Voice(house, block).register("alice").status


async def test_first_refuses_whoever_has_had_psrd(counter, house):
    added = await counter.registry.add("alice")
    block = await counter.assign(added, first=True)
    with pytest.raises(NothingChanged):
        await counter.assign(added, first=True)
    house.run(lambda: house.books.deposits.retire(block.id, reason="test"))
    with pytest.raises(NothingChanged):
        await counter.assign(added, first=True)

    assert block.id != (await counter.assign(added)).id


async def test_of_two_who_ask_for_the_first_file_at_once_one_gets_it(counter):
    """Before, both did: the check and the entry were two transactions."""
    added, outcomes = await counter.registry.add("alice"), []

    async def ask():
        try:
            outcomes.append(await counter.assign(added, first=True))
        except NothingChanged:
            outcomes.append(None)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask)

    assert [3, 1] == [outcomes.count(None), len([block for block in outcomes if block])]
    assert 1 == len(counter.pads())


async def test_a_client_that_is_removed_while_its_file_is_made_gets_none(counter):
    """Before, its block was entered all the same, for an owner who was not there any more."""
    added, outcomes = await counter.registry.add("alice"), []

    async def ask():
        try:
            outcomes.append(await counter.assign(added))
        except NotFound as error:
            outcomes.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        for _ in range(2):
            await trio.lowlevel.checkpoint()
        await counter.registry.remove(added.id)

    assert isinstance(outcomes[0], NotFound)
    assert [] == counter.pads()


@pytest.mark.parametrize("size", [MIN_PAD - 1, 0, -1, MAX_PAD + 1])
async def test_pads_have_sizes_that_a_file_may_have(counter, size):
    added = await counter.registry.add("alice")

    with pytest.raises(BadRequest, match="user_bytes: expected 1024 to 67108864"):
        await counter.assign(added, user=size)
    with pytest.raises(BadRequest, match="server_bytes: expected 1024 to 67108864"):
        await counter.assign(added, server=size)
    assert [] == counter.pads()


async def test_who_is_unknown_gets_nothing(counter):
    with pytest.raises(NotFound):
        await counter.registry.assign(NOBODY, user_bytes=2048, server_bytes=2048, first=False)


async def test_a_client_of_the_pool_that_nobody_has_claimed_gets_nothing(counter, house):
    block = house.block()

    with pytest.raises(WrongState, match="no peer has claimed it yet"):
        await counter.registry.assign(block.client_id, user_bytes=2048, server_bytes=2048, first=False)


@pytest.mark.parametrize("call", ["create", "write_at", "sync", "sync_dir"])
async def test_a_file_that_could_not_be_made_leaves_nothing_behind(counter, house, call):
    added = await counter.registry.add("alice")
    house.disk.fail(call, errno.ENOSPC)
    with pytest.raises(StoreError):
        await counter.assign(added)
    house.disk.heal()

    assert [] == counter.pads()
    assert not (await counter.listed("alice")).blocks


async def test_while_a_fence_stands_no_file_is_made(counter, house):
    added = await counter.registry.add("alice")
    house.store.fence.put_up(Reason("moved-machine", 0, "", ""))

    with pytest.raises(StoreFenced):
        await counter.assign(added)
    assert [] == counter.pads()


# --- approve --------------------------------------------------------------------------------------


@pytest.fixture
def strict():
    with House(binding="manual") as made:
        yield made


async def test_a_registration_waits_until_it_is_approved_and_goes_through_then(strict):
    counter, voice = Counter(strict), strict.voice()
    refused = voice.register("alice")
    waiting = await counter.listed(voice.block.name)
    await counter.registry.approve(waiting.id)

    assert (403, "binding-refused") == (refused.status, refused.slug)
    assert ("waiting", "alice") == (waiting.state, waiting.wanted)
    assert "bound" == (await counter.listed(voice.block.name)).state
    assert 200 == voice.fetch().status
    assert 200 == voice.register("alice").status
    assert ("client.approved", {"client": waiting.id, "peer": "alice"}) == counter.events[-1]
    assert [True] == counter.stirred


async def test_what_was_approved_is_approved_across_power_loss(strict):
    counter, voice = Counter(strict), strict.voice()
    voice.register("alice")
    await counter.registry.approve(voice.block.client_id)
    strict.disk.crash()
    strict.boot()

    assert 200 == voice.fetch().status


async def test_who_does_not_wait_is_not_approved(strict):
    counter, voice = Counter(strict), strict.voice()

    with pytest.raises(NothingChanged, match="does not wait"):
        await counter.registry.approve(voice.block.client_id)
    with pytest.raises(NotFound):
        await counter.registry.approve(NOBODY)


async def test_of_two_who_want_one_name_the_first_to_be_approved_has_it(strict):
    counter, voices = Counter(strict), [strict.voice(), strict.voice()]
    for voice in voices:
        voice.register("alice")
    await counter.registry.approve(voices[1].block.client_id)

    with pytest.raises(NothingChanged, match="bound to another client by now"):
        await counter.registry.approve(voices[0].block.client_id)
    assert (403, 200) == (voices[0].fetch().status, voices[1].fetch().status)


async def test_asking_again_while_waiting_is_told_once(strict):
    voice = strict.voice()
    for _ in range(5):
        voice.register("alice")

    assert 1 == len([name for name, _ in strict.events if name == "client.waiting"])


async def test_the_name_that_waits_is_the_first_that_was_asked_for(strict):
    """Before, whoever held the file could ask for another name between the operator's look and their approval."""
    counter, voice = Counter(strict), strict.voice()
    voice.register("bob")
    seen = await counter.listed(voice.block.name)
    heard = voice.register("alice")
    await counter.registry.approve(seen.id)

    assert (403, "binding-refused", True) == (heard.status, heard.slug, heard.authenticated)
    assert ("bob", "bob") == (seen.wanted, (await counter.listed(voice.block.name)).peer)
    assert ["bob"] == [fields["peer"] for name, fields in strict.events if name == "client.waiting"]
    assert (409, "name-mismatch") == voice.register("alice")[:2]


async def test_the_name_that_waits_is_the_first_across_power_loss(strict):
    voice = strict.voice()
    voice.register("bob")
    strict.disk.crash()
    strict.boot()
    voice.register("alice")

    assert "bob" == strict.books.clients.get(voice.block.client_id).wanted


async def test_a_named_file_waits_for_nobody(strict):
    counter = Counter(strict)
    added = await counter.registry.add("alice")

    assert 200 == Voice(strict, await counter.assign(added)).register("alice").status


async def test_a_further_pool_file_with_a_proof_waits_for_nobody(strict):
    counter, first = Counter(strict), strict.voice()
    first.register("alice")
    await counter.registry.approve(first.block.client_id)

    assert 200 == strict.voice().register("alice", proof=first).status


# --- remove ---------------------------------------------------------------------------------------


async def test_of_a_removed_client_nothing_is_left(counter, house):
    alice, bob = house.voice("alice"), house.voice("bob")
    alice.deposit(deposit_of("bob"))
    bob.deposit(deposit_of("alice"))
    await counter.registry.remove(alice.block.client_id)
    house.run(lambda: None)

    assert [] == house.shares()
    assert "gone" != house.state(alice.block) == "retired"
    assert alice.block.id not in counter.pads()
    assert (409, "retired") == (alice.fetch().status, alice.fetch().slug)
    assert ["unknown-recoverer"] == bob.statuses(deposit_of("alice"))
    assert [("client.removed", {"client": alice.block.client_id})] == counter.events


async def test_a_removed_name_is_free_and_its_quota_is_forgotten(counter, house):
    alice, bob = house.voice("alice"), house.voice("bob")
    while alice.statuses(deposit_of("bob")) == ["stored"]:
        pass
    await counter.registry.remove(alice.block.client_id)
    again = house.voice("alice")

    assert ["stored"] == again.statuses(deposit_of("bob"))
    assert 200 == bob.fetch().status


async def test_who_is_unknown_is_not_removed(counter):
    with pytest.raises(NotFound):
        await counter.registry.remove(NOBODY)


async def test_a_client_is_removed_once(counter):
    added = await counter.registry.add("alice")
    await counter.registry.remove(added.id)

    with pytest.raises(NotFound):
        await counter.registry.remove(added.id)


@pytest.mark.parametrize("calls", range(12))
async def test_power_loss_while_a_client_is_removed_removes_it_whole_or_not_at_all(calls):
    with House(seed=calls) as house:
        counter, alice, bob = Counter(house), house.voice("alice"), house.voice("bob")
        alice.deposit(deposit_of("bob"))
        house.disk.power_off_after(calls)
        with house.disk.until_power_fails():
            await counter.registry.remove(alice.block.client_id)
        house.disk.crash()
        house.boot()
        there = house.books.clients.of_peer("alice") is not None

        assert there == (house.state(alice.block) == "ready") == bool(house.shares())
        assert there == (f"/state/pads/{alice.block.id}" in house.disk.files())
        assert 200 == bob.fetch().status


async def test_a_client_with_several_blocks_is_removed_with_all_of_them(network):
    hub, _ = await network.add_hub("h1"), await network.add_client("alice")
    for _ in range(3):
        await enrol(network, "alice", "h1")
    [known] = [client for client in await hub.hub.registry.listing() if client.peer == "alice"]
    blocks = hub.hub.books.clients.blocks(known.id)
    await hub.hub.registry.remove(known.id)
    await trio.sleep(30)

    assert 3 == len(blocks)
    assert not any(block in path for path in hub.disk.files() for block in blocks)
    assert {"unbound"} == {"bound" if client.peer else "unbound" for client in await hub.hub.registry.listing()}
