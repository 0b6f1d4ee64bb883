"""The drop folder: whole files come in once, others wait or are set aside with the reason, and nothing is lost."""

import errno
import os
import queue
import resource
import shutil
import socket
import stat
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyEmitter

from qfagent.client.dropped import DropFolder
from qfagent.client.inbox import REJECTED_AFTER, STALLED_AFTER
from qfagent.dske import psrd
from qfagent.dske.psrd import HubAddress
from qfagent.errors import PsrdPreviouslyInserted, PsrdRejected, StoreError
from qfagent.store.disk import RealDisk
from qfagent.store.fence import Reason
from qfagent.store.leftovers import Place
from qfagent.testing.disk import MemoryDisk
from qfagent.watch import watching
from qfagent.world import at_once
from tests.client.boxes import AGENT_UID, Box, altered, as_user, file_of, make_block
from tests.conftest import on_a_clock_that_jumps

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)


@pytest.fixture(params=["memory", "real"])
def box(request, tmp_path):
    if request.param == "real":
        made = Box(RealDisk(), str(tmp_path))
        yield made
        made.store.close()
        return
    with MemoryDisk() as disk:
        yield Box(disk, "/agent")


@pytest.fixture
def memory():
    with MemoryDisk() as disk:
        yield Box(disk, "/agent")


@pytest.fixture
def real(tmp_path):
    made = Box(RealDisk(), str(tmp_path))
    yield made
    made.store.close()


def told(box):
    return [name for name, _ in box.events]


# --- what comes in --------------------------------------------------------------------------------


async def test_a_dropped_file_is_ingested_and_removed(box):
    box.drop("file.json", file_of())
    await box.scan()

    assert [make_block().id] == box.blocks == box.pads
    assert [] == box.waiting == box.refused
    assert ["psrd.ingested"] == told(box)
    assert [make_block().hub] == box.met


async def test_the_pad_that_is_kept_is_the_files(box):
    box.drop("file.json", file_of(user=2048, server=1024))
    await box.scan()
    block = make_block(user=2048, server=1024)

    assert block.user.reveal() + block.server.reveal() == box.read(f"{box.root}/private/pads/{block.id}")


async def test_what_was_ingested_is_overwritten_before_it_is_removed(real):
    real.drop("file.json", file_of())
    with closing(real.disk.open(real.path("file.json"))) as held:
        await real.scan()

        assert bytes(len(file_of())) == held.read_at(0, 10_000)
        assert [] == real.waiting


@pytest.mark.parametrize(
    "name",
    [".hidden", ".file.json.Xa3f9Q", "a.part", "a.json.part", "a.tmp", "a.json.filepart", ".a.swp", "a.swp", "a.json~"],
)
async def test_names_of_unfinished_files_are_left_alone(box, name):
    box.drop(name, file_of())
    await box.scan()

    assert [name] == box.waiting
    assert [] == box.events == box.blocks


@pytest.mark.parametrize("name", ["part", "a.part.json", "a~.json", "a.tmp1", "psrd", "a b.json", "ä.json", "a.JSON"])
async def test_other_names_are_taken_whatever_they_end_in(box, name):
    box.drop(name, file_of())
    await box.scan()

    assert [make_block().id] == box.blocks
    assert [] == box.waiting


async def test_a_file_is_taken_in_when_it_was_renamed_to_a_name_that_counts(box):
    box.drop(".file.json.Xa3f9Q", file_of())
    await box.scan()
    box.disk.rename(box.path(".file.json.Xa3f9Q"), box.path("file.json"))
    await box.scan()

    assert [make_block().id] == box.blocks


async def test_without_a_watch_a_file_is_found_within_the_interval(memory, nursery):
    await nursery.start(memory.inbox.run)
    memory.drop("file.json", file_of())
    await trio.sleep(11.1)

    assert [make_block().id] == memory.blocks


async def test_a_wake_up_brings_the_file_in_at_once(memory, nursery):
    await nursery.start(memory.inbox.run)
    await trio.sleep(1)
    memory.drop("file.json", file_of())
    memory.inbox.wake()
    await trio.sleep(0.001)

    assert [make_block().id] == memory.blocks


async def test_a_file_that_was_dropped_while_the_agent_was_down_is_found_at_start(memory, nursery):
    memory.drop("file.json", file_of())
    memory.disk.crash(lose="none")
    memory.boot()
    await nursery.start(memory.inbox.run)
    await trio.sleep(0.001)

    assert [make_block().id] == memory.blocks


async def test_thousands_of_files_at_once_all_come_to_where_they_belong(memory):
    for seed in range(300):
        memory.drop(f"good-{seed}.json", file_of(seed))
    for number in range(1500):
        memory.drop(f"bad-{number}.json", b"no PSRD")
    for number in range(200):
        memory.drop(f"cut-{number}.json", file_of(number)[:-9])
    await memory.scan()

    assert sorted(make_block(seed).id for seed in range(300)) == sorted(memory.blocks)
    assert [1500, 200] == [len(memory.refused), len(memory.waiting)]


