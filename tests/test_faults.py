"""Every fault of the table in `faults.toml` shows under its own code in time, and is gone when its cause is."""

import ctypes
import re
import socket
import subprocess
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from errno import EACCES, EIO, ENOSPC
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from qfagent.agent import Frame
from qfagent.client import report as client_report
from qfagent.config import load
from qfagent.errors import AgentError, InterfaceDown, StoreError
from qfagent.health import FAULTS, SLOW, WARNINGS, Commits, common_issues, readiness
from qfagent.hub import report as hub_report
from qfagent.store.fence import Reason
from qfagent.testing.network import _straight
from qfagent.world import World
from tests.conftest import enrol
from tests.local.frames import ADMIN_GROUP, configured, is_root, short_folder
from tests.management.servers import serving

SMALL = "[hub.provisioner]\nuser_bytes = 1024\nserver_bytes = 1024"
CLONE_NEWNET = 0x40000000


class Fault(NamedTuple):
    role: str
    dependency: str
    shows: str
    code: str
    cause: str
    within: float
    clears: str
    gone: float


TABLE = [Fault(**row) for row in tomllib.loads(Path(__file__).with_name("faults.toml").read_text())["fault"]]


class Scene(NamedTuple):
    """A network in memory, and the machine whose health is looked at."""

    network: object
    machine: object
    commits: Commits
    clock: list

    async def codes(self):
        found = common_issues(self.machine.store, is_synchronized=lambda: self.clock[-1])
        found |= self.commits.issues(now=trio.current_time(), waits=0.0)
        if hasattr(self.machine, "client"):
            with suppress(StoreError):  # as the agent does
                found |= await client_report.issues(self.machine.client)
        else:
            found |= await hub_report.issues(self.machine.hub)
            found.pop("not-listening", None)  # in a network in memory nobody listens
        return {issue.code for issue in readiness(found).issues}

    def hubs(self, count=2):
        return list(self.network.hubs.values())[:count]

    async def use(self, times=1):
        for _ in range(times):
            with suppress(AgentError):
                await self.network.clients["alice"].client.generator.establish("bob")


Cause = Callable[[Scene], AbstractAsyncContextManager[None]]
CAUSES: dict[str, Cause] = {}


def cause(function: Callable[[Scene], AsyncIterator[None]]) -> Cause:
    made = CAUSES[function.__name__.replace("_", "-")] = asynccontextmanager(function)
    return made


# --- hubs -----------------------------------------------------------------------------------------


@cause
async def hubs_crash(scene):
    for hub in scene.hubs():
        await hub.crash()
    yield
    for hub in scene.hubs():
        await hub.boot()


@contextmanager
def bent(scene, bend, count=2):
    straight = {hub: hub.bend for hub in scene.hubs(count)}
    for hub in straight:
        hub.bend = lambda data, hub=hub: bend(hub, data)
    yield
    for hub, before in straight.items():
        hub.bend = before


@cause
async def hubs_answer_late(scene):
    async def late(_, data):
        await trio.sleep(10)
        return data

    with bent(scene, late):
        yield


@cause
async def hubs_answer_nonsense(scene):
    async def nonsense(_, data):
        return b"SSH-2.0-OpenSSH_9.2\r\n" if data else data

    with bent(scene, nonsense):
        yield


@cause
async def hubs_prove_nothing(scene):
    async def forged(_, data):
        return re.sub(rb"tag=[0-9a-f]{8}", b"tag=00000000", data)

    with bent(scene, forged):
        await scene.use()
        yield


@cause
async def hubs_are_others(scene):
    async def another(hub, data):
        return data.replace(hub.address.id.encode(), b"f" * 32)

    with bent(scene, another):
        yield


@cause
async def hubs_flap(scene):
    async def out_of_reach(hub, data):
        return data if hub.reachable else b""  # as if the connection broke

    def switch(up):
        for hub in scene.hubs():
            hub.reachable = up

    with bent(scene, out_of_reach):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_flap, switch)
            yield
            nursery.cancel_scope.cancel()
        switch(True)


