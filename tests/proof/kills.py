"""Nothing lost, nothing reused, when real processes are killed at any moment under load.

* A tap on every hub's wire sees every span that leaves; what callers were told is held against what they get.
"""

import tempfile
import threading
import time
from pathlib import Path
from random import Random

from qfagent.testing.witness import Broken
from tests.proof.fleets import Tapped
from tests.system.test_kill import Load, recover_the_rest

KILLS, HUBS, CALLERS = 50, 3, 4


def play(seed, *, kills=KILLS, prefix=()):
    """So many kills; what they interrupted."""
    made = tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp")
    with made as folder, Tapped(Path(folder), pad=1 << 20, prefix=prefix) as fleet:
        fleet.begin(hubs=HUBS)
        return _killed(fleet, Random(seed), kills)


def _killed(fleet, chance, kills):
    load = Load(fleet)
    callers = [threading.Thread(target=load.work) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    _kill(fleet, chance, kills)
    load.stop.set()
    for caller in callers:
        caller.join()
    _judge(load, fleet.record)  # who breaks a promise may never come to rest
    for client in fleet.clients.values():
        fleet.wait_hubs(client, 2)
    recover_the_rest(fleet, load)
    return _judge(load, fleet.record) | {"kills": kills}


def _kill(fleet, chance, kills):
    machines = [*fleet.hubs.values(), *fleet.clients.values()]
    for _ in range(kills):
        victim = chance.choice(machines)
        time.sleep(chance.uniform(0.0, 0.4))
        victim.kill()
        victim.start()
        victim.wait_up()


def _judge(load, record):
    for promise, found in (
        ("span-used-twice", record.violations),
        ("wrong-key", load.wrong),
        ("key-released-twice", load.released_twice),
    ):
        if found:
            raise Broken(promise, f"{found}")
    return {"keys": len(load.recovered), "messages": record.messages}
