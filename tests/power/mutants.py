"""Agents that are broken on purpose, each in one way that a hurried hand could have chosen."""

from contextlib import closing, suppress
from functools import partial

from qfagent.client.inbox import Inbox
from qfagent.client.recoverer import Recoverer
from qfagent.dske import ids, psrd
from qfagent.dske.pad import AUTH_BYTES
from qfagent.errors import PsrdPreviouslyInserted
from qfagent.hub import handout
from qfagent.hub.provisioner import Provisioner
from qfagent.store import database
from qfagent.store.keys import KeyLog
from qfagent.store.ledger import Ledger
from qfagent.store.leftovers import Leftovers
from qfagent.store.pads import Erasure, Pads
from qfagent.store.shares import Shares
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from tests.power.machines import Parts

AT_REST = frozenset({"block-lost", "mark-moved-back", "pad-damaged", "not-erased", "one-time-violation"})


def parts_with(**others):
    return type("OtherParts", (Parts,), others)


class Mutant:
    """A broken variant: other parts, or a patch of ours. `breaks`: the promises by which it may show.

    Where it shows seldom, `scene` and `mishap` say where to look for it, and `first` from which seed on.
    """

    parts, breaks = Parts, AT_REST
    scene, mishap, first = None, "power fails", 0

    @staticmethod
    def patch(monkeypatch):
        """Breaks what is no part of its own."""


# --- the disk and the database --------------------------------------------------------------------


class LyingDisk(MemoryDisk):
    def __init__(self, seed):
        super().__init__(seed)
        self.ignore_sync = True


class ADiskThatIgnoresSyncs(Mutant):
    parts = parts_with(disk=LyingDisk)


class ForgetfulDisk(MemoryDisk):
    def __init__(self, seed):
        super().__init__(seed)
        self.ignore_sync_dir = True


class ADiskThatIgnoresSyncsOfFolders(Mutant):
    parts = parts_with(disk=ForgetfulDisk)


def _with_synchronous(value):
    weaker = [f"synchronous = {value}" if "synchronous" in pragma else pragma for pragma in database._PRAGMAS]
    return staticmethod(lambda monkeypatch: monkeypatch.setattr(database, "_PRAGMAS", weaker))


class ADatabaseWithoutSyncs(Mutant):
    patch = _with_synchronous("OFF")


class ADatabaseWithFewerSyncs(Mutant):
    patch = _with_synchronous("NORMAL")


# --- the transaction ------------------------------------------------------------------------------


class HastyStore(Store):
    is_open = False

    def commit(self, operations):
        self.finish()
        outcomes, self.is_open = self.prepare(operations), True
        return outcomes

    def finish(self):
        if self.is_open:
            self.is_open = False
            self.conclude()

    def erase(self):
        self.finish()
        super().erase()

    def _checkpoint(self):
        self.finish()
        super()._checkpoint()


class UseBeforeCommit(Mutant):
    parts = parts_with(store=HastyStore)


class MemoryOutlivesAFailedTransaction(Mutant):
    breaks = frozenset({"request-refused", "answer-refused", "mark-moved-back"})
    scene, mishap = "register", "there is no room"

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Ledger, "forget", lambda self: self._changed.clear())


# --- spans ----------------------------------------------------------------------------------------


def _give_back(client, sent):
    marks, span = client.desk.ledger._marks(sent.block), sent.auth.span
    if marks.next == span.end:
        user = client.stage.witness.blocks[sent.block].user.reveal()
        marks.next, marks.ahead = span.offset, user[span.offset : span.end] + marks.ahead


class BytesGivenBackAfterAFailedSend(Mutant):
    breaks, parts = frozenset({"span-used-twice"}), parts_with(gave_up=staticmethod(_give_back))


class TakenWithoutMovingOn(Mutant):
    breaks = frozenset({"span-used-twice", "share-changed"})

    @staticmethod
    def patch(monkeypatch):
        take = Ledger.take

        def take_and_stay(self, block, length):
            pad, marks = take(self, block, length), self._marks(block)
            if length > AUTH_BYTES:
                marks.next, marks.ahead = marks.next - length, pad._material.reveal() + marks.ahead
            return pad

        monkeypatch.setattr(Ledger, "take", take_and_stay)


class TakenWithoutAMark(Mutant):
    breaks = AT_REST | {"request-refused", "span-used-twice"}

    @staticmethod
    def patch(monkeypatch):
        flush = Ledger.flush

        def without_the_mark(self):
            sql = "SELECT id, spent FROM blocks WHERE id = ?"
            before = [self._database.row(sql, block) for block in self._changed]
            flush(self)
            for block, spent in before:
                self._database.execute("UPDATE blocks SET spent = ? WHERE id = ?", spent, block)

        monkeypatch.setattr(Ledger, "flush", without_the_mark)


class ReservationHandedOutAgain(Mutant):
    @staticmethod
    def patch(monkeypatch):
        flush = Ledger.flush

        def with_what_was_used(self):
            changed = dict(self._changed)
            flush(self)
            for block, marks in changed.items():
                self._database.execute("UPDATE blocks SET spent = ? WHERE id = ?", marks.next, block)

        monkeypatch.setattr(Ledger, "flush", with_what_was_used)


class ClaimWithoutAMark(Mutant):
    breaks = AT_REST | {"claim-lost", "answered-twice"}

    @staticmethod
    def patch(monkeypatch):
        def claim(self, pad, *, keep=False):
            marks = self._marks(pad.block)
            marks.accepted.add(pad.span)
            if not keep:
                self._pads.doom(pad.block, marks.facts.at(marks.facts.other, pad.span.offset), pad.span.length)

        monkeypatch.setattr(Ledger, "claim", claim)


