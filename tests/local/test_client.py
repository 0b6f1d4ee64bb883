"""The client that programs and commands use: against real agents, and against what is no agent."""

import io
import json
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from qfagent import config, errors
from qfagent.client import generator  # noqa: F401  # defines errors of its own, which must not stand in the way
from qfagent.dske import psrd
from qfagent.dske.secret import Secret
from qfagent.errors import (
    AgentError,
    AgentNotRunning,
    BadRequest,
    NotFound,
    NothingChanged,
    PsrdIncomplete,
    PsrdPreviouslyInserted,
    PsrdRejected,
    Refusal,
    TimedOut,
    TooFewHubs,
)
from qfagent.http.message import problem
from qfagent.local import client
from qfagent.local.client import Agent, Key
from qfagent.local.exchange import quote
from tests.cli import agents as running
from tests.cli.agents import CLIENT, HUB, wait_for


@pytest.fixture(scope="module")
def mesh():
    with running.agents() as made:
        for name in ("hub1", "hub2"):
            made.write(name, HUB)
        for name in ("alice", "bob"):
            made.write(name, CLIENT)
        made.start("hub1", "hub2", "alice", "bob")
        for name in ("alice", "bob"):
            for hub in ("hub1", "hub2"):
                made.carry(hub, name)
        yield made


def taken(mesh):
    """The bytes of a file out of a pool."""
    wait_for(lambda: mesh.agent("hub1").pool()["files"])
    with io.BytesIO() as file:
        mesh.agent("hub1").take_from_pool(file)
        return file.getvalue()


# --- against real agents


def test_every_route_has_its_method(mesh):
    alice, hub = mesh.agent("alice"), mesh.agent("hub1")
    paths = {
        (method, path)
        for agent in (alice, hub)
        for path, operations in agent._ask("GET", "/openapi.json")["paths"].items()
        for method in operations
    }

    assert paths == {
        ("get", "/healthz"),  # for probes that have no client
        ("get", "/openapi.json"),
        ("get", "/v1/status"),
        ("get", "/readyz"),
        ("get", "/v1/events/recent"),
        ("get", "/v1/events"),
        ("get", "/metrics"),
        ("post", "/v1/reload"),
        ("get", "/v1/backup"),
        ("post", "/v1/fence/lift"),
        ("post", "/v1/keys"),
        ("get", "/v1/keys"),
        ("get", "/v1/keys/{key_id}"),
        ("get", "/v1/hubs"),
        ("get", "/v1/peers"),
        ("get", "/v1/psrd"),
        ("get", "/v1/psrd/history"),
        ("get", "/v1/ledger"),
        ("post", "/v1/psrd"),
        ("put", "/v1/hubs/{id}/address"),
        ("post", "/v1/blocks/{id}/resume"),
        ("post", "/v1/blocks/{id}/retire"),
        ("get", "/v1/clients"),
        ("post", "/v1/clients"),
        ("post", "/v1/clients/{id}/approve"),
        ("post", "/v1/clients/{id}/psrd"),
        ("delete", "/v1/clients/{id}"),
        ("post", "/v1/clients/expire"),
        ("get", "/v1/pool"),
        ("post", "/v1/pool/take"),
    }


def test_the_socket_is_where_the_agent_makes_it():
    assert config.DEFAULT_SOCKET == client.DEFAULT_SOCKET


def test_a_key_is_the_same_at_both_ends_and_shows_nothing(mesh):
    (made,) = mesh.agent("alice").establish("bob")
    found = mesh.agent("bob").recover(made.key_id, peer="alice")

    assert (found.key_id, found.key, found.peer, made.peer) == (made.key_id, made.key, "alice", "bob")
    assert len(found.key) == 32
    assert repr(found) == f"<Key {made.key_id} with alice>"


def test_keys_that_wait_are_given_in_the_order_of_their_secrets(mesh):
    made = [mesh.agent("alice").establish("bob", count=count) for count in (2, 1)]
    waiting = [mesh.agent("bob").wait_next("alice") for _ in made]

    assert [[key.key for key in keys] for keys in waiting] == [[key.key for key in keys] for keys in made]
    with pytest.raises(NotFound):
        mesh.agent("bob").wait_next("alice")


