"""The control socket's file: who is told apart by the kernel, what is left over, and what is never touched."""

import os
import socket
import stat
import struct
from pathlib import Path

import pytest
import trio

from qfagent.errors import WrongState
from qfagent.local.socket import Caller, find_group, identify, listen
from tests.local.frames import ask_as, is_root, running, short_folder


@pytest.fixture
def path():
    with short_folder() as folder:
        yield f"{folder}/sock"


async def test_a_caller_is_who_the_kernel_says(path):
    async with (
        await listen(path, group=None) as listener,
        await trio.open_unix_socket(path),
        await listener.accept() as stream,
    ):
        caller = identify(stream)

    assert Caller(os.getpid(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()})) == caller


@pytest.mark.skipif(not is_root(), reason="only root can call as other users")
async def test_the_largest_ids_are_told_right():
    uid = (1 << 32) - 3
    async with running("client") as agent:
        Path(agent.path).chmod(0o666)
        await ask_as(agent.path, uid, [uid - 1], [("GET", "/healthz")])

        assert [uid] == [event["uid"] for event in agent.happened("control.denied")]


@pytest.mark.skipif(not is_root(), reason="only root can have so many groups")
async def test_a_caller_with_256_groups_is_told_and_one_with_more_is_turned_away():
    async with running("client") as agent:
        Path(agent.path).chmod(0o666)
        _, statuses = await ask_as(agent.path, 51_003, [1, *range(2000, 2255)], [("GET", "/healthz")])
        assert [200] == statuses
        with pytest.raises(Exception, match="non-zero"):
            await ask_as(agent.path, 51_003, [1, *range(2000, 2300)], [("GET", "/healthz")])

        assert 200 == (await agent.ask("GET", "/healthz")).status


@pytest.mark.skipif(not is_root(), reason="only root can give a file to a group")
async def test_the_socket_belongs_to_the_group_and_nobody_else_may_connect(path):
    async with await listen(path, group=1):
        found = Path(path).stat()

    assert (0o660, 1) == (stat.S_IMODE(found.st_mode), found.st_gid)
    assert stat.S_ISSOCK(found.st_mode)


async def test_the_umask_is_as_it_was(path):
    before = os.umask(0o027)
    try:
        async with await listen(path, group=None):
            assert 0o027 == os.umask(0o027)
            assert 0o660 == stat.S_IMODE(Path(path).stat().st_mode)
    finally:
        os.umask(before)


async def test_a_socket_that_is_left_over_is_replaced(path):
    async with await listen(path, group=None):
        pass
    assert Path(path).exists()
    async with await listen(path, group=None) as again, await trio.open_unix_socket(path), await again.accept():
        pass


async def test_a_socket_on_which_somebody_answers_is_left_alone(path):
    async with await listen(path, group=None) as first:
        with pytest.raises(WrongState, match="another agent answers"):
            await listen(path, group=None)
        async with await trio.open_unix_socket(path), await first.accept():
            pass


async def test_a_socket_whose_queue_is_full_is_left_alone(path):
    """Its agent is busy, not dead."""
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(path)
        with pytest.raises(WrongState):
            await listen(path, group=None)
        for one in waiting:
            one.close()

        assert Path(path).exists()


def regular_file(path):
    Path(path).write_text("precious")


OTHERS = {
    "file": regular_file,
    "folder": lambda path: Path(path).mkdir(),
    "fifo": os.mkfifo,
    "link to a file": lambda path: (regular_file(f"{path}.target"), Path(path).symlink_to(f"{path}.target")),
    "dangling link": lambda path: Path(path).symlink_to("/nowhere"),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
async def test_what_is_no_socket_is_never_removed(path, make):
    """Before, `socket = "/etc/some.file"` in the configuration removed that file."""
    make(path)
    before = os.lstat(path)

    with pytest.raises(WrongState, match="is no socket"):
        await listen(path, group=None)
    assert before == os.lstat(path)


async def test_a_link_to_a_live_socket_is_left_alone_too(path):
    async with await listen(path, group=None):
        Path(f"{path}2").symlink_to(path)
        with pytest.raises(WrongState):
            await listen(f"{path}2", group=None)

        assert Path(f"{path}2").is_symlink()


@pytest.mark.parametrize("path", ["/nowhere/sock", "/dev/null/sock", "/" + "x" * 200])
async def test_a_path_that_can_not_be_listened_on_is_told(path):
    with pytest.raises(WrongState, match="can't listen on"):
        await listen(path, group=None)


async def test_after_a_clean_stop_the_socket_is_gone():
    async with running("client") as agent:
        assert Path(agent.path).exists()
        path = agent.path

    assert not Path(path).exists()


async def test_a_second_agent_on_the_same_socket_does_not_start_and_the_first_goes_on():
    async with running("client") as first:
        with pytest.raises(WrongState, match="another agent answers"):
            await listen(first.path, group=None)

        assert 200 == (await first.ask("GET", "/healthz")).status


def test_a_group_is_found_by_its_name_or_not_at_all():
    assert 0 == find_group("root")
    assert [None, None] == [find_group("no-such-group"), find_group("")]


def test_our_reading_of_the_credentials_is_the_kernels():
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        data = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3I"))

    assert (os.getpid(), os.geteuid(), os.getegid()) == struct.unpack("3I", data)