class ClaimWithoutALook(Mutant):
    breaks = frozenset({"answered-twice", "not-erased", "one-time-violation"})

    @staticmethod
    def patch(monkeypatch):
        def look(self, block, span, *, least=AUTH_BYTES):
            marks = self._known(block)
            self._check_span(marks, span, least)
            return self._look(marks, span)

        def claim(self, pad, *, keep=False):
            if not self._marks(pad.block).accepted.overlaps(pad.span):
                self._marks(pad.block).accepted.add(pad.span)
                self._moved(self._marks(pad.block))

        monkeypatch.setattr(Ledger, "look", look)
        monkeypatch.setattr(Ledger, "claim", claim)


# --- erasure --------------------------------------------------------------------------------------


class ErasedBeforeCommit(Mutant):
    @staticmethod
    def patch(monkeypatch):
        def doom(self, block, offset, length):
            if length:
                Erasure(self._disk, self._folder, {block: [(offset, length)]}, frozenset()).perform()

        monkeypatch.setattr(Pads, "doom", doom)


class NeverErased(Mutant):
    breaks = AT_REST | {"pad-litter"}

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Erasure, "perform", lambda _: None)


class NotErasedAgainAfterACrash(Mutant):
    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Ledger, "erase_touched", lambda *_: None)


class WrapsErasedTooEarly(Mutant):
    @staticmethod
    def patch(monkeypatch):
        claim = Ledger.claim
        monkeypatch.setattr(Ledger, "claim", lambda self, pad, *, keep=False: claim(self, pad, keep=False))


class WrapsForgottenAtStart(Mutant):
    @staticmethod
    def patch(monkeypatch):
        erase = Ledger.erase_touched
        monkeypatch.setattr(Ledger, "erase_touched", lambda self, kept: erase(self, {}))


# --- shares and keys ------------------------------------------------------------------------------


class AcknowledgedAndNotStored(Mutant):
    breaks = frozenset({"share-lost"})

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Shares, "put", lambda self, share, *, now: None)


class HastyRecoverer(Recoverer):
    async def _hand_over(self, held, indices, *, uid):
        keys = self._ring.take(held, indices)
        self._desk.committer.submit(partial(self._log, held, frozenset(keys), is_last=not held.keys))
        return [(ids.key_id(held.secret_id, index), key) for index, key in keys.items()]


class ReleasedBeforeTheLog(Mutant):
    breaks, parts = frozenset({"key-unlogged", "key-released-twice"}), parts_with(recoverer=HastyRecoverer)


class ReleasedWithoutALog(Mutant):
    breaks = frozenset({"key-unlogged", "key-released-twice"})

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(KeyLog, "release", lambda self, generator, secret_id, keys, *, now: None)


# --- files ----------------------------------------------------------------------------------------


def _write(self, block, *, sync_file, sync_folder):
    data, path = block.user.reveal() + block.server.reveal(), self._path(block.id)
    with closing(self._disk.create(path, len(data))) as file:
        file.write_at(0, data)
        if sync_file:
            file.sync()
    if sync_folder:
        self._disk.sync_dir(self._folder)


class PadFileNotSynced(Mutant):
    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Pads, "write", lambda self, block: _write(self, block, sync_file=False, sync_folder=True))


class PadFolderNotSynced(Mutant):
    breaks = frozenset({"pad-damaged"})

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Pads, "write", lambda self, block: _write(self, block, sync_file=True, sync_folder=False))


class HastyInbox(Inbox):
    async def _take_in(self, name):
        path = f"{self._folder.path}/{name}"
        with self._folder.open(path) as dropped:
            data = dropped.read()
            psrd.decode(data)
            await self._erase(dropped)
            with suppress(PsrdPreviouslyInserted):
                await self._ingestion.ingest(data, dropped_at=dropped.place)


class DroppedFileErasedBeforeTheLedgerHasItsBlock(Mutant):
    breaks, parts = frozenset({"file-lost"}), parts_with(inbox=HastyInbox)


class LeftoversNotRecorded(Mutant):
    breaks, scene, first = frozenset({"file-left"}), "ingest", 19

    @staticmethod
    def patch(monkeypatch):
        monkeypatch.setattr(Leftovers, "add", lambda *_: None)


class HastyProvisioner(Provisioner):
    async def _add_file(self):
        client = await self._committer.run(lambda: self._books.clients.add_for_pool(now=self._world.now()))
        settings = self._premises.settings
        sizes = {"user_bytes": settings.user_bytes, "server_bytes": settings.server_bytes}
        block = handout.make_block(client, self._premises.hub, **sizes, random=self._world.random)
        self._write_file(client.name, psrd.encode(block))
        self._store.pads.write(block)
        await self._committer.run(lambda: handout.take_in(self._books, block))
        await self._committer.run(partial(self._hand_out, client.id, "ready", was="writing"))


class PoolFileWrittenBeforeItsRow(Mutant):
    breaks, parts = frozenset({"block-lost"}), parts_with(provisioner=HastyProvisioner)
    scene = "top up the pool"


class BlindProvisioner(Provisioner):
    async def take(self):
        data, client = await self._committer.run(self._take_one)
        self._erase_file(client.name)
        return data


class PoolFileTakenWithoutALookAtTheFolder(Mutant):
    breaks, parts = frozenset({"handed-out-twice"}), parts_with(provisioner=BlindProvisioner)
    scene = "take from the pool"


MUTANTS = Mutant.__subclasses__()
