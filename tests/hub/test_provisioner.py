"""The pool: always full, each file whole and for one client, and out for good once it has left."""

import errno
import json
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from qfagent.config import Provisioner as Settings, parse
from qfagent.dske import ids, psrd, wire
from qfagent.dske.psrd import HubAddress
from qfagent.errors import NotFound, StoreError
from qfagent.hub.provisioner import Premises, Provisioner
from qfagent.hub.registry import Registry
from qfagent.store.committer import Inline
from qfagent.store.disk import RealDisk
from qfagent.surroundings import Surroundings
from qfagent.testing.network import STATE
from tests.conftest import enrol, on_a_clock_that_jumps
from tests.hub.parties import HUB, House, Voice

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)
POOL = f"{STATE}/psrd-out"


def folder(machine):
    """What lies in the pool's folder, by name."""
    return {path.rpartition("/")[2]: data for path, data in machine.disk.files().items() if path.startswith(f"{POOL}/")}


def pads(machine):
    return {name for name in machine.disk.list(f"{STATE}/private/pads") if name != "CACHEDIR.TAG"}


# --- filling --------------------------------------------------------------------------------------


async def test_the_pool_is_full_when_the_hub_is_up(network):
    hub = await network.add_hub("h1")

    assert 5 == len(folder(hub)) == len(await hub.hub.provisioner.files())
    assert sorted(folder(hub)) == sorted(await hub.hub.provisioner.files())


async def test_each_file_is_whole_and_has_a_client_id_a_pool_name_and_a_block_of_its_own(network):
    hub = await network.add_hub("h1")
    blocks = {name: psrd.decode(data) for name, data in folder(hub).items()}

    for name, block in blocks.items():
        assert ids.matches(ids.POOL_NAME, block.name)
        assert f"{block.name}.json" == name
        assert HubAddress(hub.address.id, "h1", 27277) == block.hub
        assert (131_072, 131_072) == (len(block.user), len(block.server))
    assert 5 == len({block.id for block in blocks.values()}) == len({block.client_id for block in blocks.values()})
    assert pads(hub) == {block.id for block in blocks.values()}


async def test_the_hubs_own_copy_is_the_files(network):
    hub = await network.add_hub("h1")
    for data in folder(hub).values():
        block = psrd.decode(data)
        own = hub.disk.files()[f"{STATE}/private/pads/{block.id}"]

        assert block.user.reveal() + block.server.reveal() == own


async def test_sizes_and_number_are_the_configurations(network):
    hub = await network.add_hub("h1", "[hub.provisioner]\npool_size = 2\nuser_bytes = 1024\nserver_bytes = 3000")

    assert [(1024, 3000)] * 2 == [
        (len(block.user), len(block.server)) for block in map(psrd.decode, folder(hub).values())
    ]


async def test_a_pool_of_none_stays_empty(network):
    hub = await network.add_hub("h1", "[hub.provisioner]\npool_size = 0")
    await trio.sleep(100)

    assert {} == folder(hub)
    with pytest.raises(NotFound, match="the pool is empty"):
        await hub.hub.provisioner.take()


async def test_a_file_that_vanishes_is_replaced_within_the_interval(network):
    hub = await network.add_hub("h1")
    name = next(iter(folder(hub)))
    hub.disk.unlink(f"{POOL}/{name}")
    await trio.sleep(9.9)
    before = len(folder(hub))
    await trio.sleep(0.2)

    assert [4, 5] == [before, len(folder(hub))]
    assert name not in folder(hub)
    assert 1 == len(hub.happened("pool.handed-out"))


async def test_a_file_that_vanishes_is_replaced_at_once_when_the_watch_stirs(network):
    hub = await network.add_hub("h1")
    hub.disk.unlink(f"{POOL}/{next(iter(folder(hub)))}")
    hub.hub.provisioner.stir()
    await trio.sleep(0.001)

    assert 5 == len(folder(hub))


async def test_nothing_is_made_when_nothing_is_missing(network):
    hub = await network.add_hub("h1")
    before, calls = folder(hub), hub.disk.calls["create"]
    await trio.sleep(3600)

    assert before == folder(hub)
    assert calls == hub.disk.calls["create"]


async def test_a_new_configuration_counts_at_once(network):
    hub = await network.add_hub("h1")
    settings = Settings(pool_size=8, user_bytes=2048)
    hub.hub.provisioner.reconfigure(Premises(hub.disk, POOL, None, hub.address, settings))
    await trio.sleep(0.001)

    assert 8 == len(folder(hub))
    assert [2048] * 3 + [131_072] * 5 == sorted(len(psrd.decode(data).user) for data in folder(hub).values())


