"""Fate: what befalls the mesh while its tools want keys, each blow now and then, by weight."""

import math
from collections import Counter

import trio

from qfagent.testing.liar import honest
from tests.threats.test_lying_hubs import LIES

DAY = 86_400


class Fate:
    """Strikes `mesh` again and again, every `pause` seconds on average."""

    pause = 120

    def __init__(self, mesh, liars, *, blows):
        self._mesh, self._liars, self.chance = mesh, liars, mesh.chance
        self._weights = blows
        self.blows = Counter()

    async def strike(self):
        names, weights = list(self._weights), list(self._weights.values())
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self.chance.expovariate(1 / self.pause))
                [name] = self.chance.choices(names, weights)
                self.blows[name] += 1
                self._mesh.observer.happened("fate", name)
                nursery.start_soon(getattr(self, name))

    # --- machines

    async def crash(self):
        await self._reboot(self._one(self._mesh.machines), power_off_after=None)

    async def cut(self):
        """Power fails at one of the next calls of a disk."""
        await self._reboot(self._one(self._mesh.machines), power_off_after=self.chance.randrange(60))

    async def fill(self):
        """No room on a disk for a while."""
        machine = self._one(self._mesh.machines)
        machine.disk.fail("create", 28, after=self.chance.randrange(3), times=self.chance.randrange(1, 20))
        await self._last()
        machine.disk.heal()

    async def _reboot(self, machine, power_off_after):
        if not machine.is_up:
            return
        if power_off_after is not None:
            machine.disk.power_off_after(power_off_after)
            await self._last()
        await machine.crash()
        await self._last()
        if not machine.is_up:
            await machine.boot()

    # --- the way between them

    async def part(self):
        """Some clients can't reach some hubs."""
        clients, hubs = self._some(self._mesh.clients), self._some(self._mesh.hubs)
        pairs = [(client, hub) for client in clients for hub in hubs]
        for pair in pairs:
            self._mesh.weather.part(*pair)
        await self._last()
        for pair in pairs:
            self._mesh.weather.reunite(*pair)

    async def storm(self):
        """For a while the weather is bad in one way."""
        weather = self._mesh.weather
        kind, much = self._one([("loss", 0.3), ("bending", 0.3), ("repeating", 0.5), ("latency", 4.0)])
        setattr(weather, kind, much * self.chance.random() + 0.001)
        await self._last()
        setattr(weather, kind, 0.005 if kind == "latency" else 0.0)

    async def shut(self):
        """A hub's door is closed."""
        hub = self._one(list(self._mesh.hubs.values()))
        hub.reachable = False
        await self._last()
        hub.reachable = True

    # --- clocks

    async def set_clock(self):
        """A clock is set, and set right after a while."""
        machine = await self.set_clock_for_good()
        await self._last()
        machine.clock.set_right()

    async def stop_clock(self):
        machine = await self.stop_clock_for_good()
        await self._last()
        machine.clock.set_right()

    async def set_clock_for_good(self):
        machine = self._one(self._mesh.machines)
        machine.clock.jump(self.chance.choice((-1, 1)) * math.exp(self.chance.uniform(0, math.log(30 * DAY))))
        return machine

    async def stop_clock_for_good(self):
        machine = self._one(self._mesh.machines)
        machine.clock.stop()
        return machine

    # --- lies

    async def lie(self):
        """A hub that lies tells another lie."""
        if self._liars:
            self.lie_with(self._one(self._liars))

    def lie_with(self, liar):
        liar.lie = self._one([honest, *LIES.values()])
        liar.forgets = self.chance.random() < 0.2

    async def _last(self):
        await trio.sleep(self.chance.expovariate(1 / 120))

    def _one(self, choices):
        return self.chance.choice(choices)

    def _some(self, choices):
        return self.chance.sample(list(choices), self.chance.randint(1, len(choices)))


BLOWS = {
    "crash": 2,
    "cut": 4,
    "fill": 1,
    "part": 4,
    "storm": 4,
    "shut": 2,
    "set_clock": 1,
    "stop_clock": 0.5,
    "lie": 2,
}
CLOCKS = {"set_clock_for_good": 3, "stop_clock_for_good": 1}
