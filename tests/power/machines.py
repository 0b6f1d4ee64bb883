"""A machine is an agent on a disk that loses power: the real stores and what works over them, driven step by step.

* What waits on a machine's agenda is committed with whatever comes next, as callers that share a commit.
* A result leaves a machine after its commit, and only if the machine still has power.
* A `StoreError` is expected where a fault was put into the disk, and nowhere else.
"""

import base64
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import outcome
import trio

from qfagent.client.desk import open_desk
from qfagent.client.dropped import DropFolder
from qfagent.client.generator import Generator
from qfagent.client.inbox import Inbox
from qfagent.client.ingestion import Ingestion
from qfagent.client.recoverer import Recoverer
from qfagent.config import Config, Provisioner as Settings
from qfagent.errors import AgentError, OutOfFiles, StoreError, StoreFenced
from qfagent.hub.books import open_books
from qfagent.hub.provisioner import Premises, Provisioner
from qfagent.hub.registry import Registry
from qfagent.store.fence import Reason
from qfagent.store.ledger import HUB_STEP
from qfagent.store.store import Store
from qfagent.surroundings import Surroundings
from qfagent.testing.disk import MemoryDisk, PowerLoss
from qfagent.testing.witness import Broken
from qfagent.world import World, at_once
from tests.power import audits
from tests.power.lives import Lives
from tests.power.places import HUB, HUB_ID, INBOX, POOL, SHARE_TTL, STATE


class Parts:
    """What the agents are made of; a broken variant puts something else in."""

    disk = MemoryDisk
    store = Store
    provisioner = Provisioner
    ingestion = Ingestion
    inbox = Inbox
    folder = DropFolder
    generator = Generator
    recoverer = Recoverer

    @staticmethod
    def gave_up(client, sent):
        """A request had no proven answer: its bytes are gone."""


class Clock(trio.abc.Clock):
    """Shows the stage's time; nothing here waits."""

    def __init__(self, now):
        self.current_time = now

    def start_clock(self):
        pass

    def current_time(self):
        raise NotImplementedError

    def deadline_to_sleep_time(self, deadline):
        return max(0.0, deadline - self.current_time())


