"""Bars of progress: for terminals, for long work, and gone behind it."""

import io
import re
import subprocess
from contextlib import redirect_stderr

import pytest

from qfagent.cli.progress import QUICK, SELDOM, counted, progress
from tests.cli.agents import BIN, CLIENT, HUB, wait_for
from tests.cli.test_top import Terminal


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal():
    return Tty()


def work(steps, *, every, stream):
    """So many steps of a hundredth, each `every` seconds after the other."""
    now = [0.0]
    with redirect_stderr(stream), progress("working", 100, clock=lambda: now[0]) as advance:
        for _ in range(steps):
            now[0] += every
            advance(1)
        drawn = stream.getvalue()
    return drawn, stream.getvalue().removeprefix(drawn)


def test_quick_work_draws_nothing(terminal):
    assert ("", "") == work(50, every=QUICK / 100, stream=terminal)


def test_long_work_shows_how_far_it_is_and_is_wiped(terminal):
    drawn, wiped = work(50, every=1, stream=terminal)

    assert "\r\x1b[K" == wiped
    assert ["1%", "2%"] == re.findall(r"(\d+%)", drawn)[:2]
    assert drawn.rstrip("\x1b[K").endswith(" 50% of 100 B")


def test_what_takes_long_behind_its_last_byte_is_drawn_all_the_same(terminal):
    with redirect_stderr(terminal), progress("working", 100) as advance:
        advance(100)
        wait_for(terminal.getvalue)

    assert "100% of 100 B" in terminal.getvalue()


def test_it_is_drawn_seldom(terminal):
    drawn, _ = work(100, every=SELDOM / 10, stream=terminal)

    assert drawn.count("\r") <= 100 / 10 + 1


def test_more_than_was_thought_is_no_more_than_all(terminal):
    drawn, _ = work(300, every=1, stream=terminal)

    assert {"100%"} == set(re.findall(r"(\d{3,}%)", drawn))


def test_what_is_no_terminal_gets_nothing():
    assert ("", "") == work(50, every=1, stream=io.StringIO())


def test_work_that_fails_leaves_no_bar_behind(terminal):
    now = [0.0]
    bar = progress("working", 100, clock=lambda: now[0])
    with redirect_stderr(terminal), pytest.raises(ValueError, match="x"), bar as advance:
        now[0] = 1.0
        advance(1)
        raise ValueError("x")

    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_file_that_is_counted_is_the_same_file():
    told, file = [], io.BytesIO(b"abcdef")
    both = counted(file, told.append)

    assert (b"abc", 3) == (both.read(3), both.tell())
    assert 2 == both.write(b"xy")
    assert [3, 2] == told
    assert b"abcxyf" == file.getvalue()


def test_a_large_file_is_assigned_ingested_and_erased_under_bars(agents):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)
    agents.start("hub", "alice")
    made = agents.agent("hub").add_client("alice")
    sizes = ("--user-bytes", str(32 << 20), "--server-bytes", str(32 << 20))
    assign = (BIN / "qbt-local-distributor", "dske-client", "assign-psrd", *sizes, "--user-id", made["id"])
    path = agents.folder / "large.json"
    with Terminal(*assign, "-o", path, "--socket", agents.socket("hub"), TERM="xterm") as terminal:
        terminal.see("assigning")
        terminal.see("\x1b[K")
        terminal.see("path")
    with Terminal(BIN / "qufabric", "dske", "ingest-psrd", path, "--socket", agents.socket("alice")) as terminal:
        terminal.see("ingesting")
        terminal.see("server pad")

    assert not path.exists()


def test_without_a_terminal_there_is_not_a_byte_of_it(agents):
    agents.write("hub", HUB)
    agents.start("hub")
    made = agents.agent("hub").add_client("alice")
    sizes = ("--user-bytes", str(1 << 20), "--server-bytes", str(1 << 20), "--user-id", made["id"])
    command = (BIN / "qbt-local-distributor", "dske-client", "assign-psrd", *sizes, "-o", agents.folder / "x.json")
    done = subprocess.run([*command, "--socket", agents.socket("hub")], capture_output=True, check=True)

    assert b"" == done.stderr
