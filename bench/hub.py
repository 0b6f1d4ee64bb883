"""What a hub costs: requests a second of its server with three handlers, from nothing to one durable deposit each.

    python bench/hub.py [--seconds S] [--connections N] [--profile nothing|row|deposit]

The load comes from a second process on loopback, so two cores are busy. Trust the ratios.
"""

import argparse
import cProfile
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from qfagent.config import parse
from qfagent.dske import envelope, ids, wire
from qfagent.dske.establish import establish
from qfagent.dske.pad import AUTH_BYTES, Direction, Pad
from qfagent.dske.psrd import Block, HubAddress
from qfagent.dske.secret import Secret
from qfagent.dske.spans import Span
from qfagent.errors import HubUnavailable
from qfagent.http.message import Request, Response
from qfagent.http.pool import Pool
from qfagent.http.server import Server
from qfagent.http.transport import dial, listen_tcp
from qfagent.hub.api import Api
from qfagent.hub.books import Books, open_books
from qfagent.store.committer import Threaded
from qfagent.store.disk import RealDisk
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.world import World

HUB = HubAddress("a" * 32, "127.0.0.1", 27399)
OTHER = "b" * 32
PAD = 64 << 20
KINDS = ("nothing", "row", "deposit")


def new_block(name: str) -> Block:
    return Block(HUB, ids.new_uuid(os.urandom), name, Secret(os.urandom(PAD)), Secret(os.urandom(PAD)))


# --- the server, in a process of its own


def take_in(store: Store, books: Books, block: Block, peer: str) -> None:
    client = books.clients.add(peer, now=0)
    books.ledger.ingest(block, own=Direction.SERVER, owner=client.id)
    books.clients.make_ready(block.id)
    store.database.execute("UPDATE clients SET latest = ? WHERE id = ?", block.id, client.id)


async def serve(kind: str, folder: str, blocks: list[Block]) -> None:
    world = World()
    store = Store(RealDisk(), folder, machine="", world=world)
    committer = Threaded(store)
    config = parse('role = "hub"\ninterface = ""\nname = "h"\n[hub]\nfqdn = "h"\nlisten = "127.0.0.1:1"')
    around = Surroundings(store, committer, RealDisk(), world, lambda *_, **__: None, lambda: config, lambda r: r)
    books = open_books(store, world, hub_id=HUB.id, binding="open", share_ttl=3600)
    store.database.execute("CREATE TABLE bench (id INTEGER PRIMARY KEY, body BLOB)")
    for block, peer in zip(blocks, ("alice", "bob"), strict=True):
        store.pads.write(block)
        store.run(partial(take_in, store, books, block, peer))
    api = Api(around, books, hub_id=HUB.id, bound=lambda: None)

    async def nothing(_: Request) -> Response:
        return Response(200, b"{}")

    async def row(request: Request) -> Response:
        await committer.run(lambda: store.database.execute("INSERT INTO bench (body) VALUES (?)", request.body))
        return Response(200, b"{}")

    handler: Callable[[Request], Awaitable[Response]] = {"nothing": nothing, "row": row, "deposit": api.respond}[kind]
    server = Server(handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.serve)
        nursery.start_soon(server.run, [await listen_tcp(HUB.host, HUB.port)])
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break
    store.close()


# --- the load


def deposits(block: Block, count: int) -> list[tuple[tuple[tuple[str, str], ...], bytes]]:
    """So many deposits of one key each, under the block's user pad."""
    user, context = block.user.reveal(), envelope.request_context("POST", wire.DEPOSIT)
    made, offset, length = [], 32, AUTH_BYTES + 64
    for _ in range(count):
        span = Span(offset, length)
        pad = Pad(
            block=block.id, direction=Direction.USER, span=span, r=user[16:32], material=user[offset : offset + length]
        )
        authenticator = pad.authenticator()
        draft = establish("bob", hubs=[HUB.id, OTHER], k=2, count=1, random=os.urandom).drafts[HUB.id]
        body = wire.encode(wire.Deposits((draft.seal(pad),)))
        tag = authenticator.tag(seen=16, context=context, body=body)
        made.append((((envelope.AUTH_HEADER, str(envelope.Auth(block.id, offset, length, 16, tag))),), body))
        offset += length
    return made


async def load(
    requests: list[tuple[tuple[tuple[str, str], ...], bytes]], connections: int, seconds: float
) -> list[float]:
    """Sends them over so many connections for so long; the latencies of those that were answered."""
    pool = Pool(partial(dial, HUB.host, HUB.port), limit=connections)
    waiting, latencies = iter(requests), []

    async def caller(until: float) -> None:
        for headers, body in waiting:
            began = time.perf_counter()
            async with pool.connection() as connection:
                answer = await connection.exchange("POST", wire.DEPOSIT, headers, body, host="h")
            assert answer.status == 200, answer.body
            latencies.append(time.perf_counter() - began)
            if time.perf_counter() > until:
                return

    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(caller, time.perf_counter() + seconds)
    await pool.aclose()
    return latencies


async def wait_until_up() -> None:
    with trio.fail_after(20):
        while True:
            try:
                await (await dial(HUB.host, HUB.port)).aclose()
            except HubUnavailable:
                await trio.sleep(0.05)
            else:
                return


def measure(kind: str, connections: int, seconds: float, *, profile: bool) -> tuple[float, float, float]:
    """Requests a second, and the median and 99th percentile of their latency in milliseconds."""
    blocks = [new_block("alice"), new_block("bob")]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        child = os.fork()
        if child == 0:
            run = partial(trio.run, serve, kind, folder, blocks)
            if profile:
                cProfile.runctx("run()", {}, {"run": run}, sort="tottime")
            else:
                run()
            os._exit(0)
        requests = deposits(blocks[0], int(seconds * 25_000))
        trio.run(wait_until_up)
        trio.run(load, requests[:500], connections, 30)
        began = time.perf_counter()
        latencies = sorted(trio.run(load, requests[500:], connections, seconds))
        rate = len(latencies) / (time.perf_counter() - began)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    return rate, latencies[len(latencies) // 2] * 1000, latencies[len(latencies) * 99 // 100] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--profile", choices=KINDS)
    options = parser.parse_args()
    kinds = [options.profile] if options.profile else KINDS
    rates = {}
    for kind in kinds:
        rates[kind], median, tail = measure(
            kind, options.connections, options.seconds, profile=options.profile is not None
        )
        print(f"{kind:8} {rates[kind]:8.0f} requests/s   p50 {median:6.2f} ms   p99 {tail:6.2f} ms")
    if len(rates) == len(KINDS):
        print(f"a durable deposit to a durable row: {rates['deposit'] / rates['row']:.2f}")


if __name__ == "__main__":
    main()
