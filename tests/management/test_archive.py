"""What survives: the network, who may operate, sightings, and what was told of every change."""

import shutil
from errno import EIO
from functools import partial

import apsw
import pytest
import trio

from qfagent.errors import DiskFull, StoreError
from qfagent.management.archive import SCHEMA_VERSION, Archive
from qfagent.management.changes import find_changes
from qfagent.management.network import ALL, Group, Network, put
from qfagent.store.disk import RealDisk
from qfagent.testing.disk import MemoryDisk
from tests.management.desks import Desk, said
from tests.management.test_agents import LEVELS


async def test_everything_is_there_after_a_restart():
    desk = Desk()
    alice, hub = await desk.enrol("alice", "h1")
    await desk.mark(hub)
    await desk.report(hub, role="hub", hub=LEVELS)
    group = await desk.told("POST", "/api/groups", {"name": "lab", "peers": [alice["id"]]})
    await desk.policy(group["id"], ALL)
    await desk.mesh.save_presence()
    asked = ("/api/peers", "/api/groups", "/api/policies", "/api/setup-keys", "/api/events/audit")
    before = [await desk.get(path) for path in asked]
    views = [await desk.get("/agent/v1/view", token=peer["token"]) for peer in (alice, hub)]
    await desk.restart()

    assert before == [await desk.get(path) for path in asked]
    assert views == [await desk.get("/agent/v1/view", token=peer["token"]) for peer in (alice, hub)]


async def test_a_change_that_was_answered_survives_power_loss():
    desk = Desk()
    (hub,) = await desk.enrol("h1")
    await desk.mark(hub)
    expected = desk.network
    desk.disk.crash()
    desk.open()

    assert expected == desk.network


async def test_a_change_that_the_disk_does_not_take_has_not_happened_anywhere():
    desk = Desk()
    await desk.enrol("h1")
    before, version = desk.network, desk.mesh.version
    desk.archive._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(DiskFull):
        await desk.mesh.edit("anna", lambda network: put(network, *(Group(f"g{n}", "x" * 100) for n in range(1000))))

    assert (before, version) == (desk.network, desk.mesh.version)
    assert before == desk.archive.load()


async def test_a_change_that_the_disk_took_all_the_same_is_found_before_the_next_one():
    desk = Desk()
    await desk.enrol("alice")
    desk.disk.fail("sync_dir", EIO, times=1, after=1)  # the journal is gone already, so the change is there
    failed = await desk.ask("POST", "/api/groups", {"name": "lab"})
    before = {group.name for group in desk.network.groups.values()}
    again = await desk.ask("POST", "/api/groups", {"name": "lab"})

    assert (500, {"All"}, 409) == (failed.status, before, again.status)
    assert desk.network == desk.archive.load()


async def test_a_copy_of_the_file_is_a_backup(tmp_path):
    archive = Archive(RealDisk(), str(tmp_path / "management.db"))
    network = put(Network(), Group("g", "lab"))
    archive.save(find_changes(Network(), network), [], who="anna", now=0)
    shutil.copy(tmp_path / "management.db", tmp_path / "copy.db")
    copy = Archive(RealDisk(), str(tmp_path / "copy.db"))
    loaded = copy.load()
    archive.close()
    copy.close()

    assert network == loaded


async def test_somebody_who_reads_the_file_for_a_backup_is_waited_for(tmp_path):
    path = tmp_path / "management.db"
    archive, reader = Archive(RealDisk(), str(path)), apsw.Connection(str(path))
    reader.execute("BEGIN; SELECT * FROM things").fetchall()
    network = put(Network(), Group("g", "lab"))
    save = partial(archive.save, find_changes(Network(), network), [], who="anna", now=0)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, save)
            while not path.with_name("management.db-journal").exists():
                await trio.sleep(0.001)
            reader.execute("COMMIT")
    loaded = archive.load()
    archive.close()
    reader.close()

    assert network == loaded


def test_a_newer_file_is_refused():
    disk = MemoryDisk(0)
    disk.make_dir("/state", 0o700)
    archive = Archive(disk, "/state/m.db")
    archive._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    archive.close()

    with pytest.raises(StoreError, match="version"):
        Archive(disk, "/state/m.db")


def test_a_damaged_file_is_refused():
    disk = MemoryDisk(0)
    disk.make_dir("/state", 0o700)
    archive = Archive(disk, "/state/m.db")
    archive._connection.execute("INSERT INTO things (kind, id, said) VALUES ('peers', 'x', '{}')")

    with pytest.raises(StoreError, match="damaged"):
        archive.load()


async def test_sightings_of_peers_that_are_gone_are_dropped():
    desk = Desk()
    alice, bob = await desk.enrol("alice", "bob")
    await desk.report(alice)
    await desk.report(bob)
    await desk.mesh.save_presence()
    await desk.told("DELETE", f"/api/peers/{alice['id']}")
    await desk.report(bob)
    await desk.mesh.save_presence()

    assert [bob["id"]] == list(desk.archive.sightings()) == list(desk.mesh.presence.known())