def test_what_the_agent_refuses_is_the_error_that_it_names(mesh):
    alice = mesh.agent("alice")

    for error, refused in (
        (TooFewHubs, lambda: alice.establish("nobody")),
        (BadRequest, lambda: alice.establish("bob", count=0)),
        (NotFound, lambda: alice.retire("0" * 32)),
        (NothingChanged, alice.lift_fence),
        (NotFound, alice.pool),
        (BadRequest, lambda: alice.retire("")),
    ):
        with pytest.raises(error) as caught:
            refused()
        assert type(caught.value) is error


def test_a_file_is_ingested_from_where_it_stands(mesh):
    data = taken(mesh)
    with tempfile.TemporaryFile() as file:
        file.write(b"something else\n" + data)
        file.seek(15)

        assert mesh.agent("alice").ingest(file)["block"] == psrd.decode(data).id
        file.seek(15)
        with pytest.raises(PsrdPreviouslyInserted):
            mesh.agent("alice").ingest(file)


@pytest.mark.parametrize("wrap", [io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_what_is_in_memory_is_ingested(mesh, wrap):
    data = taken(mesh)

    assert mesh.agent("alice").ingest(wrap(data))["block"] == psrd.decode(data).id


def test_so_many_bytes_of_a_stream_are_ingested(mesh):
    data = taken(mesh)
    stream = io.BytesIO(data + b"what follows")

    assert mesh.agent("alice").ingest(stream, size=len(data))["block"] == psrd.decode(data).id
    assert stream.read() == b"what follows"


def test_a_file_that_becomes_shorter_is_not_ingested(mesh):
    data = taken(mesh)
    before = mesh.agent("alice").ledger()
    with pytest.raises(PsrdIncomplete, match="shorter"):
        mesh.agent("alice").ingest(io.BytesIO(data), size=len(data) + 1)

    assert mesh.agent("alice").ledger() == before
    mesh.agent("alice").ingest(io.BytesIO(data))


def test_what_the_agent_would_not_take_is_not_sent(mesh):
    class Unread(io.BytesIO):
        def read(self, *_):
            raise AssertionError("it was read")

    with pytest.raises(PsrdRejected, match="at most"):
        mesh.agent("alice").ingest(Unread(), size=1 << 30)
    with pytest.raises(NotFound):
        mesh.agent("hub1").ingest(Unread(), size=100)


def test_events_are_heard_as_they_happen(mesh):
    heard = threading.Event()

    def listen():
        for event in mesh.agent("alice").events():
            if event["event"] == "config.reloaded":
                heard.set()
                return

    thread = threading.Thread(target=listen)
    thread.start()
    wait_for(lambda: mesh.agent("alice").reload() and heard.wait(0.05))
    thread.join()

    assert "config.reloaded" in [event["event"] for event in mesh.agent("alice").recent_events()]


def test_readiness_and_metrics(mesh):
    assert mesh.agent("alice").ready()["ready"] is True
    assert "qfagent_ready 1.0" in mesh.agent("alice").metrics()


def test_an_agent_that_is_not_ready_says_why(tmp_path):
    with running.agents() as made:
        made.write("alone", CLIENT)
        made.start("alone")
        readiness = made.agent("alone").ready()

    assert readiness["ready"] is False
    assert "hubs-unreachable" in [issue["code"] for issue in readiness["issues"]]


# --- against what is no agent


@contextmanager
def speaker(*said, silent=False):
    """A socket whose other end says something, whatever it is told; a number is a pause in seconds."""
    folder = tempfile.TemporaryDirectory(prefix="qf-")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder.name}/s")
    listener.listen()
    listener.settimeout(10)
    done = threading.Event()

    def speak():
        stream, _ = listener.accept()
        with stream:
            stream.recv(65_536)
            for piece in said:
                done.wait(piece) if isinstance(piece, float) else stream.sendall(piece)
            if silent:
                done.wait(10)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield f"{folder.name}/s"
    finally:
        done.set()
        thread.join()
        listener.close()
        folder.cleanup()


def answer(body, status=b"200 OK", more=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"x" * 10_000,
        answer(b"<html>"),
        answer(b"{}", b"404 Not Found"),
        answer(b"{}", b"302 Found"),
    ],
)
def test_who_speaks_otherwise_is_no_agent(said):
    with speaker(said) as path, pytest.raises(AgentError, match="no agent"):
        Agent(path).status()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
def test_an_answer_that_is_cut_off_is_none(said):
    with speaker(said) as path, pytest.raises(AgentError, match="before its answer was complete"):
        Agent(path).status()


def test_an_answer_may_come_in_pieces():
    said = answer(json.dumps({"ready": True}).encode())
    with speaker(*(said[at : at + 1] for at in range(len(said)))) as path:
        assert Agent(path).status() == {"ready": True}


