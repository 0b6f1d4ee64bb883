"""`qfagent top` on a real terminal: what it draws, how it ends, and that the terminal is as it was."""

import json
import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from tests.cli.agents import BIN, CLIENT, SECONDS, wait_for


class Terminal:
    """A program on a terminal of its own, for as long as the block lasts."""

    def __init__(self, *command, **environment):
        self.ours, self._theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (24, 80))
        self.before = termios.tcgetattr(self._theirs)
        self.process = subprocess.Popen(
            command, stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, env=os.environ | environment
        )
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self._theirs)

    def see(self, text):
        """Reads until the text was shown."""

        def seen():
            if select.select([self.ours], [], [], 0.05)[0]:
                self.shown += os.read(self.ours, 65_536).decode(errors="replace")
            return text in self.shown

        wait_for(seen)

    def end(self, *, typed=b"", number=0):
        if number:
            self.process.send_signal(number)
        os.write(self.ours, typed)
        return self.process.wait(SECONDS)

    @property
    def is_as_before(self):
        return self.before == termios.tcgetattr(self._theirs)


def top(pair, *options, **environment):
    return Terminal(BIN / "qfagent", "top", *options, "--socket", pair.socket("alice"), TERM="xterm", **environment)


@pytest.mark.parametrize("typed", [b"q", b"Q", b"\x03", b"\x04"], ids=repr)
def test_a_key_ends_it_and_the_terminal_is_as_it_was(pair, typed):
    with top(pair) as terminal:
        terminal.see("alice, client")
        while_running = terminal.is_as_before
        code = terminal.end(typed=b"x" + typed)
        terminal.see("\x1b[?1049l")

        assert (0, False, True) == (code, while_running, terminal.is_as_before)


def test_a_signal_ends_it_and_the_terminal_is_as_it_was(pair):
    with top(pair) as terminal:
        terminal.see("alice, client")
        code = terminal.end(number=signal.SIGTERM)

        assert (130, True) == (code, terminal.is_as_before)


def test_colour_is_left_out_when_it_is_not_wanted(pair):
    with top(pair, NO_COLOR="1") as terminal:
        terminal.see("KEYS WITH")

    assert "\x1b[3" not in terminal.shown
    assert "\x1b[2m" not in terminal.shown


def test_an_agent_that_goes_and_comes_is_waited_for(agents):
    agents.write("alice", CLIENT)
    agents.start("alice")
    with top(agents) as terminal:
        terminal.see("alice, client")
        agents.stop("alice")
        terminal.see("nobody listens on")
        terminal.shown = ""
        agents.start("alice")
        terminal.see("alice, client")


def run(pair, *options):
    return subprocess.run(
        [BIN / "qfagent", *options, "--socket", pair.socket("alice")], capture_output=True, text=True, check=False
    )


def test_one_frame_needs_no_terminal(pair):
    done = run(pair, "top", "--once")

    assert (0, "", True) == (done.returncode, done.stderr, done.stdout.startswith("alice, client, version"))
    assert "\x1b" not in done.stdout


def test_without_a_terminal_the_way_out_is_named(pair):
    done = run(pair, "top")

    assert (2, "qfagent: expected a terminal; say --once for a single frame\n") == (done.returncode, done.stderr)


def test_what_a_frame_is_made_of_can_be_had_as_json(pair):
    found = json.loads(run(pair, "top", "--json").stdout)

    assert ["at", "clients", "peers", "psrd", "status"] == sorted(found)


def test_a_hub_is_shown_as_well(pair):
    done = subprocess.run(
        [BIN / "qfagent", "top", "--once", "--socket", pair.socket("hub")], capture_output=True, text=True, check=True
    )

    assert "POOL" in done.stdout


def test_past_use_is_drawn(pair):
    pair.carry("hub", "alice")
    done = run(pair, "psrd", "--plot")
    as_json = json.loads(run(pair, "psrd", "--plot", "--json").stdout)

    assert (0, 2) == (done.returncode, done.stdout.count("now"))
    assert ["hub", "points"] == sorted(as_json[0])
