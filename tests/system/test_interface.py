"""Over the interface, only: in network namespaces that the test makes and removes itself."""

import json
import os
import shutil
import subprocess
import sys
import uuid

import pytest

from qfagent.testing.processes import AgentProcess, wait_until


def can_make_namespaces():
    return (
        os.geteuid() == 0
        and shutil.which("ip")
        and subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and iproute2")


def sh(command):
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def inside(space, code):
    """Runs Python code in a namespace; what it prints."""
    command = ["ip", "netns", "exec", space, sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Mesh:
    """A hub's and a client's namespace, joined twice: by a `wg0`, and by another pair that leads the same way."""

    def __init__(self):
        tag = uuid.uuid4().hex[:6]
        self.hub, self.client = f"qfh{tag}", f"qfc{tag}"
        for space in (self.hub, self.client):
            sh(f"ip netns add {space}")
            quiet = "open('/proc/sys/net/ipv6/conf/all/disable_ipv6', 'w').write('1')"  # or it greets its neighbours
            inside(space, quiet)
            sh(f"ip -n {space} link set lo up")
        self.join("eth0", "192.0.2")

    def join(self, device, prefix):
        sh(f"ip -n {self.hub} link add {device} type veth peer name {device} netns {self.client}")
        for space, number in ((self.hub, 1), (self.client, 2)):
            sh(f"ip -n {space} addr add {prefix}.{number}/24 dev {device}")
            sh(f"ip -n {space} link set {device} up")

    def part(self, device):
        sh(f"ip -n {self.hub} link del {device}")

    def packets(self, space, device):
        """Packets that have left by a device, but for those that the kernel sends by itself."""
        [link] = json.loads(sh(f"ip -j -s -n {space} link show {device}"))
        return link["stats64"]["tx"]["packets"]

    def close(self):
        for space in (self.hub, self.client):
            subprocess.run(["ip", "netns", "del", space], check=False)


STRANGER = """
import socket
with socket.socket() as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    sock.bind(("100.64.0.1", 33073))
    sock.listen()
    print("listening", flush=True)
    sock.settimeout(15)
    stream, _ = sock.accept()
    stream.settimeout(3)
    try:
        print(stream.recv(4096))
    except OSError:
        print("nothing came")
"""


class Inside(AgentProcess):
    """An agent in a namespace of the mesh; its socket is a file, and is reached from everywhere."""

    def __init__(self, folder, name, config, space):
        super().__init__(folder, name, config)
        self.config.write_text(self.config.read_text().replace('interface = ""', 'interface = "wg0"'))
        self.prefix = ("ip", "netns", "exec", space)


@pytest.fixture
def mesh():
    made = Mesh()
    yield made
    made.close()


@pytest.fixture
def agents(mesh, tmp_path):
    hub = Inside(tmp_path, "hub", 'role = "hub"\n[hub]\nfqdn = "100.64.0.1"', mesh.hub)
    client = Inside(tmp_path, "alice", 'role = "client"\n[client]\nhub_timeout = "1s"', mesh.client)
    for process in (hub, client):
        process.start()
        process.wait_up()
    yield hub, client
    for process in (client, hub):
        process.stop()


def codes(process):
    return {issue["code"] for issue in process.agent.ready()["issues"]}


def carry(hub, client):
    file = next((hub.state / "psrd-out").glob("*.json"))
    file.rename(client.state / "psrd-in" / file.name)


def registered(client):
    return client.agent.status()["client"]["hubs_usable"] == 1


def test_both_roles_start_without_the_interface_and_say_so(agents):
    hub, client = agents
    carry(hub, client)

    wait_until(lambda: "interface-down" in codes(hub), "the hub to say so")
    wait_until(lambda: "interface-down" in codes(client), "the client to say so")
    assert not client.agent.status()["interface"]["up"]


def test_they_go_on_by_themselves_when_the_interface_appears(mesh, agents):
    hub, client = agents
    carry(hub, client)
    wait_until(lambda: "interface-down" in codes(client), "the client to say so")
    mesh.join("wg0", "100.64.0")

    wait_until(lambda: registered(client), "the registration")
    assert "interface-down" not in codes(hub) | codes(client)
    assert "100.64.0.1" == hub.agent.status()["interface"]["address"]


def test_they_go_on_when_the_interface_is_made_anew(mesh, agents):
    hub, client = agents
    mesh.join("wg0", "100.64.0")
    carry(hub, client)
    wait_until(lambda: registered(client), "the registration")
    mesh.part("wg0")
    wait_until(lambda: "interface-down" in codes(hub), "the hub to notice")
    mesh.join("wg0", "100.64.0")

    wait_until(lambda: registered(client) and hub.agent.ready()["ready"], "both to recover")


def test_no_packet_to_a_hub_leaves_by_another_route(mesh, agents):
    """The hub's address is reachable by eth0 as well, and by nothing else: the client still does not go there."""
    hub, client = agents
    sh(f"ip -n {mesh.hub} addr add 100.64.0.1/32 dev lo")
    sh(f"ip -n {mesh.client} route add 100.64.0.1/32 via 192.0.2.1")
    before = mesh.packets(mesh.client, "eth0")
    carry(hub, client)
    wait_until(lambda: "interface-down" in codes(client), "the client to say so")

    assert before == mesh.packets(mesh.client, "eth0")
    assert "100.64.0.1" in sh(f"ip netns exec {mesh.client} ip route get 100.64.0.1")


def test_a_hub_is_not_reached_by_another_interface(mesh, agents):
    hub, _ = agents
    mesh.join("wg0", "100.64.0")
    wait_until(lambda: hub.agent.ready()["ready"], "the hub to listen")
    ask = """
import socket
try:
    with socket.create_connection(("{address}", 27277), timeout=2) as wire:
        wire.sendall(b"GET /dske/v1/health HTTP/1.0\\r\\nHost: h\\r\\n\\r\\n")
        print(wire.recv(65536).decode())
except OSError:
    print("nobody")
"""

    assert "nobody" == inside(mesh.client, ask.format(address="192.0.2.1")).strip()
    assert "hub_id" in inside(mesh.client, ask.format(address="100.64.0.1"))


def test_a_setup_key_does_not_leave_by_another_way_that_the_routes_lead_it(mesh, tmp_path):
    mesh.join("wg0", "100.64.0")
    sh(f"ip -n {mesh.client} route add 100.64.0.1/32 via 192.0.2.1")
    sh(f"ip -n {mesh.hub} route add 100.64.0.2/32 via 192.0.2.2")
    (tmp_path / "setup-key").write_text("the-setup-key")
    settings = f'url = "http://100.64.0.1:33073"\nsetup_key_file = "{tmp_path}/setup-key"'
    peer = Inside(tmp_path, "alice", f'role = "managed"\n[management]\n{settings}', mesh.client)
    command = ["ip", "netns", "exec", mesh.hub, sys.executable, "-c", STRANGER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stranger:
        assert "listening" == stranger.stdout.readline().strip()
        peer.start()
        heard = stranger.stdout.read()
    peer.stop()

    assert "nothing came" == heard.strip()
