"""`demo --managed`: a management server and five peers; three are marked as hubs, and later one of them no more."""

import sys
import tempfile
from pathlib import Path

from qfagent.cli.demo_keys import compare, fingerprint
from qfagent.errors import PeerExempt
from qfagent.testing.mesh import Mesh

PEERS = ("alice", "bob", "carol", "dave", "erin")
CLIENTS, HUBS = PEERS[:2], PEERS[2:]


def run() -> None:
    """Tells the story, and runs it."""
    with tempfile.TemporaryDirectory(prefix="qfagent-demo-") as folder, Mesh(Path(folder)) as mesh:
        _start(mesh)
        _mark(mesh)
        _carry(mesh)
        _make_a_key(mesh)
        _ask_for_a_key_with_a_hub(mesh)
        _unmark(mesh)
        _let_look(mesh)
    print("\nEverything was real: six processes, their files, their sockets. All of it is gone again.")


def _start(mesh: Mesh) -> None:
    print("A management server starts, and five peers that enrol there with one setup key.")
    mesh.start_peers(*PEERS)
    print(f"  dashboard   {mesh.url}/")
    print(f"  its token   in {mesh.token_file}")
    for name, peer in mesh.peers.items():
        status = peer.agent.status()
        print(f"  {name:6}      is a {status['role']}, at {status['membership']['address']}")


def _mark(mesh: Mesh) -> None:
    print(
        "\nAn operator marks three of them as security hubs, over the server's REST interface. No agent is restarted."
    )
    for name in HUBS:
        mesh.mark(name, hub=True)
    mesh.wait_seen(len(HUBS))
    for name in HUBS:
        report = mesh.peers[name].agent.status()["hub"]
        print(f"  {name:6} is a hub, id {report['id'][:8]}, with {len(report['pool']['files'])} PSRD files to give out")
    (policy,) = [policy for policy in mesh.ask("GET", "/api/policies") if policy["name"] == "DSKE Security Hubs"]
    print(f"  The server has made the policy {policy['name']!r}: every peer reaches them.")


def _carry(mesh: Mesh) -> None:
    print("\nThe operator carries one PSRD file from every hub to every client; the server never sees a byte of them.")
    for client in CLIENTS:
        for hub in HUBS:
            mesh.carry(mesh.peers[hub], mesh.peers[client])
    for client in CLIENTS:
        mesh.wait_hubs(mesh.peers[client], len(HUBS))
        print(f"  {client:6} is registered with {len(HUBS)} hubs, by the address that it calls from")


def _make_a_key(mesh: Mesh) -> None:
    print("\nAlice makes a key for Bob.")
    alice, bob = (mesh.peers[name].agent for name in CLIENTS)
    made = alice.establish("bob")[0]
    found = bob.recover(made.key_id)
    print(f"  alice  made      {made.key_id}   fingerprint {fingerprint(made)}")
    print(f"  bob    recovered {found.key_id}   fingerprint {fingerprint(found)}")
    compare(made, found)


def _ask_for_a_key_with_a_hub(mesh: Mesh) -> None:
    print("\nAlice asks for a key with a hub. Hubs are exempt:")
    try:
        mesh.peers["alice"].agent.establish("carol")
    except PeerExempt as refusal:
        print(f"  {refusal.slug}: {refusal}")


def _unmark(mesh: Mesh) -> None:
    print("\nErin is to be a hub no more. She becomes a client again, and the others leave her alone.")
    mesh.mark("erin", hub=False)
    mesh.wait_seen(len(HUBS) - 1)
    hubs = mesh.peers["alice"].agent.hubs()
    print(f"  alice  sees {sum(hub['state'] == 'up' for hub in hubs)} hubs; two are left, and two are enough")
    alice, bob = (mesh.peers[name].agent for name in CLIENTS)
    made = alice.establish("bob")[0]
    compare(made, bob.recover(made.key_id))


def _let_look(mesh: Mesh) -> None:
    if sys.stdin is not None and sys.stdin.isatty():
        input(f"\nThe dashboard is at {mesh.url}/ until you press Enter. ")