@pytest.mark.parametrize("name", ["README", "pool-0a1b2c3d.json.bak", "alice.json", ".hidden", "pool-xyz.json"])
async def test_files_of_others_are_left_alone(network, name):
    hub = await network.add_hub("h1")
    hub.disk.create(f"{POOL}/{name}", 3).close()
    await trio.sleep(30)

    assert name in folder(hub)
    assert 6 == len(folder(hub))


# --- taking ---------------------------------------------------------------------------------------


async def test_a_taken_file_is_out_for_good_and_replaced(network):
    hub = await network.add_hub("h1")
    block = psrd.decode(await hub.hub.provisioner.take())
    await trio.sleep(0.001)
    [client] = [client for client in await hub.hub.registry.listing() if client.id == block.client_id]

    assert "handed-out" == client.state
    assert f"{block.name}.json" not in folder(hub)
    assert 5 == len(folder(hub))


async def test_a_taken_file_is_marked_as_handed_out_before_its_first_byte_is_seen(network):
    for calls in range(40):
        hub = await network.add_hub(
            f"h{calls}", "[hub.provisioner]\npool_size = 1\nuser_bytes = 1024\nserver_bytes = 1024"
        )
        [name] = folder(hub)
        taken = []
        hub.disk.power_off_after(calls)
        with hub.disk.until_power_fails():
            taken.append(await hub.hub.provisioner.take())
        if not hub.disk.dead:
            assert calls > 3
            return
        assert taken == []  # what was not returned, nobody has seen
        hub._life.cancel()
        await trio.testing.wait_all_tasks_blocked()
        hub.disk.crash()
        await hub.boot()
        out = [client.name for client in await hub.hub.registry.listing() if client.state == "handed-out"]
        assert (f"{name.removesuffix('.json')}" in out) or name in await hub.hub.provisioner.files()
    raise AssertionError("power never lasted")


async def test_two_takers_at_once_get_different_files(network):
    hub, taken = await network.add_hub("h1"), []

    async def take():
        taken.append(psrd.decode(await hub.hub.provisioner.take()).id)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take)

    assert 5 == len(set(taken))


async def test_a_file_that_was_carried_away_is_not_taken_as_well(network):
    hub = await network.add_hub("h1", "[hub.provisioner]\npool_size = 2")
    carried, left = sorted(folder(hub))
    hub.disk.unlink(f"{POOL}/{carried}")

    assert left == f"{psrd.decode(await hub.hub.provisioner.take()).name}.json"


async def test_a_file_that_is_carried_away_while_it_is_taken_is_given_to_one_only(network):
    hub = await network.add_hub("h1", "[hub.provisioner]\npool_size = 2")
    provisioner, gone = hub.hub.provisioner, []
    take_one = provisioner._take_one

    def somebody_is_faster():
        data, client = take_one()
        if not gone:
            gone.append(client.name)
            hub.disk.unlink(f"{POOL}/{client.name}.json")
        return data, client

    provisioner._take_one = somebody_is_faster
    block = psrd.decode(await provisioner.take())

    assert block.name not in gone


async def test_a_taken_file_is_overwritten_where_it_lay(network):
    hub = await network.add_hub("h1")
    held = {name: hub.disk.open(f"{POOL}/{name}") for name in folder(hub)}
    block = psrd.decode(await hub.hub.provisioner.take())
    file = held[f"{block.name}.json"]

    assert bytes(file.size()) == file.read_at(0, file.size())


async def test_at_most_so_many_files_are_out_or_in_the_pool(network):
    hub = await network.add_hub("h1", "[hub.provisioner]\nmax_handed_out = 7")
    taken = 0
    with pytest.raises(NotFound):
        while True:
            await hub.hub.provisioner.take()
            taken += 1
            await trio.sleep(0.001)

    assert 7 == taken
    assert hub.happened("pool.limit")
    [client, *_] = [client for client in await hub.hub.registry.listing() if client.state == "handed-out"]
    await hub.hub.registry.remove(client.id)
    await trio.sleep(0.001)
    assert 1 == len(folder(hub))


# --- registration ---------------------------------------------------------------------------------


async def test_a_copied_file_is_overwritten_and_removed_when_its_client_registers_and_an_event_says_so(network):
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")
    name, data = next(iter(folder(hub).items()))
    held = hub.disk.open(f"{POOL}/{name}")
    alice.drop("copy.json", data)
    await trio.sleep(1)

    assert name not in folder(hub)
    assert 5 == len(folder(hub))
    assert bytes(len(data)) == held.read_at(0, len(data))
    assert [psrd.decode(data).client_id] == [event.get("client") for event in hub.happened("pool.removed")]


