"""A backup: names, addresses and tombstones, never a pad, and what is restored spends nothing."""

import json

import pytest

from qfagent.dske.pad import Direction
from qfagent.errors import Invalid, PsrdPreviouslyInserted, WrongState
from qfagent.store import backup
from qfagent.store.clients import Clients
from qfagent.store.holdings import Holdings
from qfagent.store.hubs import Pins
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import HUB, NOW, Home, block_of, home

__all__ = ["home"]

CONFIG = 'name = "alice"\n'


@pytest.fixture
def filled(home):
    """A client that has spent of one block and retired another."""
    pins = Pins(home.database)
    home.run(lambda: home.database.set("peer", "alice"))
    for seed in (1, 2):
        home.ingest(block_of(seed))
    home.run(lambda: pins.pin(HUB))
    home.take(block_of(1).id, 100)
    home.run(lambda: Holdings(home.database, home.ledger).retire(block_of(2).id, reason="test"))
    return home


def export(home):
    return home.run(lambda: backup.export(home.database, config=CONFIG))


def restored(data):
    disk = MemoryDisk()
    new = Home(disk)
    new.run(lambda: backup.restore(new.database, backup.parse(data)))
    return new


def test_a_backup_holds_no_byte_that_may_be_spent(filled):
    data = export(filled)

    for seed in (1, 2):
        block = block_of(seed)
        for pad in (block.user.reveal()[16:], block.server.reveal()):
            for at in range(0, len(pad) - 8, 8):
                assert pad[at : at + 8] not in data
                assert pad[at : at + 8].hex().encode() not in data


def test_a_backup_says_nothing_of_how_far_a_pad_is_spent(filled):
    before = export(filled)
    filled.take(block_of(1).id, 100)

    assert before == export(filled)


def test_configuration_and_hubs_come_back(filled):
    data = export(filled)
    new = restored(data)

    assert (CONFIG, "alice") == (backup.parse(data).config, new.database.get("peer"))
    assert [HUB] == new.run(Pins(new.database).all)
    new.disk.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_block_of_it_is_a_tombstone_that_never_comes_in_again(filled, seed):
    new = restored(export(filled))

    holding = new.run(lambda: Holdings(new.database, new.ledger).get(block_of(seed).id))

    assert ("gone", "restored") == (holding.state, holding.reason)
    with pytest.raises(PsrdPreviouslyInserted):
        new.run(lambda: new.ledger.check_new(block_of(seed)))
    new.disk.close()


def test_nothing_of_it_can_be_spent(filled):
    new = restored(export(filled))

    assert 0 == new.ledger.room(block_of(1).id)
    assert not new.ledger.can_prove(block_of(1).id)
    new.crash("none")
    assert [] == [path for path in new.disk.files() if block_of(1).id in path]
    new.disk.close()


def test_a_hubs_named_clients_come_back_without_their_blocks(home):
    clients = Clients(home.database, lambda n: bytes(range(n)))
    home.run(lambda: home.database.set("hub_id", HUB.id))
    alice = home.run(lambda: clients.add("alice", now=NOW))
    home.ingest(block_of(client=alice.id), own=Direction.SERVER, owner=alice.id)
    new = restored(export(home))
    again = Clients(new.database, bytes)

    assert HUB.id == new.database.get("hub_id")
    back = again.of_peer("alice")
    assert (alice.id, "alice", NOW, "none") == (back.id, back.name, back.created, back.handout)
    assert ([], "gone") == (again.blocks(alice.id), again.state_of(block_of().id))
    new.disk.close()


def test_clients_of_the_pool_are_not_part_of_it(home):
    clients = Clients(home.database, lambda n: bytes(range(n)))
    home.run(lambda: clients.add_for_pool(now=NOW))

    assert [] == backup.parse(export(home)).clients


def test_a_backup_is_restored_into_an_empty_folder_only(filled):
    data = export(filled)

    with pytest.raises(WrongState, match="in use"):
        filled.run(lambda: backup.restore(filled.database, backup.parse(data)))


def test_a_backup_of_a_restored_folder_is_the_same(filled):
    data = export(filled)
    new = restored(data)

    assert data == export(new)
    new.disk.close()


def changed(data, **members):
    return json.dumps(json.loads(data) | members).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-5],
        lambda data: b"[]",
        lambda data: b"\xff",
        lambda data: changed(data, format="1"),
        lambda data: changed(data, hubs=[["x"]]),
        lambda data: changed(data, blocks=[[1]]),
        lambda data: changed(data, peer=7),
    ],
)
def test_what_is_no_backup_is_refused(filled, spoil):
    with pytest.raises(Invalid, match="expected a backup of qfagent"):
        backup.parse(spoil(export(filled)))


def test_a_newer_format_is_refused(filled):
    with pytest.raises(Invalid, match="expected a backup of format 1, got 2"):
        backup.parse(changed(export(filled), format=2))
