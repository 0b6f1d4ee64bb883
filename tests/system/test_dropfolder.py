"""The drop folder as its users know it: a real sshd, real tools on the other end, and all that goes wrong with them."""

import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qfagent.dske.psrd import HubAddress
from qfagent.testing.processes import wait_until
from tests.client.boxes import file_of, make_block
from tests.system import harbour as harbours
from tests.system.harbour import needs_harbour, qufabric
from tests.system.volume import small_tmpfs

pytestmark = needs_harbour

NOWHERE = HubAddress("a" * 32, "127.0.0.1", 9)
NUMBERS = itertools.count(1)
MANY = 300
NEVER = 'scan_interval = "1h"'  # but for the watch
OFTEN = 'scan_interval = "200ms"'
DUPLICATE, REJECTED = 9, 8  # exit codes


@pytest.fixture(scope="module")
def harbour():
    with harbours.opened() as made:
        yield made


@pytest.fixture
def client(harbour):
    """Starts an agent with the settings that it is given."""
    agents = []

    def start(settings=NEVER, name=None):
        agents.append(harbour.agent(name or f"peer-{next(NUMBERS)}", settings))
        agents[-1].start()
        agents[-1].wait_up()
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()
        sys.stderr.write(agent.log.read_text())  # shown with a test that failed


@pytest.fixture
def alice(client):
    return client()


def cargo(harbour, seed=1, *, pad=1024, name=None):
    """A PSRD file on the other machine."""
    path = harbour.folder / (name or f"cargo-{seed}.json")
    path.write_bytes(file_of(seed, user=pad, server=pad, hub=NOWHERE))
    path.chmod(0o644)
    return path


def block(seed=1, *, pad=1024):
    return make_block(seed, user=pad, server=pad, hub=NOWHERE).id


def inbox(agent):
    beside = agent.folder / f"{agent.name}-in"
    return beside if beside.exists() else agent.state / "psrd-in"


def waiting(agent):
    return sorted(path.name for path in inbox(agent).iterdir())


def blocks(agent):
    return [entry["block"] for entry in agent.agent.ledger()]


def rejected(agent):
    """The codes of what was refused, by name."""
    folder = agent.state / "private" / "rejected"
    return {path.name.removesuffix(".reason.json"): code_of(path) for path in folder.glob("*.reason.json")}


def code_of(path):
    return json.loads(path.read_text())["code"]


