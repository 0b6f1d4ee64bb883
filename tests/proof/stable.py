"""A stable of agents: a process that has imported everything forks one for each name that it is told.

* What is started is the agent and not Python: whoever kills it while it starts hits its recovery and not its imports.
* An agent is a process of its own in all else; the stable ends with its standard input.
"""

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from pathlib import Path

from qfagent.testing.processes import AgentProcess


class Stable:
    """The process that forks; `prefix` is put before its command, and so before every agent's."""

    def __init__(self, prefix=()):
        command = [*prefix, sys.executable, "-m", "tests.proof.stable"]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fork(self, config, log):
        """A new process that runs an agent."""
        print(json.dumps([str(config), str(log)]), file=self._process.stdin, flush=True)
        return Forked(int(self._process.stdout.readline()))

    def close(self):
        with self._process as process:
            process.stdin.close()


class Forked:
    """A process that is not our child, as far as an AgentProcess asks for it; nobody knows its exit code."""

    def __init__(self, pid):
        self.pid, self._file = pid, os.pidfd_open(pid)

    def poll(self):
        return 0 if select.select([self._file], [], [], 0)[0] else None

    def wait(self, timeout):
        if not select.select([self._file], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} does not end")
        os.close(self._file)
        return 0


class StabledAgent(AgentProcess):
    """An agent that a stable forks."""

    def __init__(self, stable, folder, name, config):
        super().__init__(folder, name, config)
        self._stable = stable

    def start(self):
        assert self._process is None, "it does not run"
        self._process = self._stable.fork(self.config, self.log)


def serve():
    """Forks an agent for every line, and says which process it is."""
    from qfagent.cli import qfagent, run  # noqa: F401, PLC0415  # everything is here before the first fork

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            become(*json.loads(line))
        print(pid, flush=True)  # noqa: T201  # its standard output is a pipe to the stable's owner


def become(config, log):
    """The agent of that configuration, from here on."""
    from qfagent.cli import qfagent  # noqa: PLC0415  # as above

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 1)
    os.dup2(1, 2)
    sys.argv = ["qfagent", "run", "--config", config]
    code = 1
    try:
        code = qfagent()
    except BaseException:  # noqa: BLE001  # nobody comes back from here
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    serve()