async def _flap(switch):
    while True:
        switch(False)
        await trio.sleep(35)
        switch(True)
        await trio.sleep(10)


async def _claim(_, data):
    """Somebody says that the hub has seen more of every block than was spent."""
    if b"user_seen" not in data:
        return data
    body = b'{"user_seen":99999,"registered":true,"retired":false}'
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@cause
async def fresh_file_claimed(scene):
    with bent(scene, _claim, 1):
        scene.machine.drop("new.json", await scene.hubs(1)[0].hub.provisioner.take())
        yield


@asynccontextmanager
async def rollback_claimed(scene, count):
    await scene.machine.crash()
    with bent(scene, _claim, count):
        await scene.machine.boot()
        await scene.use()
        yield


@cause
async def one_hub_says_rolled_back(scene):
    async with rollback_claimed(scene, 1):
        yield


@cause
async def two_hubs_say_rolled_back(scene):
    async with rollback_claimed(scene, 2):
        yield


# --- the interface, as a client meets it ----------------------------------------------------------


async def _no_interface():
    raise InterfaceDown("the interface wg0 is missing or down")


async def _broken(_):
    return b""


def _take_interface(scene, up):
    """Nothing connects any more, and what is connected breaks."""
    for hub in scene.hubs(3):
        for name, value in (("connect", _no_interface), ("bend", _broken)):
            vars(hub).pop(name, None)
            if not up:
                setattr(hub, name, value)
        if up:
            hub.bend = _straight


@cause
async def interface_missing(scene):
    _take_interface(scene, up=False)
    yield
    _take_interface(scene, up=True)


@cause
async def interface_flaps(scene):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_flap, lambda up: _take_interface(scene, up))
        yield
        nursery.cancel_scope.cancel()
    _take_interface(scene, up=True)


# --- the disk -------------------------------------------------------------------------------------


@cause
async def disk_fails(scene):
    scene.machine.disk.fail("sync", EIO, times=10**9)
    with suppress(AgentError):
        scene.machine.store.run(lambda: scene.machine.store.database.set("x", 1))
    yield
    scene.machine.disk.heal()
    await scene.machine.crash()
    await scene.machine.boot()


@cause
async def folder_moved(scene):
    scene.machine.store.fence.put_up(Reason("moved-machine", 0, "the folder was made elsewhere", "look"))
    yield
    scene.machine.store.lift_fence("alice")


@cause
async def commits_take_long(scene):
    scene.commits.took(2 * SLOW, now=trio.current_time())
    yield


@cause
async def disk_full(scene):
    await _carry(scene)
    yield
    scene.machine.disk.heal()


async def _carry(scene):
    """A file lies in the inbox, and there is no room to take it in."""
    data = await scene.hubs(1)[0].hub.provisioner.take()
    scene.machine.drop("new.json", data)
    scene.machine.disk.fail("create", ENOSPC, times=10**9)


@cause
async def disk_full_now_and_then(scene):
    def switch(free):
        scene.machine.disk.heal()
        if not free:
            scene.machine.disk.fail("create", ENOSPC, times=10**9)

    async with trio.open_nursery() as nursery:
        await _carry(scene)
        nursery.start_soon(_flap, switch)
        yield
        nursery.cancel_scope.cancel()
    scene.machine.disk.heal()


@cause
async def no_room_for_the_pool(scene):
    scene.machine.disk.fail("create", ENOSPC, times=10**9)
    await scene.machine.hub.provisioner.take()
    yield
    scene.machine.disk.heal()


# --- what is carried ------------------------------------------------------------------------------


@cause
async def file_cut_short(scene):
    data = await scene.hubs(1)[0].hub.provisioner.take()
    scene.machine.drop("cut.json", data[:5000])
    yield
    scene.machine.disk.unlink(f"{scene.machine.config.inbox}/cut.json")
    scene.machine.drop("cut.json", data)


