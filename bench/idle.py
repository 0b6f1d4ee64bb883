"""What an idle agent costs: processor time, and how often it wakes, of real processes with nothing to do.

    python bench/idle.py [--seconds S] [--settle S]

Two hubs and two clients that are registered with both. Allowed is 0.2 % of a core and two wakeups a second, each.
A wakeup is a voluntary context switch of any thread.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from qfagent.testing.processes import AgentProcess, Fleet

MOST_PERCENT = 0.2
MOST_WAKEUPS = 2.0  # a second
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a process and its threads have used since they began: seconds of a core, and wakeups by thread."""

    seconds: float
    wakeups: dict[str, int]


def cost_of(pid: int) -> Cost:
    """As the kernel counts it."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return Cost(
        (int(user) + int(system)) / TICKS, {task.name: _wakeups(task) for task in Path(f"/proc/{pid}/task").iterdir()}
    )


def _wakeups(task: Path) -> int:
    lines = (task / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def measure(agents: list[AgentProcess], seconds: float) -> bool:
    """Prints what each has cost meanwhile; whether that is allowed."""
    before = [cost_of(agent.pid) for agent in agents]
    time.sleep(seconds)
    good = True
    for agent, was in zip(agents, before, strict=True):
        now = cost_of(agent.pid)
        percent = (now.seconds - was.seconds) / seconds * 100
        rates = sorted(
            ((count - was.wakeups.get(task, 0)) / seconds for task, count in now.wakeups.items()), reverse=True
        )
        threads = " + ".join(f"{rate:.2f}" for rate in rates if rate >= 0.005)
        print(f"{agent.name:6} {percent:5.2f} % of a core   {sum(rates):5.2f} wakeups/s ({threads or 'none'})")
        good = good and percent <= MOST_PERCENT and sum(rates) <= MOST_WAKEUPS
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=15, help="after the start, before it is measured")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qf-") as folder, Fleet(Path(folder)) as fleet:
        fleet.start(hubs=2, clients=("alice", "bob"))
        fleet.enrol_all()
        time.sleep(chosen.settle)
        good = measure([*fleet.hubs.values(), *fleet.clients.values()], chosen.seconds)
    sys.exit(None if good else "more than an idle agent may cost")


if __name__ == "__main__":
    main()
