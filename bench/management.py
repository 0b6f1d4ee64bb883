"""What a management server costs: a large network, agents that wait for news, and an operator.

    python bench/management.py [--peers N] [--groups N] [--policies N] [--agents N]

Agents wait in a second process on loopback, so two cores are busy. Every peer is in one or two groups; policies connect
random pairs of groups; there is no policy for everybody.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from ipaddress import ip_address

import msgspec
import trio

from qfagent.config import parse
from qfagent.door import Listening
from qfagent.http.transport import listen_tcp
from qfagent.management.archive import Archive
from qfagent.management.changes import find_changes
from qfagent.management.network import ALL, ALL_NAME, Group, Network, Peer, Policy, Rule, put
from qfagent.management.role import DATABASE, management_at_work
from qfagent.management.tokens import hashed
from qfagent.store.disk import RealDisk
from qfagent.surroundings import Surroundings
from qfagent.world import World

PORT = 33199
TOKEN = "a-token-of-an-operator"


def peer_token(number: int) -> str:
    return f"token-of-peer-{number}"


def build(peers: int, groups: int, policies: int) -> Network:
    chance = random.Random(1)
    names = [f"g{number}" for number in range(groups)]
    made = [
        Peer(
            id=f"p{number:05d}",
            name=f"peer-{number}",
            address=str(ip_address("100.64.0.0") + number),
            token=hashed(peer_token(number)),
            key="k",
            created_at=time.time(),
            groups=frozenset(chance.sample(names, chance.choice((1, 1, 2)))),
        )
        for number in range(peers)
    ]
    rules = [
        Policy(
            id=f"r{number}",
            name=f"r{number}",
            rules=(Rule(id="x", name="x", sources=(chance.choice(names),), destinations=(chance.choice(names),)),),
        )
        for number in range(policies)
    ]
    return put(Network(), Group(ALL, ALL_NAME), *(Group(name, name) for name in names), *made, *rules)


# --- the agents, in a process of their own


async def agent(number: int, news: list[float], ready: list[int]) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", PORT) as stream:
        known = (await ask(stream, number, "", 0))["version"]
        ready.append(number)
        await ask(stream, number, known, 60)
        news.append(time.time())


async def ask(stream: trio.abc.Stream, number: int, known: str, wait: int) -> dict:
    head = f"GET /agent/v1/view?known={known}&wait={wait} HTTP/1.1\r\nHost: x\r\nAuthorization: Token "
    await stream.send_all(f"{head}{peer_token(number)}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    pieces, size = [body], len(body)
    while size < length:
        pieces.append(await stream.receive_some(1 << 20))
        size += len(pieces[-1])
    return msgspec.json.decode(b"".join(pieces))


async def agents(count: int) -> None:
    news: list[float] = []
    ready: list[int] = []
    began = time.time()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(agent, number, news, ready)
        while len(ready) < count:  # noqa: ASYNC110  # a bench may poll
            await trio.sleep(0.05)
        print(json.dumps({"first": time.time() - began}), flush=True)
    print(json.dumps({"last": max(news), "median": sorted(news)[count // 2]}), flush=True)


# --- the server, and the operator


async def measure(options: argparse.Namespace) -> None:
    world, disk = World(), RealDisk()
    with ExitStack() as undo:
        state = undo.enter_context(tempfile.TemporaryDirectory())
        await trio.Path(state, "private").mkdir()
        await trio.Path(state, "private", "operator-token").write_text(TOKEN)
        began = time.perf_counter()
        archive = Archive(disk, f"{state}/private/{DATABASE}")
        network = build(options.peers, options.groups, options.policies)
        archive.save(find_changes(Network(), network), [], who="bench", now=0)
        archive.close()
        print(f"network of {options.peers} peers built and saved in {time.perf_counter() - began:.2f} s")
        config = parse(
            f'name = "m"\nrole = "management"\ninterface = ""\nstate_dir = "{state}"\n'
            f'[management]\nlisten = "127.0.0.1:{PORT}"'
        )
        around = Surroundings(None, None, disk, world, lambda *_, **__: None, lambda: config, lambda r: r)

        async def listen() -> Listening:
            return Listening(await listen_tcp("127.0.0.1", PORT, interface=""), "127.0.0.1", lambda: 0)

        began = time.perf_counter()
        async with management_at_work(around, listen) as management:
            while not management.door.address:  # noqa: ASYNC110  # the same
                await trio.sleep(0.01)
            print(f"started in {time.perf_counter() - began:.2f} s")
            await operate(options)


async def operate(options: argparse.Namespace) -> None:
    for _ in range(3):
        began = time.perf_counter()
        body = await request("GET", "/api/peers")
        print(f"GET /api/peers: {len(body) >> 20} MiB in {(time.perf_counter() - began) * 1000:.0f} ms")
    for path in ("groups", "policies", "overview", "events/audit"):
        began = time.perf_counter()
        body = await request("GET", f"/api/{path}")
        print(f"GET /api/{path}: {len(body) >> 10} KiB in {(time.perf_counter() - began) * 1000:.0f} ms")
    process = await trio.lowlevel.open_process(
        [sys.executable, __file__, "--role", "agents", "--agents", str(options.agents)], stdout=subprocess.PIPE
    )
    told = lines(process.stdout)
    print(f"{options.agents} agents have their first view after {(await anext(told))['first']:.2f} s")
    began = time.time()
    await request("PUT", f"/api/peers/p{options.peers - 1:05d}", b'{"dske_security_hub": true}')
    print(f"a change is answered after {time.time() - began:.2f} s")
    said = await anext(told)
    half, last = (said[name] - began for name in ("median", "last"))
    print(f"and has reached half of the agents after {half:.2f} s, all after {last:.2f} s")
    await process.wait()


async def lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[dict]:
    heard = b""
    async for data in stream:
        *whole, heard = (heard + data).split(b"\n")
        for line in whole:
            yield json.loads(line)


async def request(method: str, path: str, body: bytes = b"") -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", PORT) as stream:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        await stream.send_all(f"{head}Authorization: Token {TOKEN}\r\n\r\n".encode() + body)
        pieces = [piece async for piece in stream]
    whole = b"".join(pieces)
    assert b" 200 " in whole[:20], whole[:300]
    return whole.partition(b"\r\n\r\n")[2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", default="server")
    for name, default in (("peers", 10_000), ("groups", 100), ("policies", 200), ("agents", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    trio.run(agents, options.agents) if options.role == "agents" else trio.run(measure, options)


if __name__ == "__main__":
    main()
