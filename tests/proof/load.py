"""It answers under load: a hub with 1,000 idle and 200 busy clients, a client agent with 100 callers of two users.

* Slow writers, slow readers and connections that are half open are part of both crowds.
* Status is asked for all the while: its 99th percentile counts, and memory after the first third.
* A busy client asks every other second, all of them 100 times a second: far more than tunnels with new keys every two
  minutes need. In a flood they ask as fast as they are answered; nothing but answers and memory is judged then.
* An agent that nobody else asks says, by the wait for its status, what is the machine's doing.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from qfagent.testing.processes import AgentProcess, free_port
from qfagent.testing.witness import Broken

BUSY, IDLE, SLOW, SILENT, CALLERS = 200, 1000, 30, 50, 50
PAUSE = 2.0  # seconds between an answer and a busy client's next request
SECONDS = 15  # of a life in brief
BRIEF, FULL = {50: 0.05, 99: 5.0}, {99: 0.02}  # seconds by percentile: where others use the machine, too; alone
GROWTH = {SECONDS: 24.0}  # MiB: in brief, not everybody may have come when it is measured first
FLAT = 3.0  # MiB
YARDSTICK = "idle"  # the agent that nobody else asks
STRANGER, GROUP = 51_011, 1  # a user in the key group, where there is a root to make one


def play(seed, *, seconds=SECONDS, limits=BRIEF, busy=BUSY, pause=PAUSE, prefix=()):
    """One crowd at a hub and one at a client, at the same time; percentiles in microseconds."""
    with tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        agents = _agents(Path(folder), port, prefix)
        try:
            for agent in agents:
                agent.start()
            for agent in agents:
                agent.wait_up()
            files = [_taken(agents[0]) for _ in range(busy)]
            return _measure(agents, seconds, limits, {"hub": ["127.0.0.1", port], "files": files, "pause": pause})
        finally:
            for agent in agents:
                agent.stop()


def play_hour(seed):
    """The promise itself, which wants a machine for itself."""
    return play(seed, seconds=3600, limits=FULL)


def play_flood(seed):
    """What 200 clients are answered that don't wait, and how long status takes meanwhile."""
    return play(seed, limits={}, pause=0.0)


def _agents(folder, port, prefix):
    pads = "[hub.provisioner]\npool_size = 20\nuser_bytes = 65536\nserver_bytes = 65536"
    hub = AgentProcess(folder, "hub", f'role = "hub"\n[hub]\nfqdn = "127.0.0.1"\nlisten = "127.0.0.1:{port}"\n{pads}')
    client = AgentProcess(folder, "client", 'role = "client"')
    client.config.write_text(client.config.read_text() + 'group = "daemon"\nadmin_group = "adm"\n')
    hub.prefix = client.prefix = prefix
    return hub, client, AgentProcess(folder, YARDSTICK, 'role = "client"')


def _measure(agents, seconds, limits, at_hub):
    hub, client, _ = agents
    judged = (hub, client)
    at_hub |= {"idle": IDLE, "slow": SLOW, "silent": SILENT}
    at_client = {"socket": str(client.socket), "caller": CALLERS, "slow_caller": 5}
    crowds = [_crowd(told, seconds) for told in (at_hub, at_client, at_client | _somebody_else())]
    time.sleep(seconds / 3)
    before = {agent.name: agent.resident_mib() for agent in judged}
    waits = {agent.name: [] for agent in agents}
    until = time.monotonic() + seconds * 2 / 3 - 2
    while time.monotonic() < until:
        for agent in agents:
            began = time.perf_counter()
            agent.agent.status()
            waits[agent.name].append(time.perf_counter() - began)
        time.sleep(0.04)
    grown = {agent.name: agent.resident_mib() - before[agent.name] for agent in judged}  # while the crowds are there
    heard = sum((Counter(json.loads(crowd.communicate()[0])) for crowd in crowds), Counter())
    return _judge(waits, grown, heard, limits, GROWTH.get(seconds, FLAT))


def _judge(waits, grown, heard, limits, growth):
    found = {}
    for name, all_waits in waits.items():
        cuts = statistics.quantiles(all_waits, n=100)
        found |= {f"status of {name}, p{part} in us": int(cuts[part - 1] * 1e6) for part in (50, 99)}
        for part, limit in limits.items():
            if name != YARDSTICK and cuts[part - 1] > limit:
                raise Broken("too-slow", f"status of {name}: {cuts[part - 1] * 1000:.1f} ms at percentile {part}")
    for name, mib in grown.items():
        found[f"growth of {name} in KiB"] = int(mib * 1024)
        if mib > growth:
            raise Broken("memory-grows", f"{name}: {mib:.1f} MiB more than after a third of the time")
    if not (heard.get("fetch 200") and heard.get("caller 200")):
        raise Broken("no-answers", f"{heard}")
    return found | heard


def _crowd(told, seconds):
    crowd = subprocess.Popen(
        [sys.executable, "-m", "tests.proof.crowd"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    crowd.stdin.write(json.dumps(told | {"seconds": seconds}))
    crowd.stdin.close()
    crowd.stdin = None
    return crowd


def _somebody_else():
    return {"uid": STRANGER, "groups": [GROUP]} if os.geteuid() == 0 else {}


def _taken(hub):
    file = io.BytesIO()
    hub.agent.take_from_pool(file)
    return file.getvalue().decode()
