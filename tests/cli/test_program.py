"""How commands live and end: what they import, signals, pipes that nobody reads, and the daemon's own process."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.agents import BIN, CLIENT, HUB, SECONDS, wait_for

DEAR = {"trio", "msgspec", "httptools", "cryptography", "apsw", "asyncio", "http", "hmac", "hashlib", "dataclasses"}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status", "--help"], ["run", "--help"], ["status"], ["hubs", "--json"], ["events"]],
    ids=" ".join,
)
def test_a_command_imports_nothing_dear(pair, arguments):
    script = "import sys; from qfagent.cli.program import main; main('qfagent', sys.argv[1:]); print(*sys.modules)"
    done = run(sys.executable, "-c", script, *arguments, env={"QFAGENT_SOCKET": pair.socket("alice")})

    modules = {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}
    assert modules & DEAR == set()


class Following:
    """`qfagent events --follow`, for as long as the block lasts."""

    def __init__(self, pair, *options):
        command = [BIN / "qfagent", "events", "-f", *options, "--socket", pair.socket("alice")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._pair = pair

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def first_line(self):
        """The first line; events are made until one is heard."""

        def hears():
            self._pair.agent("alice").reload()
            return select.select([self.process.stdout], [], [], 0.05)[0]

        wait_for(hears)
        return self.process.stdout.readline().decode()


def test_events_are_shown_as_they_happen(pair):
    with Following(pair, "--json") as following:
        assert json.loads(following.first_line())["event"] == "config.reloaded"


def test_events_are_shown_to_people(pair):
    with Following(pair) as following:
        line = following.first_line()

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  config\.reloaded  applied=\[\]  needs_restart=\[\]\n", line)


def test_an_interrupt_ends_a_command_quietly_with_130(pair):
    with Following(pair) as following:
        following.first_line()
        following.process.send_signal(signal.SIGINT)
        _, errors = following.process.communicate(timeout=SECONDS)

    assert (following.process.returncode, errors) == (130, b"")


def test_nobody_reading_ends_a_command_quietly_with_141(pair):
    with Following(pair) as following:
        following.first_line()
        following.process.stdout.close()
        wait_for(lambda: pair.agent("alice").reload() and following.process.poll() is not None)
        errors = following.process.stderr.read()

    assert (following.process.returncode, errors) == (141, b"")


def test_nobody_reading_a_short_answer_is_as_quiet(pair):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [BIN / "qfagent", "status", "--socket", pair.socket("alice")],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_is_told(pair):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BIN / "qfagent", "status", "--socket", pair.socket("alice")],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, b"qfagent: no space left on device\n")


def test_following_ends_with_the_agent(agents):
    agents.write("alice", CLIENT)
    agents.start("alice")
    with Following(agents) as following:
        following.first_line()
        agents.stop("alice")
        output, errors = following.process.communicate(timeout=SECONDS)

    assert (following.process.returncode, errors) == (0, b"")
    assert b"agent.stopping" in output


def test_output_in_another_encoding_is_no_failure(pair):
    done = run(
        BIN / "qfagent", "status", "--socket", pair.socket("alice"), env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    )

    assert (done.returncode, done.stderr) == (0, "")


# --- the daemon


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_ends_cleanly_when_it_is_told_to(agents, number):
    agents.write("hub", HUB)
    agents.start("hub")
    codes = agents.stop("hub", number=number)

    assert codes == [0]
    assert all(line.startswith("{") for line in (agents.folder / "hub.log").read_text().splitlines())


def test_the_daemon_keeps_its_memory_to_itself():
    script = (
        "from qfagent.cli.run import harden; harden(); import ctypes, os, resource;"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), os.umask(0), resource.getrlimit(resource.RLIMIT_CORE))"
    )

    assert run(sys.executable, "-c", script).stdout.split(maxsplit=2) == ["0", str(0o027), "(0, 0)\n"]


def test_the_daemon_may_have_as_many_files_as_the_system_permits():
    script = (
        "import resource; N = resource.RLIMIT_NOFILE; resource.setrlimit(N, (256, resource.getrlimit(N)[1]));"
        "from qfagent.cli.run import harden; harden(); print(resource.getrlimit(N)[0])"
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    expected = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    assert int(run(sys.executable, "-c", script).stdout) == expected


def test_a_full_collection_need_not_look_at_what_was_there_at_the_start(tmp_path):
    (tmp_path / "state").touch()  # so that it ends at once
    (tmp_path / "agent.toml").write_text(f'role = "hub"\nstate_dir = "{tmp_path}/state"\n[hub]\nfqdn = "127.0.0.1"\n')
    script = (
        "import argparse, gc, sys; from contextlib import suppress; from qfagent.cli.run import run\n"
        "with suppress(Exception): run(argparse.Namespace(config=sys.argv[1]))\n"
        "print(gc.get_freeze_count() > 10 * len(gc.get_objects()))"
    )

    assert "True\n" == run(sys.executable, "-c", script, tmp_path / "agent.toml").stdout


def test_what_fails_inside_the_nurseries_is_one_line_too(agents):
    path = agents.write("hub", HUB)
    agents.start("hub")
    hub_id = agents.agent("hub").status()["hub"]["id"]
    agents.stop("hub")
    path.write_text(path.read_text().replace("[hub]", f'[hub]\nid = "{"0" * 32}"'))
    done = run(BIN / "qfagent", "run", "--config", path)

    said = f"this state folder belongs to hub {hub_id}, the configuration says {'0' * 32}"
    assert (done.returncode, done.stderr) == (6, f"qfagent: {said}; change hub.id back; a hub can't be renamed\n")
