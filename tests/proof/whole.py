"""The whole mesh in one simulation: whatever fate does to it, no wrong key, no byte twice; and keys, once it is calm.

* Hubs, clients, their disks, the wires between them and all tasks run in one deterministic run; same seed, same trace.
* As many hubs lie as can without leaving fewer than `k` honest ones.
* After every spell of bad luck comes a calm: then every pair of clients gets a key, and what was acknowledged is there.
"""

from functools import partial

import trio

from qfagent.dske import ids
from qfagent.testing.witness import Broken, Which
from tests.proof import seeded
from tests.proof.cast import Client, Hub, Mesh
from tests.proof.fate import BLOWS, CLOCKS, Fate
from tests.proof.tools import Tools

SHARE_TTL = 6 * 3600  # seconds
CALM = 3700.0  # seconds: longer than any back-off, and than the memory of a fetch that found nothing
HUBS, CLIENTS, SPELLS, HOURS = 5, 3, 1, 1
PACES = (60, 300, 1200)  # seconds between two keys that a client wants; each spell has one of them
OF_A_MONTH = (1200, 3600)  # some 15,000 keys; at the pace of an hour it would take a core three hours


def _keep_silent(*_):
    """Nobody waits."""


def play(seed, *, clients=CLIENTS, spells=SPELLS, hours=HOURS, blows=BLOWS, paces=PACES, tell=_keep_silent):
    """One mesh with 5 hubs; how often what happened, and the trace under "trace". `tell` hears of it at each spell."""
    return seeded.run(
        partial(_play, clients=clients, spells=spells, hours=hours, blows=blows, paces=paces, tell=tell), seed
    )


def play_month(seed):
    """Thirty days of 5 hubs and 10 clients, with a calm after every day."""
    return play(seed, clients=10, spells=30, hours=24, paces=OF_A_MONTH, tell=_tell_of_a_day)


def _tell_of_a_day(spell, summary):
    made, out = summary["keys established"], summary["keys recovered"]
    print(f"month, day {spell + 1}: {made:,} keys made, {out:,} handed out so far", flush=True)  # noqa: T201


def play_time(seed):
    """Nothing happens but to the clocks, and nobody ever sets them right."""
    return play(seed, blows=CLOCKS)


async def _play(chance, *, clients, spells, hours, blows, paces, tell):
    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, chance)
        try:
            history = History(mesh, blows, paces)
            await history.begin(clients)
            for spell in range(spells):
                await history.suffer(hours * 3600)
                await history.calm_down()
                await history.check()
                tell(spell, history.summary())
            return history.summary()
        finally:
            nursery.cancel_scope.cancel()
            mesh.close()


class History:
    """One mesh from its first day on."""

    def __init__(self, mesh, blows, paces):
        self.mesh, self.chance = mesh, mesh.chance
        self.k = self.chance.choice((2, 3))
        self._liars, self._paces = [], paces
        self.tools, self.fate = Tools(mesh), Fate(mesh, self._liars, blows=blows)
        self._rights_clocks = blows is not CLOCKS
        self._size = self.chance.choice((16_384, 65_536))

    async def begin(self, clients):
        """Everybody is there, and has a file from everybody."""
        liars = self.chance.sample(range(HUBS), self.chance.randint(0, HUBS - self.k))
        pads = f"[hub.provisioner]\ninterval = '60s'\nuser_bytes = {self._size}\nserver_bytes = {self._size}"
        for number in range(HUBS):
            lies = number in liars
            hub = await self.mesh.add(Hub, f"hub{number}", f'share_ttl = "{SHARE_TTL}s"\n{pads}', lies=lies)
            if lies:
                self._liars.append(hub)
                self.fate.lie_with(hub)
        for number in range(clients):
            await self.mesh.add(Client, f"peer-{number}", f"shares_required = {self.k}\nscan_interval = '60s'")
        await self._supply()

    async def suffer(self, seconds):
        """A spell of bad luck, in which everybody goes on to want keys; each has a pace of its own."""
        self.tools.pause = self.chance.choice(self._paces)
        self.fate.pause = self.chance.choice((30, 120, 600))
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fate.strike)
                nursery.start_soon(self.tools.work)
                while True:
                    await trio.sleep(1800)
                    await self._supply()

    async def calm_down(self):
        """Everything but the liars works again, and has had the time to notice."""
        self.mesh.weather.calm()
        for machine in self.mesh.machines:
            await machine.recover()
            if self._rights_clocks:
                machine.clock.set_right()
        for hub in self.mesh.hubs.values():
            hub.reachable = True
        await self._supply()
        await trio.sleep(CALM / 2)
        await self._supply()
        await trio.sleep(CALM / 2)

    async def check(self):
        """Keys that were acknowledged are there, and new ones can be had by everybody."""
        for generator, key_id in self._kept()[:20]:
            recoverer, _ = self.tools.book.made[generator, key_id]
            await self._expect("key-lost", recoverer, self.tools.recover, recoverer, generator, key_id)
        for name in self.mesh.clients:
            for peer in self.mesh.clients:
                if name != peer:
                    await self._drain(peer, name)
                    [key_id] = await self._expect("no-key", name, self.tools.make, name, peer)
                    await trio.sleep(10)
                    await self._expect("no-key", peer, self.tools.recover, peer, name, key_id)

    def summary(self):
        """What this history has covered."""
        made = {f"keys {name}": number for name, number in self.tools.book.outcomes.items()}
        fate = {f"fate {name}": number for name, number in self.fate.blows.items()}
        seen = {f"seen {name}": number for name, number in self.mesh.observer.seen.items()}
        return {**made, **fate, **seen, "trace": self.mesh.observer.trace}

    async def _expect(self, promise, machine, act, *args):
        before = self.tools.book.outcomes.copy()
        result = await self.tools.on(machine, act, *args)
        why = dict(self.tools.book.outcomes - before)
        if "established" not in why and "recovered" not in why:
            raise Broken(promise, f"{machine}: {act.__name__}{args} gave {why}, though all is calm")
        return result

    async def _drain(self, recoverer, generator):
        """Fetches all that waits, so that no quota stands in the way."""
        before = None
        while before != self.tools.book.outcomes["recovered"]:
            before = self.tools.book.outcomes["recovered"]
            await self.tools.on(recoverer, self.tools.recover_next, recoverer, generator)

    def _kept(self):
        """Keys that nobody has asked for, and of which k honest hubs have acknowledged a share not long ago."""
        since, asked = self.mesh.wall() - SHARE_TTL + 1200, self.tools.book.asked
        unasked = [which for which in self.tools.book.made if ids.parse_key_id(which[1])[0] not in asked]
        return [which for which in unasked if self._hubs_that_keep(*which, since) >= self.k]

    def _hubs_that_keep(self, generator, key_id, since):
        recoverer, _ = self.tools.book.made[generator, key_id]
        which = Which(recoverer, generator, ids.parse_key_id(key_id)[0])
        kept = [witness.kept.get(which) for witness in self.mesh.observer.witnesses.values()]
        return sum(one is not None and one.sent_at > since for one in kept)

    async def _supply(self):
        """An operator carries files to whoever has few bytes left."""
        for client in self.mesh.clients.values():
            for hub in self.mesh.hubs.values():
                if client.is_up and hub.is_up and self._room(client, hub) < self._size / 2:
                    await self.mesh.carry(hub, client)
        await trio.sleep(60)

    def _room(self, client, hub):
        desk = client.client.desk
        ready = desk.holdings.ready(hub.address.id)
        return sum(min(desk.ledger.room(one.id), one.server_bytes - desk.ledger.seen(one.id)) for one in ready)