async def test_a_file_that_was_put_back_while_it_was_out_is_removed_when_its_client_registers(network):
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")
    data = await hub.hub.provisioner.take()
    name = f"{psrd.decode(data).name}.json"
    put_back(hub, name, data)
    await trio.sleep(30)
    assert name in folder(hub)
    alice.drop("file.json", data)
    await trio.sleep(1)

    assert name not in folder(hub)
    assert alice.happened("psrd.registered")


async def test_a_file_that_is_put_back_after_its_client_has_registered_is_removed_too(network):
    """Before, it stayed for ever, with the pads of a live block in it, and could be carried to somebody else."""
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")
    data = await network.carry(hub, alice)
    await trio.sleep(5)
    name = f"{psrd.decode(data).name}.json"
    put_back(hub, name, data)
    held = hub.disk.open(f"{POOL}/{name}")
    await trio.sleep(11)

    assert name not in folder(hub)
    assert bytes(len(data)) == held.read_at(0, len(data))
    assert {"file": name, "reason": "no client waits for it"} in hub.happened("pool.removed")


async def test_pool_files_of_an_earlier_life_are_removed_since_nobody_could_register_with_them(network):
    hub = await network.add_hub("h1")
    dead = psrd.encode(psrd.Block(hub.address, "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b", "pool-0a1b2c3d", *pair()))
    put_back(hub, "pool-0a1b2c3d.json", dead)
    await trio.sleep(11)

    assert "pool-0a1b2c3d.json" not in folder(hub)


def pair():
    with House() as house:
        block = house.block(user=1024, server=1024)
    return block.user, block.server


def put_back(hub, name, data):
    file = hub.disk.create(f"{POOL}/{name}", len(data))
    file.write_at(0, data)
    file.sync()
    file.close()
    hub.disk.sync_dir(POOL)


async def test_a_further_file_that_joins_its_peer_is_removed_and_so_is_the_client_that_came_with_it(network):
    hub, alice = await network.add_hub("h1"), await network.add_client("alice")
    await enrol(network, "alice", "h1")
    name, data = next(iter(folder(hub).items()))
    alice.drop("copy.json", data)
    await trio.sleep(5)

    assert name not in folder(hub)
    assert psrd.decode(data).client_id not in [client.id for client in await hub.hub.registry.listing()]
    assert 2 == len(alice.happened("psrd.registered"))


async def test_of_a_client_that_is_removed_the_file_in_the_pool_goes_too(network):
    hub = await network.add_hub("h1")
    name, data = next(iter(folder(hub).items()))
    block = psrd.decode(data)
    await hub.hub.registry.remove(block.client_id)
    await trio.sleep(1)

    assert name not in folder(hub)
    assert block.id not in pads(hub)
    assert block.client_id not in [client.id for client in await hub.hub.registry.listing()]


# --- a hub that moves -----------------------------------------------------------------------------


async def moved(hub, host="elsewhere.mesh", port=27277):
    await hub.crash()
    hub.address = HubAddress(hub.address.id, host, port)
    await hub.boot()


@pytest.mark.parametrize("where", [{"host": "elsewhere.mesh"}, {"port": 7}])
async def test_a_hub_with_another_name_or_port_makes_its_pool_anew(network, where):
    hub = await network.add_hub("h1")
    before, blocks = set(folder(hub)), pads(hub)
    await moved(hub, **where)

    assert before.isdisjoint(folder(hub))
    assert blocks.isdisjoint(pads(hub))
    assert {hub.address} == {psrd.decode(data).hub for data in folder(hub).values()}
    assert 5 == len(folder(hub))


async def test_a_hub_that_stays_keeps_its_pool(network):
    hub = await network.add_hub("h1")
    before = folder(hub)
    await moved(hub, "h1")

    assert before == folder(hub)


async def test_a_file_that_was_carried_away_before_the_hub_moved_stays_good(network):
    """Before, what vanished while the agent was down was forgotten with the rest, and nobody could register with it."""
    hub = await network.add_hub("h1")
    name, data = next(iter(folder(hub).items()))
    await hub.crash()
    hub.disk.unlink(f"{POOL}/{name}")
    hub.disk.sync_dir(POOL)
    hub.address = HubAddress(hub.address.id, "elsewhere.mesh", 27277)
    await hub.boot()
    [client] = [c for c in await hub.hub.registry.listing() if c.id == psrd.decode(data).client_id]

    assert ("handed-out", 1) == (client.state, client.blocks)
    assert psrd.decode(data).id in pads(hub)


