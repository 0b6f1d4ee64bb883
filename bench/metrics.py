"""What looking at a hub costs: a scrape, the status and the list of clients, over the control socket of a real agent.

    python bench/metrics.py [--clients N] [--times N]

The hub has that many registered clients, each with a block. While it answers, it does nothing else.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import trio

from qfagent.agent import Frame
from qfagent.config import load
from qfagent.local.client import Agent
from qfagent.store.store import Store
from qfagent.world import World

CONFIG = """
name = "hub"
role = "hub"
interface = ""
state_dir = "{folder}/state"
[control]
socket = "{folder}/sock"
[hub]
fqdn = "127.0.0.1"
listen = "127.0.0.1:27398"
"""


def fill(store: Store, clients: int) -> None:
    """Rows as registrations leave them; no pad files, as none is looked at."""
    for number in range(clients):
        client, block, peer = f"client-{number}", f"{number:032x}", f"peer-{number}"
        store.database.execute(
            "INSERT INTO clients VALUES (?, ?, ?, ?, 0, 'none', NULL, ?, 0)", number + 1, client, peer, peer, block
        )
        store.database.execute(
            "INSERT INTO blocks (id, born, own, hub, client, name, user_bytes, server_bytes, spent, seen, state, owner,"
            " digest) VALUES (?, ?, 1, 'h', ?, ?, 131072, 131072, 16, 32, 'ready', ?, x'')",
            *(block, number + 1, client, peer, client),
        )


def measure(agent: Agent, times: int) -> None:
    for name, ask in (("scrape", agent.metrics), ("status", agent.status), ("clients", agent.clients)):
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - began)
        worst = sorted(seconds)[int(len(seconds) * 0.99) - 1]
        print(f"{name:8} median {statistics.median(seconds) * 1000:6.1f} ms   99 % {worst * 1000:6.1f} ms")


async def run(folder: Path, clients: int, times: int) -> None:
    path = folder / "qfagent.toml"
    path.write_text(CONFIG.format(folder=folder))
    frame = Frame(load(str(path)), str(path), World())
    async with frame.open_store():
        await frame._committer.run(partial(fill, frame._store, clients))  # noqa: SLF001  # as if they had registered
        async with frame.at_work(), frame.listening():
            await trio.to_thread.run_sync(measure, Agent(str(folder / "sock")), times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qf-") as folder:
        trio.run(run, Path(folder), chosen.clients, chosen.times)


if __name__ == "__main__":
    main()
