"""Real processes, killed at random moments under load: nothing twice, nothing lost."""

import random
import threading
import time

import pytest

from qfagent.errors import AgentError, KeyGone
from qfagent.testing.processes import AgentProcess, Fleet, free_port, wait_until
from tests.system.tap import Record, Tap

KILLS = 50
HUBS = 3


@pytest.fixture
def tapped(tmp_path):
    """Three hubs behind taps, and two clients that are registered with them; and what the taps record."""
    record, taps = Record(), []
    with Fleet(tmp_path) as fleet:
        for number in range(1, HUBS + 1):
            port = free_port()
            taps.append(Tap((f"127.0.1.{number}", port), ("127.0.0.1", port), record))
            place = f'fqdn = "127.0.1.{number}"\nlisten = "127.0.0.1:{port}"'
            pads = "[hub.provisioner]\npool_size = 3\nuser_bytes = 1048576\nserver_bytes = 1048576"
            fleet.hubs[f"hub{number}"] = AgentProcess(tmp_path, f"hub{number}", f'role = "hub"\n[hub]\n{place}\n{pads}')
        for name in ("alice", "bob"):
            fleet.clients[name] = AgentProcess(tmp_path, name, 'role = "client"\n[client]\nhub_timeout = "1s"')
        for process in (*fleet.hubs.values(), *fleet.clients.values()):
            process.start()
            process.wait_up()
        fleet.enrol_all()
        yield fleet, record
    for tap in taps:
        tap.close()


class Load:
    """Callers that make and recover keys, and remember what they were told."""

    def __init__(self, fleet):
        self.fleet, self.stop = fleet, threading.Event()
        self.established, self.recovered, self.lock = {}, {}, threading.Lock()
        self.asked = set()
        self.wrong, self.released_twice = [], []

    def work(self):
        alice, bob = (self.fleet.clients[name].agent for name in ("alice", "bob"))
        while not self.stop.is_set():
            try:
                for made in alice.establish("bob", count=random.choice((1, 1, 1, 4))):
                    self.established[made.key_id] = made.key
                    if random.random() < 0.7:
                        self.recover(bob, made.key_id)
            except (AgentError, OSError, EOFError):
                time.sleep(0.02)

    def recover(self, bob, key_id):
        self.asked.add(key_id)
        found = bob.recover(key_id, peer="alice")
        with self.lock:
            if key_id in self.recovered:
                self.released_twice.append(key_id)
            self.recovered[key_id] = found.key
        if found.key != self.established[key_id]:
            self.wrong.append(key_id)


def test_fifty_kills_under_load_reuse_nothing_and_lose_nothing(tapped):
    fleet, record = tapped
    load = Load(fleet)
    callers = [threading.Thread(target=load.work) for _ in range(4)]
    for caller in callers:
        caller.start()
    machines = [*fleet.hubs.values(), *fleet.clients.values()]
    for _ in range(KILLS):
        victim = random.choice(machines)
        time.sleep(random.uniform(0.0, 0.4))
        victim.kill()
        victim.start()
        victim.wait_up()
    load.stop.set()
    for caller in callers:
        caller.join()
    for client in fleet.clients.values():
        fleet.wait_hubs(client, 2)

    recover_the_rest(fleet, load)

    assert [] == record.violations
    assert [] == load.wrong
    assert [] == load.released_twice
    assert len(load.recovered) > 50
    assert record.messages > 500


def recover_the_rest(fleet, load):
    """Every key that was acknowledged, and never asked for, is still there."""
    bob = fleet.clients["bob"].agent
    for key_id in load.established.keys() - load.asked:
        wait_until(lambda key_id=key_id: try_to_recover(load, bob, key_id), f"key {key_id}")
    for key_id in load.asked - load.recovered.keys():
        try:
            load.recover(bob, key_id)  # asked for before, and perhaps handed out to a caller that was cut off
        except KeyGone:
            pass
        except AgentError:
            time.sleep(0.05)


def try_to_recover(load, bob, key_id):
    try:
        load.recover(bob, key_id)
    except AgentError as error:
        if error.slug in ("key-gone", "fetch-limit"):
            raise
        return False
    return True
