"""Nothing lost, nothing reused, when real processes are killed at any moment under load.

* In every round some machines are killed, at once, and started; some of them again while they start, which is when
  they recover. The next round begins when customers get keys again.
* A tap on every hub's wire sees every span that leaves; what customers were told is held against what they get.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from qfagent.testing.witness import Broken
from tests.proof.customers import Customers
from tests.proof.fleets import Tapped
from tests.proof.stable import Stable, StabledAgent

KILLS, HUBS = 100, 3
AT_ONCE = 3  # machines, at most
AGAIN = 0.4  # how often a round strikes again while machines start
STARTING = 0.2  # seconds that a start takes, more or less
PATIENCE = 1.5  # seconds until a round begins without load, as hubs are asked again only after a while


def play(seed, *, kills=KILLS, prefix=()):
    """So many kills; what they interrupted."""
    made = tempfile.TemporaryDirectory(prefix="qf-", dir="/tmp")
    with made as folder, Stabled(Path(folder), prefix) as fleet:
        fleet.begin(hubs=HUBS)
        customers, killer = Customers(fleet, Random(seed)), Killer(fleet, Random(seed))
        with customers:
            killer.kill(kills, customers)
        _judge(fleet, customers)  # who breaks a promise may never come to rest
        customers.settle()
        return _judge(fleet, customers) | killer.covered | {"messages": fleet.record.messages}


def _judge(fleet, customers):
    if fleet.record.violations:
        raise Broken("span-used-twice", f"{fleet.record.violations}")
    return customers.judge()


class Stabled(Tapped):
    """A fleet whose agents start fast."""

    def __init__(self, folder, prefix):
        super().__init__(folder, pad=1 << 20)
        self._stable = Stable(prefix)

    def __exit__(self, *how):
        super().__exit__(*how)
        self._stable.close()

    def renew(self):
        """Kills and starts the clients: what they have counted is forgotten, and all hubs are asked again."""
        for client in self.clients.values():
            client.kill()
            client.start()
        for client in self.clients.values():
            client.wait_up()
            self.wait_hubs(client, len(self.hubs))

    def _agent(self, name, config):
        return StabledAgent(self._stable, self._folder, name, config)


class Killer:
    """Kills machines of a fleet, and starts them again."""

    def __init__(self, fleet, chance):
        self._chance, self._machines = chance, [*fleet.hubs.values(), *fleet.clients.values()]
        self._ready = set(self._machines)
        self.covered = Counter(dict.fromkeys(("rounds under load", "rounds without load"), 0))

    def kill(self, kills, customers):
        """Round by round, until so many machines were killed."""
        while self.covered["kills"] < kills:
            is_lively = customers.wait_lively(PATIENCE)
            self.covered["rounds under load" if is_lively else "rounds without load"] += 1
            time.sleep(self._chance.uniform(0.0, 0.1))
            self._play_round(kills)

    def _play_round(self, kills):
        victims = self._some(self._machines)
        self._strike(victims, kills)
        while self._chance.random() < AGAIN:
            time.sleep(self._chance.uniform(0.0, STARTING))
            self._strike(self._some(victims), kills)
        for victim in victims:
            victim.wait_up()
        self._ready.update(victims)

    def _some(self, machines):
        return self._chance.sample(machines, self._chance.randint(1, min(AT_ONCE, len(machines))))

    def _strike(self, victims, kills):
        victims = victims[: kills - self.covered["kills"]]
        for victim in victims:
            self.covered["kills"] += 1
            self.covered["kills of ready machines"] += victim in self._ready
            self._ready.discard(victim)
            victim.kill()
        for victim in victims:
            victim.start()