class Machine:
    """`store` is None while the agent does not run; `faulty` once a fault was put into its disk, `troubled` if one
    may have struck at the last start."""

    def __init__(self, stage, name, seed):
        self.stage, self.name, self.disk = stage, name, stage.parts.disk(seed)
        self.world = World(wall=lambda: stage.now, random=stage.chance.randbytes, in_thread=at_once)
        self.store, self.agenda, self.life, self.lives = None, [], 0, Lives(self.disk)
        self.faulty = self.troubled = False

    # --- lives

    def start(self):
        self.life += 1
        self.lives.begin()
        self.troubled = bool(self.disk._faults)
        with self.running():
            self.open()
        if self.store is None and not self.disk.dead:
            self.crash("none")  # it could not start, and has ended
        if self.store is not None and not self.store.failed:
            if self.store.ended:
                raise Broken("pad-damaged", f"{self.name}: {self.store.ended}")
            self.check_fence()
            with ExitStack() as spared:
                for machine in self.stage.machines:
                    spared.enter_context(machine.spared())
                self.audit()
            self.lives.check()
            self.lives.get_up()

    def open(self):
        self.store = None
        self.store = self.stage.parts.store(self.disk, STATE, machine=self.name, world=self.world, step=self.step)

    def around(self):
        """What the agent finds when it starts."""
        config = Config(name=self.name)
        return Surroundings(self.store, self, self.disk, self.world, self.note, lambda: config, None)

    def note(self, name, **fields):
        """Takes an event."""

    def fall(self):
        """The agent is gone, with all that it had in memory."""
        self.store, self.agenda = None, []

    def crash(self, lose):
        """Power, and what was not synced, is lost; with `lose="none"` the agent alone is killed."""
        self.lives.end("kills" if lose == "none" and not self.disk.dead else "power cuts")
        self.fall()
        self.disk.crash(lose=lose)

    def stop(self):
        """A clean stop."""
        self.settle()
        if self.store is not None:
            with self.running():
                self.store.close()
            if not self.disk.dead:
                self.lives.stop()
                self.crash("none")

    def fail(self, call, number, *, after, times):
        self.faulty = True
        self.disk.fail(call, number, after=after, times=times)

    def heal(self):
        """Nothing fails any more; an agent whose store stands still is started again, and its fence lifted."""
        self.disk.heal()
        if self.store is not None and self.store.failed:
            self.crash("none")
        if self.store is None:
            self.crash("none")
            self.start()
        if self.store is not None and self.store.fence.reason is not None:
            with self.running():
                self.store.fence.take_down()

    @contextmanager
    def running(self):
        """The agent at work: power may fail, and so may what was made to fail."""
        try:
            with self.disk.until_power_fails():
                yield
        except StoreError as error:
            self.expect(error)
        if self.disk.dead:
            self.fall()

    @contextmanager
    def spared(self):
        """Who looks at the disk is not part of the play."""
        faults, self.disk._faults = self.disk._faults, []
        yield
        self.disk._faults = faults

    def expect(self, error):
        reason = None if self.store is None else self.store.fence.reason
        if reason is not None and reason.code == "reused-span":
            raise Broken("one-time-violation", reason.evidence) from error
        fenced = isinstance(error, StoreFenced) and (self.store is None or self.store.fence.reason is not None)
        if not self.faulty and not fenced:
            raise Broken("false-alarm", f"{self.name}: {error!r}") from error
        if not self.faulty and self.store is not None and self.store.failed:
            raise Broken("false-alarm", f"{self.name} has stopped: {error!r}") from error

    def fence(self):
        """Puts up a fence that is no false alarm."""
        if self.store is not None and not self.store.failed:
            with self.running():
                self.store.fence.put_up(Reason("moved-machine", 0, "by an operator", "look"))

    def check_fence(self):
        reason = self.store.fence.reason
        known = reason is None or reason.code == "moved-machine" or (reason.code == "failed-sync" and self.faulty)
        if not known:
            raise Broken("false-alarm", f"{self.name} is fenced: {reason}")

    # --- work

    def submit(self, operation, then=lambda _: None, refused=lambda _: None):
        """Puts an operation on the agenda; its value goes to `then` when it is durable, a refusal to `refused`."""
        if self.store is not None:
            self.agenda.append((operation, then, refused))

    def settle(self):
        """Commits the agenda."""
        if self.store is not None and self.agenda:
            with self.running():
                self.commit()

    def commit(self, *last):
        """Commits the agenda and what comes last together; returns the outcome of the last."""
        agenda, self.agenda = self.agenda, []
        results = _outcomes(self.store, [*(operation for operation, _, _ in agenda), *last])
        if self.disk.dead:
            raise PowerLoss
        if self.stage.chance.random() < 0.5:
            with suppress(OutOfFiles):  # it is done later, then; see `Inline`
                self.store.erase()
        for result, (_, then, refused) in zip(results, agenda, strict=False):
            self.deliver(result, then, refused)
        return results[-1]

    def deliver(self, result, then, refused):
        try:
            value = result.unwrap()
        except StoreError as error:
            self.expect(error)
        except AgentError as error:
            refused(error)
        else:
            then(value)

    async def run(self, operation):
        """The agent's committer; the agenda shares the commit, or waits for another one."""
        waits, self.agenda = self.agenda, []
        if self.stage.chance.random() < 0.5:
            waits, self.agenda = [], waits
        result = self.commit(operation)
        self.agenda = waits
        await trio.lowlevel.checkpoint()
        return result.unwrap()

    def ask(self, operation):
        """What an operation that changes nothing says; None if it can't be asked."""
        if self.store is not None:
            with self.running():
                return self.store.run(operation)
        return None

    def erase(self):
        if self.store is not None:
            with self.running():
                self.store.erase()

    def checkpoint(self):
        """What the store does behind a commit when the log has grown long."""
        if self.store is not None and not self.store.failed:
            with self.running():
                self.store._checkpoint()

    def go(self, work, *args):
        """What a coroutine of the agent returns; None if it does not come to its end."""
        if self.store is not None:
            with self.running():
                return self.stage.run(work, *args)
        return None

    def files(self, folder):
        """What lies in a folder, by name."""
        live = self.disk._names.live
        paths = {path.rpartition("/")[2]: path for path in live if path.rpartition("/")[0] == folder}
        return {name: bytes(live[path].live) for name, path in paths.items()}


