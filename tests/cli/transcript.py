"""A transcript is a session at a shell as a file: what was typed, what came back, and how it ended.

    # a remark
    @ hub                                   which agent the commands are for, until the next such line
    $ qfagent pool take -o a.json           typed, in the session's own folder; a line ends in a backslash to go on
    <uuid:id>  expected                     standard output, line by line; `<kind>` or `<kind:name>` stands for a value
    ! qfagent: expected                     standard error
    ...                                     any lines of standard output
    exit 6                                  how it ended, if not with 0

A value that was given a name is `$name` in what is typed and expected later.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.cli.agents import BIN, COMPILED

KINDS = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "hex32": r"[0-9a-f]{32}",
    "hex16": r"[0-9a-f]{16}",
    "hex8": r"[0-9a-f]{8}",
    "key": r"[A-Za-z0-9+/]{43}=",
    "number": r"\d+(?:\.\d+)?(?:e-\d+)?",
    "time": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "duration": r"\d+(?:\.\d)? (?:s|min|h|d)",
    "size": r"\d+(?:\.\d)? (?:B|[KMG]iB)",
    "name": r"[a-z0-9._-]+",
    "any": r".*",
}
FORWARDED = ("HOME", "PYTHONPATH", "LANG", "LC_ALL", "TERM", "TMPDIR")


class Step(NamedTuple):
    line: int
    agent: str
    typed: str
    out: list
    err: list
    code: int


def steps_of(path):
    """The steps of a transcript."""
    agent, steps = "", []
    lines = Path(path).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("@ "):
            agent = line[2:].strip()
        elif line.startswith("$ "):
            steps.append(Step(number, agent, line[2:], [], [], 0))
        elif steps and steps[-1].typed.endswith("\\"):
            steps[-1] = steps[-1]._replace(typed=steps[-1].typed[:-1] + line.strip())
        elif match := re.fullmatch(r"exit (\d+)", line):
            steps[-1] = steps[-1]._replace(code=int(match[1]))
        elif line.startswith("! "):
            steps[-1].err.append(line[2:])
        elif line and not line.startswith("# "):
            steps[-1].out.append(line)
    return steps


class Session:
    """One run of a transcript: its folder, and the values that were given names."""

    def __init__(self, folder, /, **values):
        self._folder = folder
        self._values = {name: str(value) for name, value in values.items()}

    def run(self, path):
        for step in steps_of(path):
            self._run(step, f"{Path(path).name}:{step.line}: {step.typed}")

    def _run(self, step, where):
        done = subprocess.run(
            ["bash", "-c", step.typed],
            cwd=self._folder,
            env=self._environment(step.agent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = (_lines(data.decode()) for data in (done.stdout, done.stderr))
        said = "\n".join([where, *out, *(f"! {line}" for line in err), f"exit {done.returncode}"])
        assert self._match(step.out, out), f"unexpected output of\n{said}"
        assert self._match(step.err, err), f"unexpected errors of\n{said}"
        assert step.code == done.returncode, f"unexpected end of\n{said}"

    def _environment(self, agent):
        kept = {name: os.environ[name] for name in FORWARDED if name in os.environ}
        socket = {"QFAGENT_SOCKET": self._values[agent]} if agent else {}
        return kept | self._values | socket | COMPILED | {"PATH": f"{BIN}:{os.environ['PATH']}"}

    def _match(self, expected, found):
        """Whether the lines are as expected; those that were given names are kept."""
        if "..." in expected:
            gap = expected.index("...")
            tail = len(expected) - gap - 1
            if len(found) < gap + tail or "..." in expected[gap + 1 :]:
                return False
            head, end = found[:gap], found[len(found) - tail :]
            return self._match(expected[:gap], head) and self._match(expected[gap + 1 :], end)
        return len(expected) == len(found) and all(map(self._match_line, expected, found))

    def _match_line(self, expected, found):
        match = re.fullmatch(self._pattern(expected), found)
        self._values |= match.groupdict() if match else {}
        return match is not None

    def _pattern(self, line):
        """The line as a pattern: a blank stands for any number of them, as the width of a column may vary."""
        for name, value in sorted(self._values.items(), key=lambda pair: -len(pair[0])):
            line = line.replace(f"${name}", value)
        pattern = re.sub(r"(?:\\ )+", " +", re.escape(line))
        return re.sub(r"<(\w+)(?::(\w+))?>", _placeholder, pattern)


def _placeholder(match):
    kind, name = match[1], match[2]
    return f"(?P<{name}>{KINDS[kind]})" if name else f"(?:{KINDS[kind]})"


def _lines(text):
    return [line.rstrip() for line in text.splitlines() if line.strip()]