async def test_files_that_are_out_and_clients_that_are_bound_survive_a_move(network):
    hub, _ = await network.add_hub("h1"), await network.add_client("alice")
    await enrol(network, "alice", "h1")
    out = psrd.decode(await hub.hub.provisioner.take())
    await moved(hub)
    states = {client.id: client.state for client in await hub.hub.registry.listing()}

    assert "handed-out" == states[out.client_id]
    assert "bound" in states.values()


# --- expiry ---------------------------------------------------------------------------------------


async def test_files_that_were_handed_out_long_ago_and_never_used_are_forgotten_on_request(network):
    hub = await network.add_hub("h1")
    old = psrd.decode(await hub.hub.provisioner.take())
    await trio.sleep(1000)
    new = psrd.decode(await hub.hub.provisioner.take())

    assert 1 == await hub.hub.registry.expire(older_than=500)
    known = [client.id for client in await hub.hub.registry.listing()]
    assert (False, True) == (old.client_id in known, new.client_id in known)
    assert old.id not in pads(hub)


async def test_a_file_that_lay_in_the_pool_for_long_is_young_when_it_is_handed_out(network):
    """Before, its age counted from when it was made: what had just been carried away was forgotten."""
    hub = await network.add_hub("h1", '[hub.provisioner]\ninterval = "1h"')
    await trio.sleep(30 * 86_400)
    taken = psrd.decode(await hub.hub.provisioner.take())

    assert 0 == await hub.hub.registry.expire(older_than=86_400)
    assert taken.client_id in [client.id for client in await hub.hub.registry.listing()]


async def test_who_waits_for_approval_has_claimed_its_file_and_is_not_forgotten(network):
    """Before, it was: its PSRD was destroyed while it waited for the operator."""
    hub, alice = await network.add_hub("h1", 'binding = "manual"'), await network.add_client("alice")
    await network.carry(hub, alice)
    await trio.sleep(5)

    assert 0 == await hub.hub.registry.expire(older_than=0)
    assert ["alice"] == [client.wanted for client in await hub.hub.registry.listing() if client.state == "waiting"]


async def test_neither_bound_nor_named_clients_nor_the_pool_expire(network):
    hub, _ = await network.add_hub("h1"), await network.add_client("alice")
    await enrol(network, "alice", "h1")
    await hub.hub.registry.add("carol")
    await trio.sleep(100)

    assert 0 == await hub.hub.registry.expire(older_than=0)
    assert 5 == len(folder(hub))


# --- faults and power loss ------------------------------------------------------------------------


class Works:
    """A provisioner and its books, driven round by round."""

    settings = Settings(pool_size=2, user_bytes=1024, server_bytes=1024)

    def __init__(self, house):
        self.house = house

    async def open(self):
        house = self.house
        config = parse('name = "h1"\ninterface = ""')
        around = Surroundings(
            house.store, Inline(house.store), house.disk, house.world, self.note, lambda: config, None
        )
        self.provisioner = Provisioner(around, house.books, Premises(house.disk, "/pool", None, HUB, self.settings))
        self.registry = Registry(around, house.books, lambda: HUB, stir=lambda: None)
        await self.provisioner._prepare()
        await self.provisioner._tend()

    def note(self, name, /, **fields):
        pass

    async def tend(self):
        await self.provisioner._tend()
        return self.provisioner.problem

    async def restart(self, lose="some"):
        self.house.disk.crash(lose=lose)
        self.house.boot()
        await self.open()

    def files(self):
        files = self.house.disk.files()
        return {path.removeprefix("/pool/"): data for path, data in files.items() if path.startswith("/pool/")}

    async def check(self, seen):
        """Every file is whole, of a block that the hub holds, which was in no other file; `seen`: id -> name."""
        states = {client.name: client.state for client in await self.registry.listing()}
        for name, data in self.files().items():
            assert not name.startswith("."), "unfinished writes are completed"
            block = psrd.decode(data)
            assert self.house.state(block) == "new"
            own = self.house.disk.files()[f"/state/pads/{block.id}"]
            assert block.user.reveal() + block.server.reveal() == own
            assert seen.setdefault(block.id, name) == name
            assert states[block.name] in ("pool", "handed-out")