def _outcomes(store, operations):
    """As committers do: together, or one by one, so that a failure hits who caused it."""
    group = outcome.capture(store.commit, operations)
    if isinstance(group, outcome.Value):
        return group.value
    return [group] if len(operations) == 1 else [_outcomes(store, [one])[0] for one in operations]


class Hub(Machine):
    """The hub, and its pool of files."""

    step = HUB_STEP

    def open(self):
        super().open()
        self.books = open_books(self.store, self.world, hub_id=HUB_ID, binding="open", share_ttl=SHARE_TTL)
        settings = Settings(directory=POOL, pool_size=2, user_bytes=self.stage.user, server_bytes=self.stage.server)
        premises = Premises(self.disk, POOL, None, HUB, settings)
        self.provisioner = self.stage.parts.provisioner(self.around(), self.books, premises)
        self.registry = Registry(self.around(), self.books, lambda: HUB, stir=self.provisioner.stir)
        self.go(self.provisioner._prepare)
        self.tend()

    def tend(self):
        self.go(self.provisioner._tend)
        if self.store is not None and self.provisioner.problem is not None:
            self.expect(self.provisioner.problem)

    def audit(self):
        audits.audit_hub(self.stage, self)


class Link:
    """What a recoverer sees of a hub."""

    def __init__(self):
        self.done = {}


class Client(Machine):
    """A client, and its inbox."""

    def __init__(self, stage, name, seed):
        super().__init__(stage, name, seed)
        self.receipts = set()  # blocks that were said to be ingested
        self.dropped = {}  # name -> block and data, of files that are whole and durable
        self.evidence = {}  # block -> where spending may go on, after an operator has resumed it
        self.taken_in = []  # files whose block is in the ledger, and what they held
        self._came = []  # files and what they held when they were dropped

    @property
    def step(self):
        return self.stage.step

    def open(self):
        super().open()
        self.desk = open_desk(self.around())
        parts, self.link = self.stage.parts, Link()
        self.folder = parts.folder(self.disk, INBOX, rejected=f"{STATE}/rejected")
        self.folder.prepare()
        self.folder.erase = partial(self.erase_dropped, self.folder.erase)
        self.ingestion = parts.ingestion(self.desk, lambda _: None)
        for place, block in self.ingestion.leftovers.all().items():
            self.find_again(place, block)
        self.inbox = parts.inbox(self.folder, self.ingestion, self.desk)
        self.generator = parts.generator(self.desk, list, None)
        self.recoverer = parts.recoverer(self.desk, lambda: [self.link], None)
        self.made, self.acknowledged = [], set()  # what was established and not released; secret ids
        self.brought = []  # shares of which nothing was made yet

    def note(self, name, **fields):
        if name == "psrd.ingested":
            self.receipts.add(fields["block"])

    def put_down(self, path):
        """Somebody has put a file into the inbox."""
        self._came.append((self.content(path), bytes(self.content(path).live)))

    def erase_dropped(self, erase, dropped):
        """The agent has no use for a dropped file any more."""
        self.take_in(dropped.path)
        return erase(dropped)

    def find_again(self, place, block):
        """What is left of a file that was taken in, or a copy of it that can be told for what it is."""
        there = self.content(place.path)
        if there and (id(there) == place.inode or base64.b64encode(bytes.fromhex(block)[:15]) in there.live):
            self.take_in(place.path)

    def take_in(self, path):
        """The agent has taken in what this file held."""
        content = self.content(path)
        self.taken_in += [(content, came) for known, came in self._came if known is content]

    def content(self, path):
        return self.disk._names.live.get(path)

    def live(self):
        """The blocks that are no tombstones; None if the agent can't say."""
        return None if self.store is None else self.ask(self.desk.holdings.live)

    def resumed(self, holding):
        """The agent says that it goes on behind what its hub has seen."""
        self.evidence[holding.id] = holding.evidence

    def scan(self):
        self.go(self.inbox._round)
        if self.store is not None and self.inbox.held is not None:
            self.expect(self.inbox.held)

    def audit(self):
        audits.audit_client(self.stage, self)