def log(agent):
    return [json.loads(line) for line in agent.log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def told(agent, event):
    return [found for found in agent.agent.recent_events() if found["event"] == event]


def issues(agent):
    return {issue["code"]: issue["detail"] for issue in agent.agent.ready()["issues"]}


def counted(agent, state):
    """How many files wait in the folder, by why."""
    return f'qfagent_inbox_files{{state="{state}"}} 1.0' in agent.agent.metrics()


def is_taken_in(agent, *seeds, pad=1024):
    return {block(seed, pad=pad) for seed in seeds} <= set(blocks(agent)) and not waiting(agent)


# --- ways to carry a file -------------------------------------------------------------------------


def scp(harbour, source, target, *options):
    return ["scp", *options, *harbour.options(), source, f"carrier@127.0.0.1:{target}"]


def old_scp(harbour, source, target):
    return scp(harbour, source, target, "-O")


def rsync(harbour, source, target):
    shell = shlex.join(["ssh", *harbour.options()])
    return ["rsync", "--archive", "--rsh", shell, source, f"carrier@127.0.0.1:{target}"]


def sftp(harbour, source, target):
    return ["sh", "-c", f'echo "put {source} {target}" | sftp -b - {shlex.join(harbour.options())} carrier@127.0.0.1']


def mv(harbour, source, target):
    away = f"cat >{harbour.home}/new && mv {harbour.home}/new {target}"
    return ["sh", "-c", f"ssh {shlex.join(harbour.options())} carrier@127.0.0.1 '{away}' <{source}"]


WAYS = [scp, old_scp, rsync, sftp, mv]


def carry(harbour, source, agent, *, by=scp, name=None):
    done = subprocess.run(by(harbour, source, inbox(agent) / (name or source.name)), capture_output=True, check=False)
    assert 0 == done.returncode, done.stderr


def load_of(harbour, seeds, *, pad=1024):
    """A folder full of files."""
    folder = harbour.folder / f"load-{next(NUMBERS)}"
    folder.mkdir()
    for seed in seeds:
        cargo(harbour, seed, pad=pad, name=f"{folder.name}/{seed}.json")
    return folder


def carry_all(harbour, load, agent):
    """At once; that rsync can't list or date the folder itself is none of its files' business."""
    subprocess.run(rsync(harbour, f"{load}/", f"{inbox(agent)}/"), check=False, capture_output=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_carried_is_taken_in_and_gone(harbour, alice, way):
    carry(harbour, cargo(harbour), alice, by=way)

    wait_until(lambda: is_taken_in(alice, 1), "the file")
    assert {} == rejected(alice)


@pytest.mark.parametrize("way", [scp, rsync])
def test_a_file_of_0640_is_readable_and_what_can_not_be_overwritten_is_told(harbour, alice, way):
    source = cargo(harbour)
    source.chmod(0o640)
    carry(harbour, source, alice, by=way)

    wait_until(lambda: told(alice, "psrd.not-overwritten"), "word of it")
    assert is_taken_in(alice, 1)
    assert [source.name] == [Path(event["file"]).name for event in told(alice, "psrd.not-overwritten")]


def test_a_file_that_may_be_overwritten_is(harbour, client):
    alice = client()
    source = cargo(harbour)
    alice.stop()
    carry(harbour, source, alice)
    harbour.ssh(f"chmod 0660 {inbox(alice)}/{source.name}")
    held = (inbox(alice) / source.name).open("rb")
    alice.start()
    alice.wait_up()

    wait_until(lambda: is_taken_in(alice, 1), "the file")
    with held:
        assert bytes(source.stat().st_size) == held.read()


def test_whoever_drops_files_can_not_list_them(harbour, alice):
    carry(harbour, cargo(harbour), alice, name="looked-for.tmp")

    assert b"Permission denied" in harbour.ssh(f"ls {inbox(alice)}").stderr


# half a minute for the whole file, so that no busy machine sees only its end
SLOWLY = {scp: ["-l", "800"], old_scp: ["-l", "800"], rsync: ["--inplace", "--bwlimit=100"]}


@pytest.mark.parametrize("way", SLOWLY)
def test_a_copy_that_is_killed_midway_is_not_taken_in_and_is_when_it_comes_whole(harbour, alice, way):
    big = cargo(harbour, pad=1 << 20)
    landed = inbox(alice) / big.name
    slow = way(harbour, big, landed)
    slow[1:1] = SLOWLY[way]
    with subprocess.Popen(slow, stderr=subprocess.DEVNULL, start_new_session=True) as copy:
        wait_until(lambda: landed.exists() and landed.stat().st_size > 100_000, "half of it")
        os.killpg(copy.pid, signal.SIGKILL)
    seen = "unreadable" if way is rsync else "incomplete"  # rsync gives a file its mode in the end
    wait_until(lambda: counted(alice, seen), "the agent to have seen it")
    assert 0 < landed.stat().st_size < big.stat().st_size
    assert ([], {}) == (blocks(alice), rejected(alice))
    carry(harbour, big, alice, by=way)

    wait_until(lambda: is_taken_in(alice, 1, pad=1 << 20), "the whole file")


def test_the_same_file_again_is_erased_and_told_whatever_its_name(harbour, alice):
    carry(harbour, cargo(harbour), alice)
    wait_until(lambda: is_taken_in(alice, 1), "the file")
    names = {"copy.json", "another name.json", "no-json"}
    for name in names:
        carry(harbour, cargo(harbour), alice, by=rsync, name=name)

    wait_until(lambda: names <= {event["file"] for event in told(alice, "psrd.duplicate")}, "word of each")
    wait_until(lambda: is_taken_in(alice, 1), "the copies to go")
    assert [block()] == blocks(alice)


def test_what_is_still_being_written_is_left_alone(harbour, client):
    alice = client(OFTEN)
    names = [".hidden", "x.filepart", "x.part", "x.swp", "x.tmp", "x~"]
    harbour.ssh(f"cd {inbox(alice)} && touch {' '.join(names)}")
    carry(harbour, cargo(harbour, 2), alice)

    wait_until(lambda: [block(2)] == blocks(alice) and names == waiting(alice), "the one that is whole, and that alone")
    assert {} == rejected(alice)


def test_hundreds_of_files_at_once_come_in_once_each(harbour, client):
    """Half of them twice, under other names."""
    alice = client()
    load = load_of(harbour, range(MANY))
    for seed in range(0, MANY, 2):
        shutil.copy(load / f"{seed}.json", load / f"{seed}-again.json")
    carry_all(harbour, load, alice)

    for some in range(MANY // 10, MANY + 1, MANY // 10):  # a busy machine may be slow, but not stand still
        wait_until(lambda some=some: len(blocks(alice)) >= some, f"{some} of them")
    wait_until(lambda: not waiting(alice), "all of them, and the copies to go")
    assert len(blocks(alice)) == len(set(blocks(alice))) == MANY
    assert {} == rejected(alice)


def test_what_comes_while_the_agent_is_down_is_taken_in_at_its_start(harbour, client):
    alice = client()
    alice.stop()
    for way in WAYS:
        carry(harbour, cargo(harbour, WAYS.index(way)), alice, by=way)
    alice.start()
    alice.wait_up()

    wait_until(lambda: is_taken_in(alice, *range(len(WAYS))), "all of them")


# --- the forced command ---------------------------------------------------------------------------


def test_a_key_that_can_do_nothing_else_feeds_the_agent_once(harbour, alice):
    harbour.force(f"{qufabric(alice)} dske ingest-psrd -")
    data = cargo(harbour).read_bytes()
    first = harbour.ssh("anything else", user="root", data=data)
    second = harbour.ssh("", user="root", data=data)

    assert (0, DUPLICATE) == (first.returncode, second.returncode), first.stderr
    assert block() in first.stdout.decode()
    assert b"PsrdPreviouslyInserted" in second.stderr
    assert [block()] == blocks(alice)


def test_half_a_file_through_the_forced_command_is_refused_and_nothing_is_kept(harbour, alice):
    harbour.force(f"{qufabric(alice)} dske ingest-psrd -")
    data = cargo(harbour).read_bytes()

    assert REJECTED == harbour.ssh("", user="root", data=data[: len(data) // 2]).returncode
    assert [] == blocks(alice)
    assert 0 == harbour.ssh("", user="root", data=data).returncode


# --- what is no file to take in -------------------------------------------------------------------


def test_an_unreadable_file_names_its_remedy_and_comes_in_when_that_is_done(harbour, client):
    alice = client(OFTEN)
    source = cargo(harbour)
    source.chmod(0o600)
    carry(harbour, source, alice, by=rsync)
    wait_until(lambda: "inbox-unreadable" in issues(alice), "the issue")
    remedy = issues(alice)["inbox-unreadable"]
    assert "chmod" in remedy
    harbour.ssh(f"chmod g+r {inbox(alice)}/{source.name}")

    wait_until(lambda: is_taken_in(alice, 1), "the file")
    assert "inbox-unreadable" not in issues(alice)


STRANGE = {
    "a link": "ln -s /etc/passwd {path}",
    "a link that leads nowhere": "ln -s /nowhere {path}",
    "a second name": "cp /bin/true {home}/own; ln {home}/own {path}",
    "a fifo": "mkfifo {path}",
    "a huge file": "truncate -s 20G {path}",
    "something else": "echo hello >{path}",
    "an empty list": "echo [] >{path}",
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_what_is_no_psrd_file_is_set_aside_and_keeps_nobody_waiting(harbour, alice, make):
    made = harbour.ssh(make.format(path=inbox(alice) / "strange.json", home=harbour.home))
    assert 0 == made.returncode, made.stderr
    carry(harbour, cargo(harbour), alice)

    wait_until(lambda: is_taken_in(alice, 1), "the file beside it, and the strange one to go")
    assert {"strange.json": "psrd-rejected"} == rejected(alice)
    assert "root" in Path("/etc/passwd").read_text()


def test_a_folder_of_another_user_is_named_with_its_remedy_and_keeps_nobody_waiting(harbour, client):
    """Nobody may move it who may not write to it; a file, a link or a fifo may be moved by whoever owns the inbox."""
    alice = client(OFTEN)
    path = inbox(alice) / "strange.json"
    harbour.ssh(f"mkdir {path}")
    carry(harbour, cargo(harbour), alice)
    wait_until(lambda: [block()] == blocks(alice) and [path.name] == waiting(alice), "the file beside it")
    wait_until(lambda: "inbox-unreadable" in issues(alice), "the issue")  # the names are looked at one after the other
    assert f"rm -r {path}" in issues(alice)["inbox-unreadable"]
    path.rmdir()

    wait_until(lambda: "inbox-unreadable" not in issues(alice), "the issue to go")
    assert {} == rejected(alice)


def test_a_link_is_set_aside_where_the_inbox_is_on_another_disk(harbour, client):
    with small_tmpfs(harbour.folder / "elsewhere", "1m"):
        link = harbour.folder / "elsewhere" / "in" / "link.json"
        alice = client(f'{NEVER}\ninbox = "{link.parent}"')
        link.symlink_to("/etc/passwd")

        wait_until(lambda: rejected(alice) and not link.is_symlink(), "the link to go")
        assert {"link.json": "psrd-rejected"} == rejected(alice)
        alice.stop()


# --- the machine's own faults ---------------------------------------------------------------------


def test_a_full_disk_holds_files_back_and_room_lets_them_in(harbour, client):
    name, pad = "full", 100_000
    with small_tmpfs(harbour.folder / name, "1m") as resize:
        alice = client(f'{NEVER}\ninbox = "{harbour.folder}/full-in"', name)
        carry_all(harbour, load_of(harbour, range(1, 9), pad=pad), alice)
        wait_until(lambda: "inbox-held" in issues(alice), "the issue")
        held = waiting(alice)
        assert held
        assert {} == rejected(alice)
        resize("64m")

        wait_until(lambda: is_taken_in(alice, *range(1, 9), pad=pad), "all of them")
        wait_until(lambda: "inbox-held" not in issues(alice), "the issue to go")  # which the end of the round says
        alice.stop()


def test_a_file_whose_event_was_lost_in_a_flood_comes_in_all_the_same(harbour, alice):
    """More events than the kernel keeps, while the agent stands still: the last file's is not among them."""
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    os.kill(alice.pid, signal.SIGSTOP)
    for _ in range(kept // 2 + 1):  # made and closed: two events
        (inbox(alice) / ".noise").open("wb").close()
        (inbox(alice) / ".noise").unlink()
    shutil.copy(cargo(harbour), inbox(alice) / "file.json")
    os.kill(alice.pid, signal.SIGCONT)

    wait_until(lambda: [block()] == blocks(alice), "the file")
    wait_until(lambda: any("overflowed" in line["msg"] for line in log(alice)), "the flood to have been one")


def test_a_folder_that_was_taken_away_is_an_issue_and_its_successor_works_without_a_watch(harbour, client):
    alice = client(OFTEN)
    inbox(alice).rmdir()
    wait_until(lambda: "inbox-held" in issues(alice), "the issue")
    inbox(alice).mkdir()
    shutil.copy(cargo(harbour), inbox(alice) / "file.json")

    wait_until(lambda: is_taken_in(alice, 1), "the file")


def test_an_agent_that_is_killed_again_and_again_takes_in_every_file_once(harbour, client):
    alice = client()
    for seed in range(30):
        shutil.copy(cargo(harbour, seed), inbox(alice) / f"{seed}.json")
        if seed % 6 == 5:
            time.sleep(seed / 1000)
            alice.kill()
            alice.start()
    alice.wait_up()

    wait_until(lambda: is_taken_in(alice, *range(30)), "all of them")
    assert 30 == len(blocks(alice))
    assert {} == rejected(alice)