async def test_a_full_disk_is_answered_with_507():
    desk = Desk()
    await desk.key()
    desk.archive._connection.execute("PRAGMA max_page_count = 1")
    answers = [await desk.ask("POST", "/api/groups", {"name": f"{n}" + "x" * 100}) for n in range(300)]

    assert 507 == answers[-1].status


# --- what is told of changes


async def told(desk):
    """The latest event."""
    event, *_ = await desk.get("/api/events/audit")
    meta = event["meta"]
    return event["initiator_name"], event["activity_code"], meta["name"], meta["before"], meta["after"]


async def test_every_change_is_told_with_who_what_before_and_after():
    desk = Desk()
    (alice,) = await desk.enrol("alice")
    enrolled = await told(desk)
    await desk.told("PUT", f"/api/peers/{alice['id']}", {"name": "alicia"})
    renamed = await told(desk)
    group = await desk.told("POST", "/api/groups", {"name": "lab"})
    made = await told(desk)
    await desk.told("PUT", f"/api/groups/{group['id']}", {"name": "lab", "peers": [alice["id"]]})
    joined = await told(desk)
    await desk.told("PUT", f"/api/groups/{group['id']}", {"name": "lab", "peers": []})
    left = await told(desk)
    await desk.told("DELETE", f"/api/groups/{group['id']}")
    removed = await told(desk)

    assert ("setup key lab", "peer.setupkey.add", "alice", "") == enrolled[:4]
    assert ("anna", "peer.rename", "alicia", '{"name":"alice"}', '{"name":"alicia"}') == renamed
    assert ("anna", "group.add", "lab", "", f'{{"id":"{group["id"]}","name":"lab"}}') == made
    assert ("anna", "peer.group.add", "alicia", '{"groups":[]}', f'{{"groups":["{group["id"]}"]}}') == joined
    assert ("anna", "peer.group.delete") == left[:2]
    assert ("anna", "group.delete", "lab", f'{{"id":"{group["id"]}","name":"lab"}}', "") == removed


@pytest.mark.parametrize(
    "asked, code",
    [
        ({"dske_security_hub": True}, "peer.hub.enable"),
        ({"ip": "100.64.9.9"}, "peer.ip.update"),
        ({"aes_exempt": True}, "peer.update"),
    ],
)
async def test_what_changed_of_a_peer_has_a_code(asked, code):
    desk = Desk()
    (peer,) = await desk.enrol("h1")
    await desk.told("PUT", f"/api/peers/{peer['id']}", asked)

    codes = [event["activity_code"] for event in await desk.get("/api/events/audit")]
    assert code in codes[:3]
    assert ("anna", "h1") in [(fields["who"], fields["target"]) for _, fields in desk.events if fields["code"] == code]


async def test_keys_and_policies_are_told_as_well():
    desk = Desk()
    key = await desk.key()
    await desk.told("PUT", f"/api/setup-keys/{key['id']}", {"revoked": True, "auto_groups": []})
    policy = await desk.policy(ALL, ALL)
    await desk.told("DELETE", f"/api/policies/{policy['id']}")
    await desk.told("DELETE", f"/api/setup-keys/{key['id']}")
    codes = [event["activity_code"] for event in await desk.get("/api/events/audit")]

    expected = ["setupkey.delete", "policy.delete", "policy.add", "setupkey.revoke", "setupkey.add"]
    assert expected == codes[:5]


async def test_what_changes_nothing_is_not_told_and_wakes_nobody():
    desk = Desk()
    (peer,) = await desk.enrol("alice")
    before = len(await desk.get("/api/events/audit")), desk.mesh.version
    await desk.told("PUT", f"/api/peers/{peer['id']}", {"name": "alice", "dske_security_hub": False})

    assert before == (len(await desk.get("/api/events/audit")), desk.mesh.version)


async def test_what_a_policy_or_a_key_names_can_not_be_removed():
    desk = Desk()
    group = await desk.told("POST", "/api/groups", {"name": "lab"})
    policy = await desk.policy(group["id"], ALL)
    by_policy = said(await desk.ask("DELETE", f"/api/groups/{group['id']}"))
    await desk.told("DELETE", f"/api/policies/{policy['id']}")
    key = await desk.key(auto_groups=[group["id"]])
    by_key = said(await desk.ask("DELETE", f"/api/groups/{group['id']}"))
    await desk.told("DELETE", f"/api/setup-keys/{key['id']}")

    assert [(400, True)] * 2 == [(status, "names it" in why) for status, why in (by_policy, by_key)]
    assert {} == await desk.told("DELETE", f"/api/groups/{group['id']}")
    assert "lab" not in [one["name"] for one in await desk.get("/api/groups")]


async def test_a_group_that_is_removed_is_left_by_all_its_members():
    desk = Desk()
    alice, _ = await desk.enrol("alice", "bob")
    group = await desk.told("POST", "/api/groups", {"name": "lab", "peers": [alice["id"]]})
    await desk.told("DELETE", f"/api/groups/{group['id']}")

    assert [frozenset()] * 2 == [peer.groups for peer in desk.atlas.peers]
    assert desk.network == desk.archive.load()
