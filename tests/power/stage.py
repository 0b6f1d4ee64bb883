"""The stage: a hub, two clients, what travels between them, and every rule by which something can happen.

* All that is random comes from one seed, or from whoever calls the rules.
* A rule that has nothing to work on does nothing.
"""

import errno
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from unittest.mock import patch

import apsw
import trio

from qfagent.client.exchange import Brought, Received, Sent
from qfagent.client.gathering import Gathering
from qfagent.dske import ids, psrd, spans, wire
from qfagent.dske.establish import KEPT_BY, establish
from qfagent.dske.recover import Entry
from qfagent.errors import NotFound, OneTimeViolation, PsrdPreviouslyInserted
from qfagent.hub.exchange import Answer, Message
from qfagent.store import ledger, pads
from qfagent.testing.disk import PowerLoss
from qfagent.testing.witness import Broken, Release, Witness
from tests.power.audits import audit_inbox, audit_openable, audit_rollback
from tests.power.loop import Loop
from tests.power.machines import Client, Clock, Hub, Parts
from tests.power.places import HUB_ID, INBOX, OTHER_ID, POOL

SIZES = ((1024, 2048), (1500, 1025), (2048, 4096), (4096, 8192), (4096, 8192))  # bytes of the user and server pads
LOSE = ("some", "all", "none")
CALLS = ("write_at", "sync", "sync_dir", "create", "rename", "unlink", "read_at", "open", None)
ERRORS = (errno.EIO, errno.ENOSPC, errno.EMFILE)
NAMES = ("a.json", "b.json", "pool.json")


def unraisable(what, hook=sys.unraisablehook):
    """SQLite has no way to report that the checkpoint of a clean stop has failed: the log still holds all of it."""
    if not issubclass(what.exc_type, (PowerLoss, apsw.Error)):
        hook(what)


@dataclass
class Cargo:
    """A file that was carried away, and the client that it went to."""

    block: psrd.Block
    data: bytes
    client: int | None = None


@dataclass
class Flight:
    """A request on its way, and how often it has arrived."""

    client: Client
    life: int
    sent: Sent
    arrivals: int = 0


@dataclass
class Back:
    """An answer on its way, and how often it has arrived."""

    flight: Flight
    answer: Answer
    arrivals: int = 0