@pytest.mark.parametrize("lose", ["all", "some", "none"])
async def test_wherever_power_fails_while_the_pool_is_filled_no_file_is_there_that_the_hub_does_not_know(lose):
    for calls in range(150):
        with House(seed=calls) as house:
            works = Works(house)
            house.disk.power_off_after(calls)
            with house.disk.until_power_fails():
                await works.open()
            if not house.disk.dead:
                assert calls > 30
                return
            await works.restart(lose)
            await works.check({})

            ready = [name for name in works.files() if name in await works.provisioner.files()]
            assert 2 == len(ready), calls
    raise AssertionError("power never lasted")


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_to_it_a_block_is_in_one_file_and_handed_out_once(seed):
    with House(seed=seed) as house:
        works, chance, seen, given = Works(house), house.disk.chance, {}, set()
        await works.open()
        for _ in range(25):
            house.disk.power_off_after(chance.randrange(60))
            with house.disk.until_power_fails():
                for _ in range(chance.randrange(4)):
                    with suppress(NotFound):
                        block = psrd.decode(await works.provisioner.take())
                        assert block.id not in given
                        given.add(block.id)
                    await works.tend()
            if not house.disk.dead:
                house.disk.power_off_after(10**9)
                if works.files() and chance.random() < 0.5:
                    name, data = next(iter(works.files().items()))
                    house.disk.unlink(f"/pool/{name}")
                    house.disk.sync_dir("/pool")
                    assert psrd.decode(data).id not in given
                    given.add(psrd.decode(data).id)
            else:
                await works.restart()
            await works.check(seen)
            ready = await works.provisioner.files()
            assert given.isdisjoint(psrd.decode(works.files()[name]).id for name in ready if name in works.files())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["create", "write_at", "rename", "sync_dir", "list", "unlink", "open"])
async def test_a_fault_is_a_problem_that_passes_and_leaves_nothing_behind(call, number):
    with House() as house:
        works = Works(house)
        await works.open()
        if call in ("unlink", "open"):
            name = next(iter(works.files()))
            await works.registry.remove(psrd.decode(works.files()[name]).client_id)
        elif call != "list":
            await works.provisioner.take()
        house.disk.fail(call, number, times=5)
        problem = await works.tend()
        house.disk.heal()
        if house.store.failed:
            await works.restart("none")
            house.store.fence.take_down()
        assert await works.tend() is None
        await works.check({})

        assert isinstance(problem, StoreError)
        assert 2 == len(await works.provisioner.files()) == len(works.files())
        assert len(works.files()) + 1 >= len([p for p in house.disk.list("/state/pads") if p != "CACHEDIR.TAG"])


async def test_a_disk_that_stays_full_fills_up_with_nothing():
    with House() as house:
        works = Works(house)
        await works.open()
        for _ in range(20):
            await works.provisioner.take() if await works.provisioner.files() else None
            house.disk.fail("create", errno.ENOSPC, after=1, times=1)  # the pad's goes well, the file's does not
            await works.tend()
        house.disk.heal()
        pads_there = [p for p in house.disk.list("/state/pads") if p != "CACHEDIR.TAG"]
        listed = await works.registry.listing()

        assert len(pads_there) == len(listed) == sum(client.blocks for client in listed)


async def test_while_a_fence_stands_no_file_is_made(network):
    hub = await network.add_hub("h1")
    hub.store.stop(StoreError("test"))
    hub.store._failure = None
    hub.disk.unlink(f"{POOL}/{next(iter(folder(hub)))}")
    await trio.sleep(30)

    assert 4 == len(folder(hub))
    assert "fenced" in str(hub.hub.provisioner.problem)
    hub.store.fence.take_down()
    await trio.sleep(11)
    assert 5 == len(folder(hub))


# --- on a real disk -------------------------------------------------------------------------------


async def test_on_a_real_disk_files_are_for_their_group_and_nobody_else(tmp_path):
    with House() as house:
        works = Works(house)
        await works.open()
        disk = RealDisk()
        works.provisioner._premises = Premises(disk, f"{tmp_path}/pool", None, HUB, works.settings)
        await works.provisioner._prepare()
        await works.tend()
        made = sorted(Path(tmp_path, "pool").iterdir())

        assert 0o750 == stat.S_IMODE(Path(tmp_path, "pool").stat().st_mode)
        assert [0o640] * 2 == [stat.S_IMODE(path.stat().st_mode) for path in made]
        assert all(ids.matches(ids.POOL_NAME, json.loads(path.read_text())["dske_client_username"]) for path in made)


# --- the file at work -----------------------------------------------------------------------------


async def test_a_pool_file_is_all_that_its_client_needs():
    with House() as house:
        block = psrd.decode(psrd.encode(house.block()))
        voice = Voice(house, block)

        assert 200 == voice.register("alice").status
        assert 200 == voice.say(wire.FETCH, {"secrets": []}).status
