"""What a network costs: five hubs and two clients on this machine, three shares required.

    python bench/keys.py [--seconds S]

Prints keys a second and latencies at both ends, PSRD a key, memory, time to start, what a hung hub adds, and the
ceilings of the same run. The load is made by this process, on the same cores. Trust the ratios.
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import trio

from qfagent.http.pool import Pool
from qfagent.testing.processes import AgentProcess, Fleet

HUBS, REQUIRED = 5, 3
WARM_UP = 3
PAD = 16 << 20
HUB = f"[hub.provisioner]\npool_size = 2\nuser_bytes = {PAD}\nserver_bytes = {PAD}"


class Socket:
    """One client's control socket, over kept connections."""

    def __init__(self, process: AgentProcess) -> None:
        self._pool = Pool(partial(trio.open_unix_socket, str(process.socket)), limit=16)

    async def ask(self, method: str, target: str, body: bytes = b"") -> dict:
        """The answer's JSON."""
        async with self._pool.connection() as connection:
            answer = await connection.exchange(method, target, (), body, host="qfagent", most=1 << 20)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def aclose(self) -> None:
        """Close what was kept."""
        await self._pool.aclose()


class Run:
    """Keys of one kind for so long, so many at once."""

    def __init__(self, fleet: Fleet, *, count: int, at_once: int, seconds: float) -> None:
        self.alice, self.bob = Socket(fleet.clients["alice"]), Socket(fleet.clients["bob"])
        self.count, self.at_once, self.seconds = count, at_once, seconds
        self.establish: list[float] = []
        self.recover: list[float] = []

    async def both(self) -> None:
        """One secret, established and recovered."""
        began = time.perf_counter()
        body = json.dumps({"peer": "bob", "count": self.count}).encode()
        made = (await self.alice.ask("POST", "/v1/keys", body))["keys"]
        between = time.perf_counter()
        if self.count == 1:
            got = [await self.bob.ask("GET", f"/v1/keys/{made[0]['key_id']}?peer=alice")]
        else:
            got = (await self.bob.ask("GET", "/v1/keys?peer=alice"))["keys"]
        self.establish.append(between - began)
        self.recover.append(time.perf_counter() - between)
        if self.at_once == 1 or self.count == 1:
            assert [k["key"] for k in made] == [k["key"] for k in got], "both ends have the same keys"
        assert len(base64.b64decode(got[0]["key"])) == 32

    async def go(self) -> float:
        """Keys a second, at both ends."""
        for _ in range(WARM_UP):
            await self.both()
        self.establish.clear()
        self.recover.clear()
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(self.at_once):
                nursery.start_soon(self._repeat, began + self.seconds)
        took = time.perf_counter() - began
        await self.alice.aclose()
        await self.bob.aclose()
        return self.count * len(self.recover) / took

    async def _repeat(self, until: float) -> None:
        while time.perf_counter() < until:
            await self.both()


def milliseconds(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {ordered[len(ordered) // 2] * 1000:6.2f}  p95 {ordered[len(ordered) * 95 // 100] * 1000:6.2f} ms"


def show_keys(fleet: Fleet, seconds: float) -> float:
    median = 0.0
    for count, at_once in ((1, 1), (1, 8), (8, 1), (8, 8), (32, 1), (32, 8)):
        run = Run(fleet, count=count, at_once=at_once, seconds=seconds)
        rate = trio.run(run.go)
        both = [a + b for a, b in zip(run.establish, run.recover, strict=True)]
        print(f"{count:2} a secret, {at_once} at once: {rate:8.0f} keys/s")
        for what, times in (("establish", run.establish), ("recover", run.recover), ("both", both)):
            print(f"    {what:10} {milliseconds(times)}")
        median = median or sorted(both)[len(both) // 2]
    return median


def consumed(process: AgentProcess) -> float:
    lines = process.agent.metrics().splitlines()
    return float(next(line for line in lines if line.startswith("qfagent_psrd_consumed_bytes_total")).split()[1])


def show_psrd(fleet: Fleet) -> None:
    for count in (1, 8, 32):
        run = Run(fleet, count=count, at_once=1, seconds=0.5)
        before = consumed_by_each(fleet)
        trio.run(run.go)
        made = (len(run.recover) + WARM_UP) * count * HUBS
        alice, bob, hub = ((b - a) / made for a, b in zip(before, consumed_by_each(fleet), strict=True))
        print(f"{count:2} a secret: bytes a key and hub: generator {alice:.1f}, recoverer {bob:.1f}, hub {hub:.1f}")


def consumed_by_each(fleet: Fleet) -> list[float]:
    """PSRD bytes that the generator, the recoverer and all hubs have used so far."""
    return [*(consumed(fleet.clients[name]) for name in ("alice", "bob")), sum(map(consumed, fleet.hubs.values()))]


def show_hung_hub(fleet: Fleet, seconds: float, median: float) -> None:
    hung = fleet.hubs["hub5"]
    os.kill(hung.pid, signal.SIGSTOP)
    try:
        run = Run(fleet, count=1, at_once=1, seconds=seconds)
        trio.run(run.go)
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    both = sorted(a + b for a, b in zip(run.establish, run.recover, strict=True))
    print(f"a hung hub adds {(both[len(both) // 2] - median) * 1000:.2f} ms to {median * 1000:.2f} (p50, both ends)")


def show_memory(fleet: Fleet, when: str) -> None:
    sizes = {name: process.resident_mib() for name, process in {**fleet.hubs, **fleet.clients}.items()}
    print(f"resident {when}: " + ", ".join(f"{name} {size:.1f} MiB" for name, size in sizes.items()))


def show_commands(fleet: Fleet) -> None:
    program = Path(sys.executable).with_name("qfagent")
    for arguments in (["status", "--socket", str(fleet.clients["alice"].socket)], ["--help"]):
        times = []
        for _ in range(10):
            began = time.perf_counter()
            subprocess.run([str(program), *arguments], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        print(f"qfagent {arguments[0]:7} as a whole command: {sorted(times)[5] * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as folder, Fleet(Path(folder).absolute()) as fleet:
        fleet.start(
            hubs=HUBS, clients=("alice", "bob"), hub_settings=HUB, client_settings=f"shares_required = {REQUIRED}"
        )
        fleet.enrol_all()
        show_start(Path(folder).absolute())
        show_memory(fleet, "idle")
        median = show_keys(fleet, options.seconds)
        show_psrd(fleet)
        show_hung_hub(fleet, options.seconds, median)
        show_memory(fleet, "after")
        show_commands(fleet)
    print("the server and the store alone, and a hub's deposits, of one hub:")
    subprocess.run([sys.executable, str(Path(__file__).with_name("hub.py"))], check=True)


def show_start(folder: Path) -> None:
    process = AgentProcess(folder, "fresh", 'role = "client"')
    process.start()
    print(f"from start to ready: {process.wait_up():.2f} s")
    process.stop()


if __name__ == "__main__":
    main()
