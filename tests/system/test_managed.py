"""Real managed agents: killed, restarted and left alone, they are what they were; the demonstration leaves nothing."""

import os
import subprocess
import sys

from qfagent.testing.mesh import Mesh


def test_an_agent_that_is_killed_while_its_server_is_away_is_what_it_was(tmp_path):
    with Mesh(tmp_path) as mesh:
        mesh.start_peers("alice", "erin")
        mesh.mark("erin", hub=True)
        mesh.wait_seen(1)
        before = mesh.peers["erin"].agent.status()["hub"]["id"]
        mesh.server.kill()
        for peer in mesh.peers.values():
            peer.kill()
            peer.start()
            peer.wait_up()
        after = {name: peer.agent.status() for name, peer in mesh.peers.items()}

    assert {"alice": "client", "erin": "hub"} == {name: status["role"] for name, status in after.items()}
    assert before == after["erin"]["hub"]["id"]
    assert 1 == after["alice"]["membership"]["hubs"]


def test_tokens_and_setup_keys_are_in_no_log(tmp_path):
    with Mesh(tmp_path) as mesh:
        mesh.start_peers("alice")
        mesh.mark("alice", hub=True)
        secrets = [mesh.token_file.read_text().strip(), (tmp_path / "setup-key").read_text().strip()]
        badge = (mesh.peers["alice"].state / "private" / "management-badge.json").read_text()
        secrets.append(badge.partition('"token":"')[2].partition('"')[0])
        status = str(mesh.peers["alice"].agent.status()) + str(mesh.peers["alice"].agent.recent_events())
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))

    assert "role.began" in logs
    for secret in secrets:
        assert len(secret) > 30
        assert secret not in logs + status


def test_the_demonstration_tells_its_story_and_leaves_nothing_behind(tmp_path):
    command = [sys.executable, "-m", "qfagent", "demo", "--managed"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    said = done.stdout.decode()

    assert (0, b"") == (done.returncode, done.stderr)
    assert 2 == said.count("The same key at both ends.")
    assert "dashboard   http://127.0.0.1:" in said
    assert [] == list(tmp_path.iterdir())
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout.decode()
