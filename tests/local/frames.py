"""A whole agent in this process, on real sockets and a real disk, and callers of its control socket."""

import json
import os
import shutil
import socket
import sys
import tempfile
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from qfagent.agent import Frame
from qfagent.config import load
from qfagent.world import World

GROUP, ADMIN_GROUP = ("daemon", 1), ("adm", 4)  # of every Linux; here they stand for qufabric and qbtld

CONFIG = """
name = "{name}"
role = "{role}"
interface = ""
state_dir = "{folder}/state"
[control]
socket = "{folder}/sock"
group = "daemon"
admin_group = "adm"
[hub]
fqdn = "127.0.0.1"
listen = "127.0.0.1:{port}"
[hub.provisioner]
pool_size = 2
user_bytes = 4096
server_bytes = 4096
[client]
{more}
"""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self):
        return json.loads(self.body)

    @property
    def slug(self):
        return self.content["type"].rpartition("/")[2]


class Running:
    """An agent at work, and how to call it."""

    def __init__(self, frame, folder):
        self.frame, self.folder, self.path = frame, folder, f"{folder}/sock"
        self.told = []
        note = frame.bus.count

        def count(name, fields):
            self.told.append((name, dict(fields)))
            note(name, fields)

        frame.bus.count = count

    def happened(self, name):
        return [fields for event, fields in self.told if event == name]

    async def ask(self, method, target, body=b"", **headers):
        """One request on a connection of its own."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with await trio.open_unix_socket(self.path) as stream:
            await stream.send_all(request(method, target, body, **headers))
            return await receive(stream)

    async def get(self, target):
        return (await self.ask("GET", target)).content


def request(method, target, body=b"", **headers):
    lines = [f"{method} {target} HTTP/1.1", "Host: qfagent", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def receive(stream):
    data = b""
    while b"\r\n\r\n" not in data:
        data += await _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await _more(stream)
    return Answer(int(first.split(" ")[1]), headers, body)


async def _more(stream):
    data = await stream.receive_some(65_536)
    assert data, "the agent closed the connection"
    return bytes(data)


@contextmanager
def short_folder():
    """A folder whose path leaves room for a socket's name, and which everybody may enter."""
    folder = tempfile.mkdtemp(prefix="qf-", dir="/tmp")
    Path(folder).chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def configured(folder, role, more="", *, name="agent"):
    """An agent that has not started yet."""
    path = Path(folder, "qfagent.toml")
    path.write_text(CONFIG.format(name=name, role=role, folder=folder, port=free_port(), more=more))
    return Frame(load(str(path)), str(path), World())


@asynccontextmanager
async def running(role, more="", *, name="agent"):
    with short_folder() as folder:
        frame = configured(folder, role, more, name=name)
        async with frame.open_store(), frame.at_work(), frame.listening():
            yield Running(frame, folder)


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- callers of other users -----------------------------------------------------------------------


async def ask_as(path, uid, groups, requests):
    """The statuses of requests that a process of another user makes, and its pid; None where it may not connect."""
    asked = json.dumps([path, uid, groups, requests])
    script = str(Path(__file__).with_name("caller.py"))
    done = await trio.run_process([sys.executable, "-I", "-S", script], stdin=asked.encode(), capture_stdout=True)
    pid, statuses = json.loads(done.stdout)
    return pid, statuses


def is_root():
    return os.geteuid() == 0