# --- files that are not whole ---------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 20, 0.5, -2], ids=str)
async def test_a_cut_file_waits(box, cut):
    data = file_of()
    box.drop("file.json", data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    await box.scan()

    assert ["file.json"] == box.waiting
    assert [] == box.events == box.blocks == box.refused
    assert {} == box.inbox.issues()


async def test_a_file_that_arrives_in_pieces_comes_in_when_it_is_whole(box):
    data = file_of()
    box.drop("file.json", data[:100])
    for at in range(100, len(data), 500):
        await box.scan()
        assert [] == box.blocks
        box.append("file.json", data[at : at + 500])
    await box.scan()

    assert [make_block().id] == box.blocks
    assert [] == box.waiting


async def test_a_cut_file_is_an_issue_after_half_a_minute_without_growth(box):
    box.drop("file.json", file_of()[:100])
    await box.scan()
    await trio.sleep(STALLED_AFTER - 0.1)
    assert {} == box.inbox.issues()
    await trio.sleep(0.2)

    assert "file.json" in box.inbox.issues()["inbox-incomplete"]
    assert 1 == box.inbox.counts()["incomplete"]


async def test_growth_ends_the_issue_and_the_wait_begins_anew(box):
    box.drop("file.json", file_of()[:100])
    await box.scan()
    await trio.sleep(STALLED_AFTER + 1)
    box.append("file.json", file_of()[100:200])
    await box.scan()

    assert {} == box.inbox.issues()
    await trio.sleep(STALLED_AFTER + 1)
    assert "inbox-incomplete" in box.inbox.issues()


async def test_the_issue_ends_when_the_file_is_whole_or_gone(box):
    for name in ("one.json", "two.json"):
        box.drop(name, file_of()[:100])
    await box.scan()
    await trio.sleep(STALLED_AFTER + 1)
    box.append("one.json", file_of()[100:])
    box.disk.unlink(box.path("two.json"))
    await box.scan()

    assert {} == box.inbox.issues()
    assert 0 == box.inbox.counts()["incomplete"]


async def test_an_issue_names_a_few_files_and_how_many_more(memory):
    for number in range(1000):
        memory.drop(f"{number:04}.json", b"{")
    await memory.scan()
    await trio.sleep(STALLED_AFTER + 1)

    text = memory.inbox.issues()["inbox-incomplete"]
    assert "0000.json, 0001.json, 0002.json, 0003.json, 0004.json and 995 more" in text


async def test_a_cut_file_is_set_aside_after_a_day_and_not_before(box):
    box.drop("file.json", file_of()[:100])
    await box.scan()
    await trio.sleep(REJECTED_AFTER - 1)
    await box.scan()
    assert ["file.json"] == box.waiting
    await trio.sleep(2)
    await box.scan()

    assert ([], ["file.json"]) == (box.waiting, box.refused)
    assert "psrd-incomplete" == box.reason("file.json")["code"]


async def test_growth_puts_the_day_off(box):
    box.drop("file.json", file_of()[:100])
    await box.scan()
    await trio.sleep(REJECTED_AFTER - 1)
    box.append("file.json", b"A")
    await box.scan()
    await trio.sleep(REJECTED_AFTER - 1)
    await box.scan()

    assert ["file.json"] == box.waiting


async def test_a_cut_file_is_read_once_for_as_long_as_it_stays_the_same(real):
    real.drop("file.json", file_of()[:100])
    await real.scan()
    looks = []
    real.ingestion.ingest = partial(_note_and_ingest, looks, real.ingestion.ingest)
    for _ in range(5):
        await real.scan()
    assert [] == looks
    real.append("file.json", b"A")
    await real.scan()

    assert 1 == len(looks)


async def _note_and_ingest(looks, ingest, data, **how):
    looks.append(data)
    return await ingest(data, **how)


async def test_another_file_under_the_name_of_a_cut_one_is_judged_anew(box):
    box.drop("file.json", file_of()[:100])
    await box.scan()
    await trio.sleep(REJECTED_AFTER + 1)
    box.disk.unlink(box.path("file.json"))
    box.drop("file.json", file_of()[:101])
    await box.scan()

    assert ["file.json"] == box.waiting
    assert {} == box.inbox.issues()


# --- the same block again -------------------------------------------------------------------------


AGAIN = {
    "the same file": lambda data: data,
    "other spelling": lambda data: altered(data, comment="again"),
    "another hub": lambda data: altered(data, security_hub_id="b" * 32, security_hub_fqdn="else.mesh"),
    "another client": lambda data: altered(data, dske_client_username="pool-ffffffff"),
    "somebody else's name": lambda data: altered(data, dske_client_username="carol"),
}


@pytest.mark.parametrize("spell", AGAIN.values(), ids=AGAIN)
async def test_a_block_that_is_known_is_erased_and_told_whatever_the_file_says(box, spell):
    box.drop("one.json", file_of())
    await box.scan()
    box.drop("two.json", spell(file_of()))
    await box.scan()

    assert ["psrd.ingested", "psrd.duplicate"] == told(box)
    assert "two.json" == box.happened("psrd.duplicate")[0]["file"]
    assert [] == box.waiting == box.refused
    assert 1 == len(box.blocks)


async def test_a_block_that_is_known_is_overwritten_too(real):
    real.drop("one.json", file_of())
    await real.scan()
    real.drop("two.json", file_of())
    with closing(real.disk.open(real.path("two.json"))) as held:
        await real.scan()

        assert bytes(len(file_of())) == held.read_at(0, 10_000)


async def test_two_copies_at_once_come_in_once(box):
    for name in ("a.json", "b.json"):
        box.drop(name, file_of())
    await box.scan()

    assert [make_block().id] == box.blocks
    assert ["psrd.ingested", "psrd.duplicate"] == told(box)
    assert [] == box.waiting


async def test_a_copy_beside_the_command_comes_in_once(memory, nursery):
    memory.drop("file.json", file_of())
    nursery.start_soon(memory.scan)
    outcomes = []

    async def ingest():
        try:
            outcomes.append(await memory.ingestion.ingest(file_of()))
        except PsrdPreviouslyInserted:
            outcomes.append(None)

    async with trio.open_nursery() as callers:
        for _ in range(5):
            callers.start_soon(ingest)
    await memory.scan()

    assert 1 == len(memory.happened("psrd.ingested")) == len(memory.blocks)
    assert [] == memory.waiting


async def test_a_spent_block_is_known_for_ever(box):
    box.drop("one.json", file_of())
    await box.scan()
    box.store.run(lambda: box.desk.holdings.retire(make_block().id, reason="spent", state="gone"))
    box.store.erase()
    box.drop("two.json", file_of())
    await box.scan()

    assert ["psrd.ingested", "psrd.duplicate"] == told(box)
    assert [] == box.pads == box.waiting


def damaged(at):
    block = make_block()
    user = bytearray(block.user.reveal())
    user[at] ^= 1
    return psrd.encode(psrd.Block(block.hub, block.client_id, block.name, psrd.Secret(user), block.server))


@pytest.mark.parametrize("at", [16, 31, 32, 500, 959])
async def test_a_known_block_with_other_bytes_is_an_alarm_and_only_the_reason_is_kept(box, at):
    box.drop("one.json", file_of())
    await box.scan()
    box.drop("two.json", damaged(at))
    await box.scan()

    assert ["psrd.ingested", "psrd.contradiction"] == told(box)
    assert [] == box.refused == box.waiting
    assert "psrd-contradiction" == box.reason("two.json")["code"]
    pad = make_block().user.reveal() + make_block().server.reveal()
    assert pad == box.read(f"{box.root}/private/pads/{make_block().id}")


async def test_a_known_block_of_another_size_is_an_alarm(box):
    box.drop("one.json", file_of())
    await box.scan()
    box.drop("two.json", altered(file_of(server=2048)))
    await box.scan()

    assert ["psrd.ingested", "psrd.contradiction"] == told(box)


# --- what is refused ------------------------------------------------------------------------------


HUB_MISMATCH = file_of(2, hub=HubAddress("a" * 32, "elsewhere.mesh", 27277))
REFUSED = {
    "another peer": (file_of(2, name="carol"), "expected alice or a pool name, got carol"),
    "a hub that is not listed": (file_of(2, hub=HubAddress("c" * 32, "h3", 1)), "not in client.hubs"),
    "a hub that has moved": (HUB_MISMATCH, "hub-mismatch"),
    "a hub at another's address": (file_of(2, hub=HubAddress("b" * 32, "hub1.mesh", 27277)), "hub-mismatch"),
    "version": (altered(file_of(2), version=3), "version: expected the number 2"),
    "no version": (altered(file_of(2), version=None), "version: missing"),
    "hub id": (altered(file_of(2), security_hub_id="A" * 32), "security_hub_id: expected 32 lower-case hex digits"),
    "port": (altered(file_of(2), security_hub_port=0), "security_hub_port: expected"),
    "sizes": (altered(file_of(2), server_bytes=1025), "expected user_bytes + server_bytes = 2049 bytes, found 2048"),
    "too small": (altered(file_of(2), user_bytes=1023, server_bytes=1025), "user_bytes: expected a number"),
    "type": (altered(file_of(2), psrd=[1]), "psrd: expected a string"),
    "base64": (altered(file_of(2), psrd="A-_="), "psrd: expected standard base64"),
    "no JSON": (b"\x7fELF\x02\x01\x01 and so on", "expected one JSON object"),
    "no UTF-8": (b'{"a":"\xff\xff"}', "expected one JSON object in UTF-8"),
    "no object": (b"[1,2]", "expected a JSON object"),
    "twice": (b'{"version":2,"version":2}', "version: expected once"),
    "something behind it": (file_of(2) + b"{}", "expected one JSON object"),
    "zeros": (file_of(2).replace(b'"psrd":"', b'"psrd":"' + b"A" * 24), "zeros in a row"),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("data, reason", REFUSED.values(), ids=REFUSED)
async def test_a_file_that_can_not_be_taken_is_set_aside_with_the_reason(data, reason):
    with MemoryDisk() as disk:
        box = Box(disk, "/agent", f'hubs = ["{"a" * 32}", "{"b" * 32}"]')
        box.drop("first.json", file_of())
        await box.scan()
        box.drop("file.json", data)
        await box.scan()

        assert ([], ["file.json"]) == (box.waiting, box.refused)
        assert data == box.read(f"{box.rejected}/file.json")
        assert reason in box.reason("file.json")["reason"]
        assert "psrd-rejected" == box.reason("file.json")["code"]
        assert [("file.json", "psrd-rejected")] == [(e["file"], e["code"]) for e in box.happened("psrd.rejected")]
        assert [make_block().id] == box.blocks == box.pads


@pytest.mark.parametrize("data, reason", REFUSED.values(), ids=REFUSED)
async def test_neither_sidecar_nor_event_holds_a_byte_of_the_pad(data, reason, memory):
    memory.drop("file.json", data)
    await memory.scan()
    told = repr(memory.events) + "".join(
        memory.read(f"{memory.rejected}/{name}").decode()
        for name in memory.disk.list(memory.rejected)
        if name.endswith(".reason.json")
    )

    text = file_of(2).partition(b'"psrd":"')[2].decode()
    assert not any(text[at : at + 8] in told for at in range(len(text) - 8))


async def test_a_member_name_that_is_not_ours_is_not_repeated_either(memory):
    memory.drop("file.json", b'{"c2VjcmV0IHBhZCBieXRlcw==":1,"c2VjcmV0IHBhZCBieXRlcw==":2}')
    await memory.scan()

    assert "a member: expected once, found again" == memory.reason("file.json")["reason"]


async def test_half_a_character_in_a_member_name_stops_nothing(memory):
    """Before, the sidecar could not be written, and the agent ended."""
    memory.drop("a.json", rb'{"\ud800":1,"\ud800":2}')
    memory.drop("b.json", file_of())
    await memory.scan()

    assert (["a.json"], [make_block().id]) == (memory.refused, memory.blocks)


async def test_refused_files_of_one_name_do_not_replace_each_other(box):
    for number in range(4):
        box.drop("file.json", b"no PSRD %d" % number)
        await box.scan()

    contents = [box.read(f"{box.rejected}/{name}") for name in box.refused]
    assert ["file.json", "file.json.1", "file.json.2", "file.json.3"] == box.refused
    assert [b"no PSRD 0", b"no PSRD 1", b"no PSRD 2", b"no PSRD 3"] == contents
    assert 8 == len(box.disk.list(box.rejected))


async def test_a_file_named_like_a_reason_does_not_replace_one(box):
    box.drop("file.json", b"no PSRD")
    await box.scan()
    box.drop("file.json.reason.json", b"no PSRD either")
    await box.scan()

    assert "psrd-rejected" == box.reason("file.json")["code"]
    assert b"no PSRD either" == box.read(f"{box.rejected}/file.json.reason.json.1")


@pytest.mark.parametrize("length", [200, 238, 239, 255])
async def test_a_name_of_any_length_can_be_set_aside(real, length):
    """Before, the sidecar's name was too long for the disk, and everything behind the file was held back for ever."""
    Path(real.path("a" * length)).write_bytes(b"no PSRD")
    real.drop("b.json", file_of())
    await real.scan()

    assert ["a" * 200] == real.refused
    assert [make_block().id] == real.blocks
    assert [] == real.waiting


async def test_long_names_that_begin_alike_do_not_replace_each_other(real):
    for end in "bc":
        Path(real.path("a" * 250 + end)).write_bytes(end.encode())
    await real.scan()

    assert [b"b", b"c"] == [real.read(f"{real.rejected}/{name}") for name in sorted(real.refused, key=len)]


@pytest.mark.parametrize("data, where", [(file_of(), "blocks"), (b"no PSRD", "refused"), (b"{", "waiting")])
async def test_a_name_that_is_no_text_is_dealt_with_as_any_other(real, data, where):
    """Before, it could not be kept in the ledger, and the agent ended whenever it was started."""
    (Path(os.fsdecode(os.fsencode(real.folder) + b"/\xff\xfe.json"))).write_bytes(data)
    await real.scan()
    await trio.sleep(STALLED_AFTER + 1)

    assert 1 == len(getattr(real, where))
    assert 1 == sum(map(len, (real.blocks, real.refused, real.waiting)))
    repr((real.events, real.inbox.issues())).encode()


async def test_what_a_name_does_to_a_terminal_is_not_repeated(real):
    Path(real.path("a\n\x1b[2J.json")).write_bytes(b"no PSRD")
    Path(real.path("b\n\x1b[2J.json")).write_bytes(b"{")
    await real.scan()
    await trio.sleep(STALLED_AFTER + 1)

    assert ["a\\n\\x1b[2J.json"] == [event["file"] for event in real.happened("psrd.rejected")]
    assert real.inbox.issues()["inbox-incomplete"].isprintable()


# --- other things than files ----------------------------------------------------------------------


def link_to_a_file(path):
    Path(f"{path}.target").write_bytes(file_of())
    Path(path).symlink_to(f"{path}.target")
    Path(f"{path}.target").rename(Path(path).parent.parent / "target")


def two_names(path):
    Path(path).write_bytes(file_of())
    os.link(path, Path(path).parent.parent / "other-name")


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def huge(path):
    with Path(path).open("wb") as file:
        file.truncate(1 << 40)


KINDS = {
    "link": link_to_a_file,
    "dangling link": lambda path: Path(path).symlink_to("/nowhere"),
    "link to a folder": lambda path: Path(path).symlink_to("/"),
    "fifo": os.mkfifo,
    "socket": unix_socket,
    "folder": lambda path: Path(path).mkdir(),
    "full folder": lambda path: (Path(path).mkdir(), Path(path, "file.json").write_bytes(file_of())),
    "two names": two_names,
    "huge": huge,
    "device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
}


@pytest.fixture
def shallow():
    """A real box whose paths are short enough for a socket, and which everybody may reach."""
    folder = tempfile.mkdtemp(prefix="qf-", dir="/tmp")
    Path(folder).chmod(0o755)
    yield Box(RealDisk(), folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_plain_file_of_its_own_is_set_aside_unread(shallow, kind):
    if kind == "device" and os.geteuid():
        pytest.skip("only root can make a device")
    KINDS[kind](shallow.path("a.json"))
    shallow.drop("b.json", file_of(2))
    with trio.fail_after(1):
        await shallow.scan()

    assert ["a.json"] == shallow.refused
    assert "expected" in shallow.reason("a.json")["reason"]
    assert [make_block(2).id] == shallow.blocks
    assert [] == shallow.waiting


async def test_behind_a_link_nothing_is_read_or_changed(real):
    target = Path(real.root, "secret.json")
    target.write_bytes(file_of())
    Path(real.path("file.json")).symlink_to(target)
    await real.scan()

    assert file_of() == target.read_bytes()
    assert [] == real.blocks


async def test_under_its_other_name_a_hard_link_is_not_changed(real):
    other = Path(real.root, "other-name")
    other.write_bytes(file_of())
    os.link(other, real.path("file.json"))
    await real.scan()

    assert file_of() == other.read_bytes()
    assert "found one with 2" in real.reason("file.json")["reason"]


async def test_the_largest_file_that_can_be_one_is_read_and_one_byte_more_is_not(real, monkeypatch):
    monkeypatch.setattr(psrd, "MAX_FILE", len(file_of()))
    real.drop("a.json", file_of())
    real.drop("b.json", file_of(2) + b"\n")
    await real.scan()

    assert [make_block().id] == real.blocks
    assert f"expected at most {len(file_of())} bytes" in real.reason("b.json")["reason"]


async def test_a_refused_file_is_set_aside_on_another_file_system_too(tmp_path):
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to be had")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        box = Box(RealDisk(), str(tmp_path))
        box.folder = elsewhere
        box.inbox._folder.path = elsewhere
        box.drop("a.json", b"no PSRD")
        Path(box.root, "others").write_bytes(b"of somebody else")
        Path(elsewhere, "b.json").symlink_to(f"{box.root}/others")
        Path(elsewhere, "c.json").mkdir()
        box.drop("d.json", file_of())
        with closing(box.disk.open(box.path("a.json"))) as held:
            await box.scan()
            assert bytes(7) == held.read_at(0, 100)

        assert b"of somebody else" == Path(box.root, "others").read_bytes()
        assert (["a.json"], b"no PSRD") == (box.refused, box.read(f"{box.rejected}/a.json"))
        assert "found a link" in box.reason("b.json")["reason"]
        assert [make_block().id] == box.blocks
        assert ["c.json"] == box.waiting
        assert f"rm -r {elsewhere}/c.json" in box.inbox.issues()["inbox-unreadable"]


async def test_a_file_of_another_file_system_is_refused(tmp_path):
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to be had")
    folder = DropFolder(RealDisk(), str(tmp_path), rejected="")
    refused = pytest.raises(PsrdRejected, match="on the file system of its folder")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as mounted, refused, folder.open(mounted.name):
        pass


# --- files of other users -------------------------------------------------------------------------


def give_to_the_agent(box):
    if not os.geteuid():
        for path in (Path(box.root), *Path(box.root).rglob("*")):
            os.chown(path, AGENT_UID, AGENT_UID)


async def test_a_file_that_may_not_be_read_is_an_issue_that_names_the_remedy_and_ends_by_itself(shallow):
    shallow.drop("a b.json", file_of())
    Path(shallow.path("a b.json")).chmod(0)
    shallow.drop("c.json", file_of(2))
    give_to_the_agent(shallow)
    with as_user(AGENT_UID):
        await shallow.scan()
        await shallow.scan()
    issue = shallow.inbox.issues()["inbox-unreadable"]

    assert f"chmod g+r '{shallow.path('a b.json')}'" in issue
    assert [1, 1] == [len(shallow.happened("psrd.unreadable")), shallow.inbox.counts()["unreadable"]]
    assert ["a b.json"] == [name for name in shallow.waiting if name.startswith("a")]
    Path(shallow.path("a b.json")).chmod(0o644)
    with as_user(AGENT_UID):
        await shallow.scan()
    assert {} == {code: text for code, text in shallow.inbox.issues().items() if code == "inbox-unreadable"}
    assert make_block().id in shallow.blocks


@pytest.fixture
def foreign(shallow):
    """A box of the agent's user, and this thread acts as that user; files are dropped by root."""
    if os.geteuid():
        pytest.skip("only root can act for two users")
    give_to_the_agent(shallow)
    Path(shallow.folder).chmod(0o3730)
    return shallow


def dropped_by_root(box, name, data, mode):
    path = Path(box.path(name))
    path.write_bytes(data)
    os.chown(path, 0, AGENT_UID)
    path.chmod(mode)


async def test_a_file_that_may_only_be_read_is_removed_and_an_event_says_that_it_was_not_overwritten(foreign):
    dropped_by_root(foreign, "file.json", file_of(), 0o640)
    with closing(foreign.disk.open(foreign.path("file.json"))) as held, as_user(AGENT_UID):
        await foreign.scan()
        content = held.read_at(0, 10_000)

    assert ["psrd.ingested", "psrd.not-overwritten"] == told(foreign)
    assert foreign.path("file.json") == foreign.happened("psrd.not-overwritten")[0]["file"]
    assert file_of() == content
    assert [] == foreign.waiting


async def test_a_file_that_may_be_written_by_its_group_is_overwritten(foreign):
    dropped_by_root(foreign, "file.json", file_of(), 0o660)
    with closing(foreign.disk.open(foreign.path("file.json"))) as held, as_user(AGENT_UID):
        await foreign.scan()
        content = held.read_at(0, 10_000)

    assert ["psrd.ingested"] == told(foreign)
    assert bytes(len(file_of())) == content


async def test_an_unreadable_file_that_turns_out_to_be_cut_is_no_longer_called_unreadable(foreign):
    dropped_by_root(foreign, "file.json", file_of()[:100], 0o600)
    with as_user(AGENT_UID):
        await foreign.scan()
    Path(foreign.path("file.json")).chmod(0o640)
    with as_user(AGENT_UID):
        await foreign.scan()

    assert {} == foreign.inbox.issues()
    assert {"held": 0, "incomplete": 1, "unreadable": 0} == foreign.inbox.counts()


async def test_a_folder_of_somebody_else_holds_back_nothing_but_itself(foreign):
    """`scp -r`: without the right to write to it, the agent can't move a folder to another one."""
    Path(foreign.path("a")).mkdir(mode=0o755)
    dropped_by_root(foreign, "b.json", file_of(), 0o640)
    with as_user(AGENT_UID):
        await foreign.scan()
        await foreign.scan()

    assert [make_block().id] == foreign.blocks
    assert ["a"] == foreign.waiting
    assert f"rm -r {foreign.path('a')}" in foreign.inbox.issues()["inbox-unreadable"]
    assert [] == foreign.disk.list(foreign.rejected), "no reason is left for what was not set aside"


async def test_a_folder_of_somebody_else_that_stays_makes_no_scan_write_anything(foreign):
    folder = Path(foreign.path("a"))
    folder.mkdir(mode=0o755)
    with as_user(AGENT_UID):
        await foreign.scan()
        before = Path(foreign.rejected).stat().st_mtime_ns
        await foreign.scan()
        after = Path(foreign.rejected).stat().st_mtime_ns
    os.chown(folder, AGENT_UID, -1)
    with as_user(AGENT_UID):
        await foreign.scan()

    assert before == after
    assert (["a"], []) == (foreign.refused, foreign.waiting)
    assert "expected a file, found a folder" == foreign.reason("a")["reason"]


# --- faults of the disk ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE])
async def test_a_fault_holds_the_file_back_is_an_issue_and_passes_by_itself(memory, nursery, number):
    await nursery.start(memory.inbox.run)
    await trio.sleep(1)
    memory.drop("file.json", file_of())
    memory.disk.fail("create", number, times=10**9)
    memory.disk.fail("open", number, times=10**9)
    memory.inbox.wake()
    await trio.sleep(30)
    held, waiting = memory.inbox.issues(), memory.waiting
    memory.disk.heal()
    await trio.sleep(300)

    assert ["inbox-held"] == list(held)
    assert (["file.json"], []) == (waiting, memory.waiting)
    assert [make_block().id] == memory.blocks == memory.pads
    assert {} == memory.inbox.issues()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_keeps_failing_is_asked_ever_more_seldom(memory, nursery, number):
    await nursery.start(memory.inbox.run)
    memory.drop("file.json", file_of())
    memory.disk.fail("create", number, times=10**9)
    began = memory.disk.calls["create"]
    await trio.sleep(3600)

    assert memory.disk.calls["create"] - began < 60


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", range(0, 34, 3))
async def test_wherever_a_fault_strikes_nothing_is_lost_or_doubled(number, after):
    """A store that stands still after it is started again, as an operator would."""
    with MemoryDisk(after) as disk:
        box = Box(disk, "/agent")
        box.drop("file.json", file_of())
        disk.fail(None, number, after=after, times=3)
        for _ in range(4):
            await box.scan()
        disk.heal()
        if box.store.failed:
            disk.crash(lose="none")
            box.boot()
            box.store.fence.take_down()
        await box.scan()

        assert [make_block().id] == box.blocks == box.pads
        assert [] == box.waiting == box.refused
        assert {} == box.inbox.issues()


def failing(disk, call, path, number):
    """Lets a call on this path fail, on a real disk; the way back."""
    works = getattr(disk, call)

    def fail(at, *args, **how):
        if at == path:
            raise OSError(number, os.strerror(number), at)
        return works(at, *args, **how)

    setattr(disk, call, fail)
    return lambda: setattr(disk, call, works)


async def test_a_file_that_can_not_be_opened_holds_back_nothing_but_itself(real):
    """Before, one bad sector kept every file behind it out, for ever."""
    real.drop("a.json", file_of())
    real.drop("b.json", file_of(2))
    heal = failing(real.disk, "open", real.path("a.json"), errno.EIO)
    await real.scan()

    assert [make_block(2).id] == real.blocks
    assert "a.json is held back: input/output error" in real.inbox.issues()["inbox-held"]
    assert 1 == real.inbox.counts()["held"]
    heal()
    await real.scan()
    assert 2 == len(real.blocks)
    assert {} == real.inbox.issues()


async def test_a_file_that_can_not_be_removed_holds_back_nothing_but_itself(real):
    """Before, its removal was tried first and failed first in every round, and nothing more came in."""
    real.drop("a.json", file_of())
    heal = failing(real.disk, "unlink", real.path("a.json"), errno.EPERM)
    await real.scan()
    real.drop("b.json", file_of(2))
    await real.scan()

    assert {make_block().id, make_block(2).id} == set(real.blocks)
    assert (["a.json"], []) == (real.waiting, real.refused)
    assert "a.json is held back" in real.inbox.issues()["inbox-held"]
    heal()
    await real.scan()
    assert ([], {}) == (real.waiting, real.inbox.issues())


async def test_room_is_noticed_within_seconds_however_often_there_was_none(memory, nursery):
    """Before, every file that was dropped on a full disk doubled the wait, up to five minutes."""
    await nursery.start(memory.inbox.run)
    memory.drop("file.json", file_of())
    memory.disk.fail("create", errno.ENOSPC, times=10**9)
    for _ in range(20):
        memory.inbox.wake()
        await trio.sleep(0.1)
    memory.disk.heal()
    await trio.sleep(5)

    assert {} == memory.inbox.issues()
    assert [make_block().id] == memory.blocks


async def test_a_full_disk_is_not_tried_with_every_file(memory):
    for seed in range(20):
        memory.drop(f"{seed}.json", file_of(seed))
    memory.disk.fail("create", errno.ENOSPC, times=10**9)
    await memory.scan()

    assert 1 == memory.disk.calls["create"] - 20 - _made_at_start(memory)
    assert "everything is held back: no space left" in memory.inbox.issues()["inbox-held"]


def _made_at_start(box):
    with MemoryDisk() as disk:
        Box(disk, box.root)
        return disk.calls["create"]


async def test_a_fenced_store_holds_files_back_until_the_fence_is_lifted(memory):
    memory.store.fence.put_up(Reason("moved-machine", 0, "", "look"))
    memory.drop("file.json", file_of())
    await memory.scan()
    held = memory.inbox.issues()
    memory.store.fence.take_down()
    await memory.scan()

    assert "the store is fenced" in held["inbox-held"]
    assert ([make_block().id], [], {}) == (memory.blocks, memory.waiting, memory.inbox.issues())


async def test_a_folder_that_has_gone_is_an_issue_until_it_is_back(real):
    shutil.rmtree(real.folder)
    await real.scan()
    held = real.inbox.issues()
    Path(real.folder).mkdir()
    real.drop("file.json", file_of())
    await real.scan()

    assert "no such file or directory" in held["inbox-held"]
    assert ([make_block().id], {}) == (real.blocks, real.inbox.issues())


# --- files that change ----------------------------------------------------------------------------


def changing(change):
    """Does work as in a thread; in between, `change` happens behind the agent's back."""

    async def in_thread(work):
        result = await at_once(work)
        change(work)
        return result

    return in_thread


def is_reading(work):
    return getattr(work, "__name__", "") == "read"


@pytest.mark.parametrize("more", [b"\n", b" and more"])
async def test_what_is_added_while_a_file_is_ingested_is_judged_on_its_own(tmp_path, more):
    def change(work):
        if is_reading(work):
            box.append("file.json", more)

    box = Box(RealDisk(), str(tmp_path), in_thread=changing(change))
    box.drop("file.json", file_of())
    await box.scan()

    assert [make_block().id] == box.blocks
    assert file_of() + more == box.read(box.path("file.json"))


async def test_a_file_that_takes_the_place_of_another_while_that_is_ingested_comes_in_too(tmp_path):
    def change(work):
        if is_reading(work) and file_of(2) != box.read(box.path("file.json")):
            Path(box.root, "next").write_bytes(file_of(2))
            Path(box.root, "next").rename(box.path("file.json"))

    box = Box(RealDisk(), str(tmp_path), in_thread=changing(change))
    box.drop("file.json", file_of())
    await box.scan()
    assert file_of(2) == box.read(box.path("file.json"))
    await box.scan()

    assert {make_block().id, make_block(2).id} == set(box.blocks)
    assert [] == box.waiting


async def test_what_takes_the_place_of_a_file_while_that_is_overwritten_is_not_removed(real):
    real.drop("file.json", file_of())
    opened, works = [], real.disk.open

    class Watched:
        """A file; when it has been overwritten, another takes its place."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def sync(self):
            self.file.sync()
            Path(real.root, "next").write_bytes(file_of(2))
            Path(real.root, "next").rename(real.path("file.json"))

    def watch(path, **how):
        file = works(path, **how)
        if path == real.path("file.json") and not opened:
            opened.append(path)
            return Watched(file)
        return file

    real.disk.open = watch
    await real.scan()

    assert file_of(2) == real.read(real.path("file.json"))


async def test_a_file_that_vanishes_while_it_is_ingested_is_in_all_the_same(tmp_path):
    def change(work):
        if is_reading(work):
            Path(box.path("file.json")).unlink()

    box = Box(RealDisk(), str(tmp_path), in_thread=changing(change))
    box.drop("file.json", file_of())
    await box.scan()

    assert ([make_block().id], {}) == (box.blocks, box.inbox.issues())
    assert {} == box.ingestion.leftovers.all()


async def test_a_file_that_is_cut_while_it_is_read_is_not_half_ingested(tmp_path):
    cuts = []

    async def in_thread(work):
        if is_reading(work) and not cuts:
            cuts.append(os.truncate(box.path("file.json"), 500))
        return await at_once(work)

    box = Box(RealDisk(), str(tmp_path), in_thread=in_thread)
    box.drop("file.json", file_of())
    await box.scan()

    assert (["file.json"], [], []) == (box.waiting, box.blocks, box.pads)


# --- power loss -----------------------------------------------------------------------------------


def accounted_for(box):
    """The block is in, or its file is in the folder, or both; never neither."""
    waits = "file.json" in box.waiting and file_of() == box.read(box.path("file.json"))
    return (make_block().id in box.blocks) or waits


@pytest.mark.parametrize("lose", ["all", "some", "none"])
async def test_wherever_power_fails_the_block_comes_in_once_and_its_file_goes(lose):
    for calls in range(100):
        with MemoryDisk(calls) as disk:
            box = Box(disk, "/agent")
            box.drop("file.json", file_of())
            disk.power_off_after(calls)
            with disk.until_power_fails():
                await box.scan()
            if not disk.dead:
                assert calls > 15
                return
            disk.crash(lose=lose)
            box.boot()

            assert accounted_for(box), calls
            await box.scan()
            assert [make_block().id] == box.blocks == box.pads, calls
            assert [] == box.waiting == box.refused, calls
            assert {} == box.ingestion.leftovers.all(), calls
    raise AssertionError("power never lasted")


async def a_known_file(box):
    await box.ingestion.ingest(file_of())
    box.drop("file.json", file_of())


async def a_copy_in_a_leftovers_place(box):
    """Found by `power`, seed 2066: what was half erased was no file of the block any more, and was set aside."""
    leave_behind(box, file_of(), of_another=True)


@pytest.mark.parametrize("lose", ["all", "some", "none"])
@pytest.mark.parametrize("lay_down", [a_known_file, a_copy_in_a_leftovers_place], ids=["known", "leftover"])
async def test_wherever_power_fails_while_a_known_file_is_erased_it_goes_quietly_in_the_end(lay_down, lose):
    for calls in range(100):
        with MemoryDisk(calls) as disk:
            box = Box(disk, "/agent")
            await lay_down(box)
            disk.power_off_after(calls)
            with disk.until_power_fails():
                await box.scan()
            if not disk.dead:
                assert calls > 5
                return
            disk.crash(lose=lose)
            box.boot()
            await box.scan()

            assert [] == box.waiting == box.refused, calls
            assert [make_block().id] == box.blocks == box.pads, calls
    raise AssertionError("power never lasted")


@pytest.mark.parametrize("calls", range(0, 30, 3))
async def test_power_may_fail_again_while_the_agent_clears_up(calls):
    with MemoryDisk(calls) as disk:
        box = Box(disk, "/agent")
        box.drop("file.json", file_of())
        for more in range(30):
            disk.power_off_after((calls + more) % 31)
            with disk.until_power_fails():
                box.boot() if more else None
                await box.scan()
            disk.crash()
        box.boot()
        await box.scan()

        assert [make_block().id] == box.blocks == box.pads
        assert [] == box.waiting == box.refused


def leave_behind(box, data, *, of_another=False):
    """What a crash leaves between the commit of an ingestion and the end of its erasure, or another file there."""
    path = box.path("file.json")
    box.drop("file.json", data or file_of())
    with closing(box.disk.open(path)) as file:
        place = Place(path, file.facts().inode + of_another)
    box.store.pads.write(make_block())
    box.store.run(partial(box.ingestion._enter, make_block(), place))
    if data is None:
        box.disk.unlink(path)


HALF_ERASED = bytes(512) + file_of()[512:]


LEFT = {"whole": file_of(), "half": HALF_ERASED, "zeros": bytes(len(file_of())), "gone": None}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
async def test_what_a_crash_left_behind_is_erased_quietly(box, data):
    leave_behind(box, data)
    await box.scan()

    assert [] == box.waiting == box.events == box.refused
    assert {} == box.ingestion.leftovers.all()


@pytest.mark.parametrize("of_another", [False, True], ids=["copied over it", "in its place"])
async def test_a_new_file_under_the_name_of_a_leftover_is_not_erased_but_ingested(box, of_another):
    leave_behind(box, file_of(2), of_another=of_another)
    await box.scan()

    assert {make_block().id, make_block(2).id} == set(box.blocks)
    assert ["psrd.ingested"] == told(box)
    assert [] == box.waiting


@pytest.mark.parametrize("data, where", [(file_of(2)[:700], "waiting"), (b"something else", "refused")])
async def test_whatever_else_lies_under_the_name_of_a_leftover_is_not_erased(box, data, where):
    leave_behind(box, data)
    await box.scan()

    assert ["file.json"] == getattr(box, where)
    folder = box.folder if where == "waiting" else box.rejected
    assert data == box.read(f"{folder}/file.json")
    assert {} == box.ingestion.leftovers.all()


async def test_a_new_file_with_room_reserved_under_the_name_of_a_leftover_is_not_erased(box):
    """Before, what was not copied yet was taken for what half an erasure had left."""
    data = file_of(2)
    leave_behind(box, data[:700] + bytes(len(data) - 700), of_another=True)
    await box.scan()

    assert ["file.json"] == box.waiting + box.refused


async def test_an_earlier_copy_cut_short_that_power_loss_brings_back_in_its_place_is_erased(box):
    leave_behind(box, file_of()[:700], of_another=True)
    await box.scan()

    assert [] == box.waiting == box.refused


async def test_a_link_under_the_name_of_a_leftover_is_not_followed(real):
    leave_behind(real, None)
    target = Path(real.root, "target.json")
    target.write_bytes(file_of())
    Path(real.path("file.json")).symlink_to(target)
    await real.scan()

    assert file_of() == target.read_bytes()
    assert ["file.json"] == real.refused


async def test_a_store_that_fails_at_the_commit_keeps_the_file(memory):
    memory.drop("file.json", file_of())
    memory.disk.fail("sync", errno.EIO, after=1, times=1)  # the pad's goes well
    await memory.scan()

    assert memory.store.failed
    assert ["file.json"] == memory.waiting
    with pytest.raises(StoreError):
        await memory.ingestion.ingest(file_of())


# --- the watch ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    made.mkdir()
    (made / "old").write_bytes(b"old")
    (tmp_path / "outside").write_bytes(b"outside")
    return made


def write_and_close(folder):
    (folder / "new").write_bytes(b"new")


WAKING = {
    "closed after writing": write_and_close,
    "renamed in": lambda folder: (folder.parent / "outside").rename(folder / "new"),
    "renamed inside": lambda folder: (folder / "old").rename(folder / "new"),
    "renamed away": lambda folder: (folder / "old").rename(folder.parent / "new"),
    "deleted": lambda folder: (folder / "old").unlink(),
    "linked": lambda folder: os.link(folder.parent / "outside", folder / "new"),
}


@pytest.mark.trio(run=trio.run)
@pytest.mark.parametrize("happen", WAKING.values(), ids=WAKING)
async def test_the_watch_wakes_the_scanner_when_a_file_is(folder, happen):
    woken = trio.Event()
    with watching({str(folder): woken.set}):
        happen(folder)

        with trio.fail_after(10):
            await woken.wait()


@pytest.mark.trio(run=trio.run)
async def test_a_watch_that_is_stopped_between_two_looks_logs_nothing(folder, caplog):
    stopped = InotifyEmitter(queue.Queue(), ObservedWatch(str(folder), recursive=False))
    with watching({str(folder): lambda: None}):
        stopped.queue_events(0)

    assert [] == caplog.records


@pytest.mark.trio(run=trio.run)
async def test_reading_wakes_nobody(folder):
    woken = []
    with watching({str(folder): lambda: woken.append(True)}):
        for _ in range(5):
            (folder / "old").read_bytes()
            list(folder.iterdir())
        await trio.sleep(0.1)

    assert [] == woken


@pytest.mark.trio(run=trio.run)
async def test_a_file_dropped_into_a_watched_folder_is_in_long_before_the_next_scan(tmp_path, nursery):
    box = Box(RealDisk(), str(tmp_path), 'scan_interval = "1h"')
    await nursery.start(box.inbox.run)
    with watching({box.folder: box.inbox.wake}), trio.fail_after(10):
        Path(box.path(".file.json.Xy")).write_bytes(file_of())
        Path(box.path(".file.json.Xy")).rename(box.path("file.json"))
        while not box.blocks or box.waiting:
            await trio.sleep(0.01)

    assert ([make_block().id], []) == (box.blocks, box.waiting)
    nursery.cancel_scope.cancel()


@pytest.mark.trio(run=trio.run)
async def test_a_folder_that_can_not_be_watched_stops_nothing(tmp_path):
    """The watch is a hint: without it the scan finds everything. Before, the agent did not start."""
    with watching({str(tmp_path / "missing"): lambda: None}):
        await trio.lowlevel.checkpoint()


@pytest.mark.trio(run=trio.run)
async def test_where_the_kernel_has_no_watch_left_the_agent_works_without(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(os.scandir("/proc/self/fd")) as opened:
        highest = max(int(entry.name) for entry in opened)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    free = list(iter(partial(_duplicate, 0), None))
    try:
        with watching({str(folder): lambda: None}):
            await trio.lowlevel.checkpoint()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in free:
            os.close(descriptor)


def _duplicate(descriptor):
    """Another descriptor; None when there are no more."""
    try:
        return os.dup(descriptor)
    except OSError:
        return None