class Stage:
    """One hub, two clients."""

    def __init__(self, seed, parts=Parts):
        self.chance, self.parts = Random(seed), parts
        self.now = 1_800_000_000
        self.clock = Clock(lambda: float(self.now))
        self.run = partial(trio.run, clock=self.clock)
        self.user, self.server = self.chance.choice(SIZES)
        self.step = self.chance.choice((1, 128, 1024))
        self.is_crowded = self.chance.random() < 0.1  # gaps below the second interval count as accepted
        self.witness = Witness()
        self.ended = set()  # blocks that an operator has ended, perhaps
        self.spent = set()  # blocks that a client has ended, as they were used up
        self.swept = {}  # when a client forgot what had expired, by its number
        self.gone = set()  # blocks whose file has left the pool for certain
        self.cargo, self.requests, self.answers = [], [], []
        self.secrets = {}  # (generator, secret id) -> Establishment
        self.hub = Hub(self, "hub", seed)
        self.clients = [Client(self, name, seed + at) for at, name in enumerate(("peer-a", "peer-b"), 1)]
        self.machines = [self.hub, *self.clients]
        self._limits = ExitStack()

    def __enter__(self):
        if self.chance.random() < 0.25:
            self._limits.enter_context(patch.object(ledger, "_HELD_BLOCKS", 1))
            self._limits.enter_context(patch.object(pads, "_OPEN_FILES", 1))
        if self.is_crowded:
            self._limits.enter_context(patch.object(spans, "MAX_INTERVALS", 2))
        self._limits.enter_context(patch.object(sys, "unraisablehook", unraisable))
        for client in self.clients:
            client.disk.make_dir(INBOX, 0o700)
        for machine in self.machines:
            machine.start()
        return self

    def __exit__(self, *_):
        self._limits.close()
        for machine in self.machines:
            machine.disk.close()

    @contextmanager
    def one_run(self):
        """Everything is one run of trio; meanwhile there can't be another in this thread."""
        with Loop(self.clock) as loop:
            self.run = loop.run
            yield

    def play(self, rule, **choices):
        """Follows one rule; whatever an agent did not foresee is a broken promise, too."""
        try:
            getattr(self, rule)(**choices)
        except Broken:
            raise
        except OneTimeViolation as error:
            raise Broken("one-time-violation", str(error)) from error
        except Exception as error:
            raise Broken("surprise", f"{type(error).__name__}: {error}") from error

    # --- files

    def tend(self):
        """The provisioner makes a round."""
        self.hub.tend()

    def carry(self, how):
        """An operator takes a file out of the pool: moved, moved and synced, copied, or by `pool take`."""
        data, is_gone = self._take() if how == 3 else self._lift(how)
        if not data or not any(data):  # none, or one that was erased, whose name power loss brought back
            return
        block = psrd.decode(data)
        if block.id in self.gone:
            raise Broken("handed-out-twice", f"block {block.id}")
        if is_gone:
            self.gone.add(block.id)
        if block.id not in self.witness.blocks:
            self.witness.learn(block)
            self.cargo.append(Cargo(block, data))

    def _take(self):
        async def take():
            with suppress(NotFound):
                return await self.hub.provisioner.take()

        return self.hub.go(take), True

    def _lift(self, how):
        """The bytes of a file of the pool, or None; and whether its name is gone for certain."""
        files = {name: data for name, data in self.hub.files(POOL).items() if not name.startswith(".")}
        if not files or self.hub.disk.dead:
            return None, False
        name = self.chance.choice(sorted(files))
        if how == 2:
            return files[name], False
        with self.hub.lives.apart(), self.hub.running(), suppress(OSError):
            self.hub.disk.unlink(f"{POOL}/{name}")
            if how == 1:
                self.hub.disk.sync_dir(POOL)
                return files[name], True
        return None if name in self.hub.files(POOL) else files[name], False

    def drop(self, who, pick, how, name):
        """An operator drops a file: durable, not durable, cut, or under another name first."""
        client, cargo = self.clients[who], self._for(who, pick)
        if cargo is None or client.disk.dead:
            return
        data = cargo.data[: self.chance.randrange(len(cargo.data))] if how == 2 else cargo.data
        path, first = f"{INBOX}/{NAMES[name]}", f"{INBOX}/{NAMES[name]}.part"
        client.dropped.pop(NAMES[name], None)
        with client.lives.apart(), client.running(), suppress(OSError):
            self._write(client.disk, first if how == 3 else path, data, sync=how != 1)
            client.put_down(first if how == 3 else path)
            if how == 3:
                client.disk.rename(first, path)
            if how != 1:
                client.disk.sync_dir(INBOX)
            if how in (0, 3):
                client.dropped[NAMES[name]] = (cargo.block.id, data)

    def _write(self, disk, path, data, *, sync):
        if disk.exists(path):
            disk.unlink(path)
        with closing(disk.create(path, len(data))) as file:
            file.write_at(0, data)
            if sync:
                file.sync()

    def bring(self, who, pick, how, after):
        """An operator drops a file, the inbox looks at it, and power may fail at any call of that."""
        self.drop(who=who, pick=pick, how=how, name=0)
        self.cut(machine=1 + who, after=after)
        self.scan(who)

    def hand_in(self, who, pick):
        """An operator hands a file to the agent itself."""
        client, cargo = self.clients[who], self._for(who, pick)
        if cargo is not None and client.store is not None:
            with suppress(PsrdPreviouslyInserted):
                client.go(client.ingestion.ingest, cargo.data)

    def _for(self, who, pick):
        mine = [cargo for cargo in self.cargo if cargo.client in (None, who)]
        if not mine:
            return None
        cargo = mine[pick % len(mine)]
        cargo.client = who
        return cargo

    def scan(self, who):
        """The inbox makes a round."""
        self.clients[who].scan()

    # --- requests

    def register(self, who, pick, proof, wait):
        """A client registers a new block."""
        client = self.clients[who]
        new = client.ask(lambda: client.desk.holdings.at(HUB_ID, "new"))
        able = client.ask(lambda: [block for block in client.desk.holdings.at(HUB_ID, "ready") if block.can_prove])
        if new:
            block = new[pick % len(new)].id
            voucher = able[0].id if able and proof else None
            self._send(
                client, lambda: client.desk.exchange.compose_register(block, client.name, prove_with=voucher), wait=wait
            )

    def make(self, who, count):
        """A generator makes a secret."""
        client, other = self.clients[who], self.clients[1 - who]
        if client.store is not None:
            hubs = [HUB_ID, OTHER_ID]
            made = establish(other.name, hubs=hubs, k=2, count=count + 1, random=self.chance.randbytes)
            self.secrets[client.name, made.secret_id] = made
            client.made.append(made)

    def deposit(self, who, pick, width, block, wait):
        """A generator deposits secrets, again if it has done so before."""
        client = self.clients[who]
        ready = client.ask(lambda: client.desk.holdings.at(HUB_ID, "ready"))
        if not ready or not client.made:
            return
        drafts = [made.drafts[HUB_ID] for made in client.made[pick % len(client.made) :][: width + 1]]

        def compose():
            return client.desk.exchange.compose(
                ready[block % len(ready)].id,
                wire.DEPOSIT,
                lambda pad: wire.Deposits(tuple(draft.seal(pad) for draft in drafts)),
                ciphertext=sum(len(draft.share) for draft in drafts),
            )

        self._send(client, compose, wait=wait)

    def fetch(self, who, how, block, wait):
        """A recoverer fetches what waits from the other client, or one secret, or only says what is done."""
        client, other = self.clients[who], self.clients[1 - who]
        ready = client.ask(lambda: client.desk.holdings.at(HUB_ID, "ready"))
        theirs = [secret_id for generator, secret_id in self.secrets if generator == other.name]
        if not ready:
            return
        using, done = ready[block % len(ready)].id, tuple(wire.Done(*which) for which in client.link.done)
        wanted = [(wire.Wanted(generator=other.name),), (), ()][how]
        if how == 1 and theirs:
            wanted = (wire.Wanted(secret_id=self.chance.choice(theirs)),)

        def compose():
            exchange = client.desk.exchange
            message = wire.Fetch(wanted, done[: wire.MAX_ENTRIES], exchange.other_blocks(using, HUB_ID))
            return exchange.compose(using, wire.FETCH, lambda _: message)

        self._send(client, compose, wait=wait)

    def _send(self, client, compose, *, wait):
        life = client.life

        def leave(sent):
            self.witness.request(client.name, sent, now=self.now)
            self.requests.append(Flight(client, life, sent))

        client.submit(compose, leave)
        if not wait:
            client.settle()

    def equip(self, who):
        """A client gets a new block, all the way from the pool to its registration."""
        self.tend()
        self.carry(how=1)
        self.drop(who=who, pick=-1, how=0, name=0)
        self.scan(who)
        self.converse(who=who, what=0, block=0)

    # --- what travels

    def deliver(self, pick, width, again, wait):
        """Requests reach the hub, some of them twice, and some to come again later."""
        if self.hub.store is None:
            return
        for flight in self._pick(self.requests, pick, width):
            if not again:
                self.requests.remove(flight)
            for _ in range(1 + (again == 2)):
                self._arrive(flight)
        if not wait:
            self.hub.settle()

    def _arrive(self, flight):
        sent, hub = flight.sent, self.hub
        proof = [str(sent.proof).encode()] if sent.proof else []
        message = Message("POST", sent.target, sent.body, [str(sent.auth).encode()], proof)
        flight.arrivals += 1
        is_first = flight.arrivals == 1

        def leave(answer):
            self.witness.answer(flight.client.name, sent, answer)
            known = sent.block in self.ended or answer.slug == "pad-exhausted" or self.is_crowded
            if is_first and answer.auth is None and not known:
                raise Broken("request-refused", f"{answer.slug}: a fresh request under block {sent.block}")
            self.answers.append(Back(flight, answer))

        hub.submit(lambda: hub.books.exchange.answer(message), leave)

    def lose(self, what, pick):
        """A request or an answer gets lost."""
        travelling = (self.requests, self.answers)[what]
        for lost in self._pick(travelling, pick, 0):
            travelling.remove(lost)
            flight = lost if what == 0 else lost.flight
            if flight.client.store is not None and flight.life == flight.client.life:
                self.parts.gave_up(flight.client, flight.sent)

    def accept(self, who, width, again, wait):
        """Answers reach the client that waits for them."""
        client = self.clients[who]
        if client.store is None:
            return
        mine = [back for back in self.answers if back.flight.client is client]
        for back in mine[: width + 1]:
            if not again:
                self.answers.remove(back)
            if back.flight.life == client.life:
                self._accept(client, back)
        if not wait:
            client.settle()
        self.rebuild(who)

    def _accept(self, client, back):
        sent, answer, exchange = back.flight.sent, back.answer, client.desk.exchange
        received = Received(answer.status, answer.body, [] if answer.auth is None else [answer.auth.encode()])
        back.arrivals += 1
        is_first = back.arrivals == 1

        def operation():
            if sent.target == wire.REGISTER:
                return exchange.accept_registered(sent, received, HUB_ID, client.name)
            if sent.target == wire.FETCH:
                return exchange.accept_shares(sent, received, HUB_ID)
            return exchange.accept(sent, received)

        def refused(error):
            known = sent.block in self.ended | self.spent or self.is_crowded
            if is_first and answer.auth is not None and not known:
                raise Broken("answer-refused", f"{error!r}: a fresh answer under block {sent.block}")

        client.submit(operation, lambda reply: self._accepted(client, sent, reply), refused)

    def _accepted(self, client, sent, reply):
        if reply.refusal is not None:
            return
        if sent.target == wire.DEPOSIT:
            results = wire.decode(wire.Results, reply.body).results
            client.acknowledged.update(result.secret_id for result in results if result.status in KEPT_BY)
        elif sent.target == wire.FETCH:
            client.brought += reply.brought
            for done in wire.decode(wire.Fetch, sent.body).done:
                client.link.done.pop((done.generator, done.secret_id), None)

    def converse(self, who, what, block):
        """A client registers, deposits a new secret, or fetches what waits, and nothing gets in its way but power."""
        if what == 0:
            self.register(who=who, pick=0, proof=1, wait=0)
        elif what == 1:
            self.make(who=who, count=0)
            self.deposit(who=who, pick=-1, width=0, block=block, wait=0)
        else:
            self.fetch(who=who, how=0, block=block, wait=0)
        self.deliver(pick=-1, width=0, again=0, wait=0)
        self.accept(who=who, width=1000, again=0, wait=0)

    # --- keys

    def rebuild(self, who):
        """A recoverer makes secrets of the shares that it has, and of those that the other hub has."""
        client = self.clients[who]
        while client.store is not None and client.brought:
            brought = client.brought.pop()
            made = self.secrets[brought.generator, brought.secret_id]
            wanted = wire.Wanted(generator=brought.generator)
            gathering = Gathering((), wanted, k=2, ask=None, suspect=lambda *_: None)
            other = Entry(brought.entry.terms, made.drafts[OTHER_ID].share)
            gathering._feed(HUB_ID, brought)
            gathering._feed(OTHER_ID, Brought(brought.generator, brought.secret_id, brought.expires_at, other))
            if not gathering.validated((brought.generator, brought.secret_id)):
                raise Broken("share-changed", f"{brought.secret_id} does not validate")
            client.go(client.recoverer._keep, gathering)

    def establish(self, who):
        """A generator lets the keys of an acknowledged secret go."""
        client = self.clients[who]
        if client.store is None:
            return
        for made in [made for made in client.made if made.secret_id in client.acknowledged][:1]:
            client.made.remove(made)

            async def log(made=made):
                await client.generator._log(made)
                return True

            if client.go(log):
                what = Release(client.name, client.name, made.secret_id)
                self.witness.release(what, range(len(made.keys)), now=self.now)

    def hand_over(self, who, pick, index):
        """A recoverer lets keys go: all of a secret, or one."""
        client = self.clients[who]
        if client.store is None:
            return
        ring = client.recoverer._ring
        held = [held for found in ring._by_id.values() for held in found.values()]
        if held:
            chosen = held[pick % len(held)]
            indices = frozenset(chosen.keys) if index == 2 else frozenset(sorted(chosen.keys)[:1])
            self._hand_over(client, chosen, indices)

    def _hand_over(self, client, held, indices):
        async def hand_over():
            return await client.recoverer._hand_over(held, indices, uid=1000)

        keys = client.go(hand_over)
        if keys:
            what = Release(client.name, held.generator, held.secret_id)
            self.witness.release(what, [int(key_id[-4:], 16) for key_id, _ in keys], now=self.now)
            made = self.secrets[held.generator, held.secret_id]
            expected = [(ids.key_id(made.secret_id, index), made.keys[index]) for index in sorted(indices)]
            if keys != expected:
                raise Broken("key-changed", f"keys of {held.secret_id}")

    def sweep(self, who):
        """A client forgets what has expired; so does the hub."""
        client = self.clients[who]
        if client.store is not None:
            lived, self.swept[who] = self.now - self.swept.get(who, self.now), self.now
            client.go(partial(client.recoverer.sweep, lived=lived))
            client.submit(lambda: client.desk.holdings.end_exhausted(now=self.now), self.spent.update)
        self.hub.submit(lambda: self.hub.books.shares.sweep(now=self.now, limit=100))

    # --- operators

    def retire(self, who, pick, wait):
        """An operator ends a block of a client."""
        client = self.clients[who]
        live = client.live()
        if live:
            block = live[pick % len(live)].id
            self.ended.add(block)
            client.submit(lambda: client.desk.holdings.retire(block, reason="by an operator"))
            if not wait:
                client.settle()

    def halt(self, who, pick, ahead, wait):
        """A hub has kept saying that a client was rolled back."""
        client = self.clients[who]
        live = client.live()
        if live:
            block = live[pick % len(live)].id
            evidence = client.desk.ledger.next(block) + 32 * ahead
            client.submit(lambda: client.desk.holdings.stop(block, reason="rolled-back", evidence=evidence))
            if not wait:
                client.settle()

    def resume(self, who, wait):
        """An operator says that it was not."""
        client = self.clients[who]
        stopped = client.ask(lambda: client.desk.holdings.at(HUB_ID, "stopped"))
        if stopped:
            client.submit(lambda: client.desk.holdings.resume(stopped[0].id), lambda _: client.resumed(stopped[0]))
            if not wait:
                client.settle()

    def assign(self, who):
        """An operator of the hub makes a file for a client that it knows."""
        hub, name = self.hub, self.clients[who].name
        client = hub.ask(lambda: hub.books.clients.of_peer(name))
        if client is not None:
            sizes = {"user_bytes": self.user, "server_bytes": self.server}
            data = hub.go(partial(hub.registry.assign, client.id, first=False, **sizes))
            if data is not None:
                self.witness.learn(psrd.decode(data))
                self.cargo.append(Cargo(psrd.decode(data), data, who))

    def remove(self, who):
        """An operator of the hub forgets a client."""
        hub, name = self.hub, self.clients[who].name
        hub.settle()
        client = hub.ask(lambda: hub.books.clients.of_peer(name))
        if client is not None:
            self.ended.update(hub.ask(lambda: hub.books.clients.blocks(client.id)) or ())
            for which in [which for which in self.witness.kept if name in which[:2]]:
                del self.witness.kept[which]
            hub.go(hub.registry.remove, client.id)

    def expire(self):
        """An operator of the hub forgets whoever was handed a file and has not registered."""
        hub = self.hub
        hub.settle()
        out = hub.ask(lambda: [client for client in hub.books.clients.with_handout("out") if client.peer is None])
        for client in out or ():
            self.ended.update(hub.ask(lambda client=client: hub.books.clients.blocks(client.id)) or ())
        hub.go(partial(hub.registry.expire, older_than=0))

    def fence(self, machine):
        """An operator moves a disk to another machine, or something else puts up a fence."""
        self.machines[machine].fence()

    def wait(self, how):
        """Time passes."""
        self.now += (60, 2000, 90_000)[how]

    # --- mishaps

    def settle(self, machine):
        """What waits for a commit has waited long enough."""
        self.machines[machine].settle()

    def checkpoint(self, machine):
        """The database moves what was committed to its main file."""
        self.machines[machine].checkpoint()

    def erase(self, machine):
        """Spent bytes are overwritten."""
        self.machines[machine].erase()

    def cut(self, machine, after):
        """Power will fail at a call to come."""
        if not self.machines[machine].disk.dead:
            self.machines[machine].disk.power_off_after(after)

    def strike(self, machine, who, what, block, after):
        """Power fails while a client is equipped or converses, and comes back."""
        self.cut(machine=machine, after=after)
        client = machine - 1 if machine else who
        if what == 0:
            self.equip(client)
        else:
            self.converse(who=client, what=1 + what % 2, block=block)
        self.wake()

    def crash(self, machine, lose, cut):
        """Power fails, if it has not, and comes back, but perhaps not for long."""
        agent = self.machines[machine]
        agent.crash(LOSE[lose])
        if cut > 6:
            agent.disk.power_off_after(cut - 7)
        agent.start()

    def wake(self):
        """Somebody switches on whatever is off."""
        for agent in self.machines:
            if agent.store is None:
                agent.crash("some")
                agent.start()

    def stop(self, machine):
        """A clean stop, and a start."""
        self.machines[machine].stop()
        if not self.machines[machine].disk.dead:
            self.machines[machine].start()

    def fail(self, machine, call, error, after, times):
        """Calls of a disk will fail, a few times; a folder that can't be synced stays so until it is seen to."""
        lasting = CALLS[call] in ("sync_dir", None)  # the journal of a real file system is aborted then
        self.machines[machine].fail(CALLS[call], ERRORS[error], after=after, times=1000 if lasting else times + 1)

    def heal(self, machine):
        """The disk works again, and an operator has looked."""
        self.machines[machine].heal()

    # --- the end

    def finish(self):
        """Everything works again and comes to rest; then all promises are called in."""
        for machine in self.machines:
            machine.disk.heal()
            machine.crash("some")
            machine.start()
            machine.heal()
        for _ in range(2):
            self.deliver(pick=0, width=1000, again=0, wait=0)
            for who in (0, 1):
                self.accept(who=who, width=1000, again=0, wait=0)
                self.scan(who)
            self.tend()
        for who in (0, 1):
            self._call_in(who)
        for machine in self.machines:
            machine.stop()
            machine.start()
        for client in self.clients:
            audit_rollback(self, client)

    def _call_in(self, who):
        client = self.clients[who]
        for name, (block, _) in client.dropped.items():
            if not client.desk.holdings._find("id = ?", block):
                raise Broken("file-lost", f"{name} with block {block} was not ingested in the end")
        audit_inbox(client)
        if not self.is_crowded:
            audit_openable(self, client)

    def _pick(self, travelling, pick, width):
        if not travelling:
            return []
        first = pick % len(travelling)
        return travelling[first : first + width + 1]