@cause
async def file_not_readable(scene):
    scene.machine.drop("closed.json", await scene.hubs(1)[0].hub.provisioner.take())
    scene.machine.disk.fail("open", EACCES, times=10**9)
    yield
    scene.machine.disk.heal()


@cause
async def psrd_spent_with_one_hub(scene):
    await scene.use(12)
    yield
    await enrol(scene.network, "alice", "h1")


@cause
async def psrd_spent_with_two_hubs(scene):
    await scene.use(25)
    yield
    await enrol(scene.network, "alice", "h1", "h2")


@cause
async def nobody_registers(scene):
    for _ in range(3):
        await scene.machine.hub.provisioner.take()
        await trio.sleep(1)
    yield
    await scene.machine.hub.registry.expire(older_than=0)


@cause
async def registration_waits(scene):
    alice = await scene.network.add_client("alice")
    await scene.network.carry(scene.machine, alice)
    yield
    [waiting] = [client for client in await scene.machine.hub.registry.listing() if client.state == "waiting"]
    await scene.machine.hub.registry.approve(waiting.id)


@cause
async def clock_free(scene):
    scene.clock.append(False)
    yield
    scene.clock.append(True)


# --- a network in memory --------------------------------------------------------------------------

SETTINGS = {  # of the hubs, where they are not those by default
    "psrd-spent-with-one-hub": [SMALL, "", ""],
    "psrd-spent-with-two-hubs": [SMALL, SMALL, ""],
    "nobody-registers": ["[hub.provisioner]\nmax_handed_out = 5"],
    "registration-waits": ['binding = "manual"'],
}


async def build(network, fault):
    settings = SETTINGS.get(fault.cause, [""] * (3 if fault.role == "client" else 1))
    for number, setting in enumerate(settings, 1):
        await network.add_hub(f"h{number}", setting)
    if fault.role == "hub":
        return Scene(network, network.hubs["h1"], Commits(), [True])
    for name in ("alice", "bob"):
        await network.add_client(name)
        await enrol(network, name)
    return Scene(network, network.clients["alice"], Commits(), [True])


async def shows(scene, code, *, seconds):
    """Whether the code shows within so many seconds."""
    until = trio.current_time() + seconds
    while code not in await scene.codes():
        if trio.current_time() > until:
            return False
        await trio.sleep(1)
    return True


async def stays(scene, code):
    """Whether it shows for a minute on end: never green while dead."""
    for _ in range(60):
        if code not in await scene.codes():
            return False
        await trio.sleep(1)
    return True


async def is_gone(scene, code, *, seconds):
    """Whether it is gone within so many seconds, and stays so for a minute."""
    until = trio.current_time() + seconds
    clean_since = None
    while clean_since is None or trio.current_time() - clean_since < 60:
        if code in await scene.codes():
            clean_since = None
        elif clean_since is None:
            clean_since = trio.current_time()
        if clean_since is None and trio.current_time() > until:
            return False
        await trio.sleep(1)
    return True


def ids(fault):
    return f"{fault.role}: {fault.cause}"


@pytest.mark.parametrize("fault", [fault for fault in TABLE if fault.cause in CAUSES], ids=ids)
async def test_a_fault_shows_under_its_code_and_is_gone_with_its_cause(network, fault):
    scene = await build(network, fault)
    await trio.sleep(5)
    before = await scene.codes()
    async with CAUSES[fault.cause](scene):
        found = await shows(scene, fault.code, seconds=fault.within)
        steady = fault.shows == "flapping" or await stays(scene, fault.code)

    assert set() == before
    assert (True, True) == (found, steady)
    assert await is_gone(scene, fault.code, seconds=fault.gone)


# --- whole agents, on this machine ----------------------------------------------------------------

FRAMES: dict[str, Callable] = {}


def frame_cause(function):
    FRAMES[function.__name__.replace("_", "-")] = contextmanager(function)


@frame_cause
def port_taken(_, port):
    with socket.create_server(("127.0.0.1", port)):
        yield