def test_what_comes_before_the_answer_is_passed_over():
    with speaker(b"HTTP/1.1 103 Early Hints\r\n\r\n", answer(b"{}")) as path:
        assert Agent(path).status() == {}


def test_events_may_be_cut_anywhere():
    chunks = b"4\r\n{}\n{\r\n", b"4\r\n}\n{}\r\n", b"1\r\n\n\r\n", b"0\r\n\r\n"
    with speaker(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks) as path:
        assert list(Agent(path).events()) == [{}, {}, {}]


def test_who_is_silent_is_waited_for_so_long(tmp_path):
    with speaker(silent=True) as path, pytest.raises(TimedOut, match="does not answer"):
        Agent(path, timeout=0.05).status()


@pytest.fixture
def crowded():
    """A socket with a queue that is full, and what lets everybody in."""
    folder = tempfile.TemporaryDirectory(prefix="qf-")
    with folder, socket.socket(socket.AF_UNIX) as listener, ExitStack() as queue:
        listener.bind(f"{folder.name}/s")
        listener.listen(0)
        listener.settimeout(10)
        with suppress(BlockingIOError):
            while True:
                waiting = queue.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(f"{folder.name}/s")

        def serve():
            listener.accept()[0].close()
            with listener.accept()[0] as stream:
                stream.recv(65_536)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        yield f"{folder.name}/s", serve


def test_a_full_queue_is_waited_at_so_long(crowded):
    path, _ = crowded
    began = time.monotonic()
    with pytest.raises(TimedOut, match="does not answer"):
        Agent(path, timeout=0.05).status()

    assert time.monotonic() - began >= 0.04


def test_who_waits_at_a_full_queue_is_served(crowded):
    path, serve = crowded
    server = threading.Timer(0.1, serve)
    server.start()
    try:
        assert {} == Agent(path, timeout=20).status()
    finally:
        server.join()


def test_events_are_waited_for_however_long():
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.3, b"3\r\n{}\n\r\n", b"0\r\n\r\n"
    with speaker(*said) as path:
        assert list(Agent(path, timeout=0.1).events()) == [{}]


def test_nobody_listens(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(AgentNotRunning, match="nobody listens"):
            Agent(str(path)).status()


# --- errors, ids


def kinds(kind=AgentError):
    yield kind
    for child in kind.__subclasses__():
        yield from kinds(child)


PLAIN = [kind for kind in kinds() if kind.__init__ is AgentError.__init__ and kind.__module__.startswith("qfagent.")]


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
def test_every_error_crosses_the_socket(kind):
    body = problem(kind("what happened", remedy="what to do")).body
    said = answer(body, b"%d X" % kind.status, b"Content-Type: application/problem+json\r\n")
    with speaker(said) as path, pytest.raises(AgentError) as caught:
        Agent(path).status()

    assert (type(caught.value), str(caught.value)) == (kind, "what happened; what to do")


@pytest.mark.parametrize("slug", errors.REFUSALS)
def test_refusals_cross_it_too(slug):
    said = answer(problem(Refusal(slug, "why")).body, b"409 X", b"Content-Type: application/problem+json\r\n")
    with speaker(said) as path, pytest.raises(AgentError) as caught:
        Agent(path).status()

    assert caught.value.slug == slug


def test_a_word_of_a_newer_agent_is_kept():
    body = json.dumps({"type": "https://qfagent.invalid/problems/never-heard", "detail": "news"}).encode()
    said = answer(body, b"418 X", b"Content-Type: application/problem+json\r\n")
    with speaker(said) as path, pytest.raises(AgentError, match="news") as caught:
        Agent(path).status()

    assert (caught.value.slug, caught.value.exit_code) == ("never-heard", 1)


@pytest.mark.parametrize(
    "text,quoted", [("peer-a.b_c~", "peer-a.b_c~"), ("a/b?c=d&e", "a%2Fb%3Fc%3Dd%26e"), ("é\udcff", "%C3%A9%FF")]
)
def test_a_value_is_one_segment(text, quoted):
    assert quoted == quote(text)


def test_a_key_is_a_secret():
    assert "YWJj" not in repr(Key("id", Secret(b"abc"), "peer"))


def test_a_program_imports_nothing_dear():
    source = Path(client.__file__).read_text() + Path(client.__file__).with_name("exchange.py").read_text()

    assert "import trio" not in source
    assert "import msgspec" not in source
