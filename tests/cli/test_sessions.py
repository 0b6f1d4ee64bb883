"""Sessions at a shell, against real agents: each transcript in `sessions/` is a test."""

import os
from pathlib import Path

import pytest

from tests.cli.agents import CLIENT, HUB, MANAGEMENT
from tests.cli.transcript import Session

SESSIONS = Path(__file__).parent / "sessions"
STRANGER = Path(__file__).parent / "stranger.py"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def session(agents):
    folder = agents.folder / "work"
    folder.mkdir()

    def run(name, **values):
        sockets = {path.stem: agents.socket(path.stem) for path in agents.folder.glob("*.toml")}
        made = Session(folder, folder=agents.folder, **sockets, **values)
        made.run(SESSIONS / f"{name}.txt")
        return made

    return run


@pytest.mark.parametrize("name", ["usage", "not_running"])
def test_without_an_agent(session, name):
    session(name)


def test_configurations(agents, session):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)

    session("config")


def test_a_hub(agents, session):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)
    agents.start("hub")

    session("hub")


def test_a_management_server(agents, session):
    agents.write("server", MANAGEMENT)
    agents.start("server")

    session("management")


def test_ingestion(agents, session):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)
    agents.start("hub", "alice")

    session("ingest")


def test_exhaustion(agents, session):
    for name in ("hub1", "hub2"):
        agents.write(name, HUB)
    for name in ("alice", "bob"):
        agents.write(name, CLIENT)
    agents.start("hub1", "hub2", "alice", "bob")
    for hub in ("hub1", "hub2"):
        agents.assign(hub, "alice", user_bytes=1024, server_bytes=4096)
        agents.assign(hub, "bob", user_bytes=1024, server_bytes=16384)

    session("exhausted")


@needs_root
def test_keys(agents, session):
    for name in ("hub1", "hub2"):
        agents.write(name, HUB)
    for name in ("alice", "bob"):
        agents.write(name, CLIENT)
    agents.start("hub1", "hub2", "alice", "bob")
    for name in ("alice", "bob"):
        for hub in ("hub1", "hub2"):
            agents.carry(hub, name)

    session("keys", stranger=STRANGER)


@needs_root
def test_permissions(agents, session):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)
    agents.start("hub", "alice")

    session("permissions", stranger=STRANGER)


def test_approval(agents, session):
    agents.write("hub", HUB.replace("listen =", 'binding = "manual"\nlisten ='))
    agents.write("alice", CLIENT)
    agents.start("hub", "alice")

    session("approve")


def test_backup_and_restore(agents, session):
    agents.write("hub", HUB)
    agents.write("alice", CLIENT)
    agents.start("hub", "alice")
    agents.carry("hub", "alice")

    session("backup")
    agents.stop("alice")
    session("restore")
    agents.start("alice")
    session("restored")


def test_starting(agents, session):
    agents.write("alice", CLIENT)
    agents.start("alice")

    session("start")
