"""Real processes and real signals: what was asked is answered, what is left is clean, what changed is read again."""

import os
import signal
import socket
import threading
import time

import pytest

from qfagent.errors import AgentError, AgentNotRunning
from qfagent.testing.processes import AgentProcess, Fleet, wait_until


@pytest.fixture
def fleet(tmp_path):
    with Fleet(tmp_path) as made:
        made.start(hubs=2, clients=("alice", "bob"))
        made.enrol_all()
        yield made


def outcome_of(call):
    """Runs a call in a thread; gives the thread, and a list that its outcome goes into."""
    outcomes = []

    def run():
        try:
            outcomes.append(call())
        except (AgentError, OSError) as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcomes


def test_a_request_under_way_is_answered_before_a_client_stops(fleet):
    os.kill(fleet.hubs["hub2"].pid, signal.SIGSTOP)
    thread, outcomes = outcome_of(lambda: fleet.clients["alice"].agent.establish("bob"))
    time.sleep(0.5)
    code = fleet.clients["alice"].stop()
    thread.join()
    os.kill(fleet.hubs["hub2"].pid, signal.SIGCONT)

    assert 0 == code
    assert "too-few-hubs" == outcomes[0].slug


def test_a_hub_finishes_what_it_has_been_sent(fleet):
    """Half a request is there when the hub is told to stop; the other half is still answered."""
    status = fleet.hubs["hub1"].agent.status()["hub"]
    host, _, port = status["listen"].rpartition(":")
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(b"POST /dske/v1/register HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{")
        time.sleep(0.3)
        thread, codes = outcome_of(fleet.hubs["hub1"].stop)
        time.sleep(0.3)
        wire.sendall(b"}")
        answer = wire.recv(65536)
    thread.join()

    assert answer.startswith(b"HTTP/1.1 401")
    assert [0] == codes


def test_a_clean_stop_leaves_no_spent_byte_and_no_socket(fleet):
    alice = fleet.clients["alice"]
    for _ in range(5):
        alice.agent.establish("bob")
    marks = {block["block"]: block["spent"] for block in alice.agent.ledger()}
    alice.stop()

    for block, spent in marks.items():
        pad = (alice.state / "private" / "pads" / block).read_bytes()
        assert bytes(spent - 32) == pad[32:spent]
    with pytest.raises(AgentNotRunning):
        alice.agent.status()
    assert not alice.socket.exists()


def test_a_stopped_client_goes_on_where_it_was(fleet):
    [made] = fleet.clients["alice"].agent.establish("bob")
    for process in (*fleet.clients.values(), *fleet.hubs.values()):
        assert 0 == process.stop()
        process.start()
        process.wait_up()
    fleet.wait_hubs(fleet.clients["bob"], 2)

    assert made.key == fleet.clients["bob"].agent.recover(made.key_id).key


def test_hangup_reads_the_configuration_again(fleet):
    alice = fleet.clients["alice"]
    text = alice.config.read_text()
    alice.config.write_text(text.replace("[client]", "[client]\nshares_required = 3"))
    os.kill(alice.pid, signal.SIGHUP)

    wait_until(lambda: alice.agent.status()["client"]["shares_required"] == 3, "the reload")


def test_a_bad_configuration_leaves_the_running_one_in_force(fleet):
    alice = fleet.clients["alice"]
    alice.config.write_text("role = 1\n")
    os.kill(alice.pid, signal.SIGHUP)
    wait_until(lambda: "config.refused" in [event["event"] for event in alice.agent.recent_events()], "the refusal")

    assert 2 == alice.agent.status()["client"]["shares_required"]


def test_two_agents_do_not_share_a_state_folder(fleet, tmp_path):
    alice = fleet.clients["alice"]
    second = AgentProcess(tmp_path, "second", 'role = "client"')
    second.config.write_text(second.config.read_text().replace(str(second.state), str(alice.state)))
    second.start()

    assert 6 == second._process.wait(20)
    assert "another process has the state folder" in second.log.read_text()


def test_a_fresh_agent_is_ready_for_its_socket_within_seconds(fleet, tmp_path):
    fresh = AgentProcess(tmp_path, "fresh", 'role = "client"')
    fresh.start()
    try:
        assert fresh.wait_up() < 10
        assert not fresh.agent.ready()["ready"]
    finally:
        assert 0 == fresh.stop()