@frame_cause
def hub_without_interface(path, _):
    path.write_text(path.read_text().replace('interface = ""', 'interface = "wgx"'))
    yield
    for command in ("tuntap add dev wgx mode tap", "address add 127.0.0.1/8 dev wgx", "link set wgx up"):
        subprocess.run(["ip", *command.split()], check=True)


@frame_cause
def group_missing(path, _):
    path.write_text(path.read_text().replace(f'"{ADMIN_GROUP[0]}"', '"no-such-group"'))
    yield
    path.write_text(path.read_text().replace('"no-such-group"', f'"{ADMIN_GROUP[0]}"'))


@contextmanager
def network_namespace():
    """The sockets of this thread, and what it starts, are in a network of their own while the block lasts."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if libc.unshare(CLONE_NEWNET):
            pytest.skip("needs to be allowed a network namespace")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(before.fileno(), 0)


@pytest.mark.skipif(not is_root(), reason="only root may make a network namespace")
@pytest.mark.parametrize("fault", [fault for fault in TABLE if fault.cause in FRAMES], ids=ids)
async def test_a_fault_of_a_machine_shows_under_its_code_and_is_gone_with_its_cause(fault):
    with short_folder() as folder, network_namespace():
        frame = configured(folder, fault.role)
        path, port = Path(folder, "qfagent.toml"), int(frame.config.hub.listen.rpartition(":")[2])
        undo = FRAMES[fault.cause](path, port)
        undo.__enter__()
        frame = Frame(load(str(path)), str(path), World())
        async with frame.open_store(), frame.at_work():
            await wait_until_told(frame, fault.code, True, seconds=fault.within)
            undo.__exit__(None, None, None)
            await frame.reload()
            await wait_until_told(frame, fault.code, False, seconds=fault.gone)


async def wait_until_told(frame, code, told, *, seconds):
    """By the real clock."""
    with trio.fail_after(seconds + 1):
        while told != (code in {issue.code for issue in (await frame.readiness()).issues}):
            await trio.sleep(0.05)


# --- the mesh -------------------------------------------------------------------------------------

MARKED = {"no-hub-marked": 0, "no-hub-to-spare": 2}  # hubs, where a key needs two


@pytest.mark.parametrize("fault", [fault for fault in TABLE if fault.cause in MARKED], ids=ids)
async def test_a_fault_of_the_mesh_shows_under_its_code_and_is_gone_with_its_cause(fault):
    async def told():
        return {issue["code"] for issue in (await server.agent.get("/readyz"))["issues"]}

    async with serving() as server:
        hubs = await server.enrol("h1", "h2", "h3")
        for hub in hubs[: MARKED[fault.cause]]:
            await server.mark(hub)
        before = await told()
        for hub in hubs[MARKED[fault.cause] :]:
            await server.mark(hub)

        assert fault.code in before
        assert fault.code not in await told()


# --- the table ------------------------------------------------------------------------------------


ELSEWHERE = [fault for fault in TABLE if "::" in fault.cause]


def test_every_row_is_brought_about_by_a_test():
    here = {fault.cause for fault in TABLE if fault not in ELSEWHERE}

    assert here == CAUSES.keys() | FRAMES.keys() | MARKED.keys()


@pytest.mark.parametrize("fault", ELSEWHERE, ids=ids)
def test_a_row_of_another_test_is_one_of_its(fault):
    path, _, name = fault.cause.partition("::")
    source = (Path(__file__).parents[1] / path).read_text()
    body = source.partition(f"def {name}(")[2].partition("def test_")[0]

    assert f'"{fault.code}"' in body


def test_every_code_of_health_is_in_the_table():
    assert FAULTS.keys() | WARNINGS.keys() == {fault.code for fault in TABLE}


def test_a_hub_fails_in_every_way():
    assert {"down", "slow", "wrong", "flapping"} == {fault.shows for fault in TABLE if fault.dependency == "hub"}
