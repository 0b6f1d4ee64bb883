"""What a machine has acknowledged before its power failed, and what it owes for it when it is up again.

* A key that was made and never asked for comes out, the same at the other end; one that is out never comes again.
* A key that was asked for without an answer may be out or gone; if it comes out, it is the same.
* A block that was handed out is known at its hub, one that was ingested at its client, and neither is stopped.
* No span has two contents, however many power cuts lie between its uses.
"""

from base64 import b64decode
from collections import Counter

from qfagent.testing.witness import Broken
from tests.system.tap import Record

ALIVE = {"new", "ready", "exhausted"}
ASKED_AGAIN = 5  # keys that are out


class Account:
    """The books of one machine over all of its starts; every line may raise Broken."""

    def __init__(self):
        self.record, self.counts = Record(), Counter()
        self._made, self._asked, self._out = {}, set(), {}
        self._handed, self._ingested, self._owed = [], {}, []

    def orders(self, chance, *, broken=""):
        """What the machine is to show when it has started again."""
        self._owed = [key_id for key_id in self._made if key_id not in self._asked]
        unsure = [key_id for key_id in self._asked if key_id not in self._out and key_id in self._made]
        out = chance.sample(sorted(self._out), min(len(self._out), ASKED_AGAIN))
        self.counts["keys owed after a cut"] += len(self._owed)
        return {
            "broken": broken,
            "handed": self._handed,
            "ingested": [[hub, client] for hub, client in self._ingested.values()],
            "owed": [self._key(key_id) for key_id in (*self._owed, *unsure)],
            "out": [self._key(key_id) for key_id in out],
        }

    def note(self, what, *facts):
        """Takes a line down."""
        getattr(self, f"_note_{what}")(*facts)
        if self.record.violations:
            raise Broken("span-used-twice", f"{self.record.violations}")

    def _key(self, key_id):
        generator, recoverer, _ = self._made[key_id]
        return generator, recoverer, key_id

    def _note_up(self):
        self.counts["starts"] += 1

    def _note_failed(self, text):
        raise Broken("surprise", text)

    def _note_message(self, direction, head, body, whole):
        self.record.message(direction, b64decode(head), b64decode(body), whole=whole)
        self.counts["messages"] += 1

    def _note_handed(self, hub, block):
        self._handed.append((hub, block))
        self.counts["files"] += 1

    def _note_ingested(self, hub, client, block):
        self._ingested[block] = (hub, client)

    def _note_known(self, hub, block, known):
        if not known:
            raise Broken("handover-lost", f"{hub} does not know block {block}, which it has handed out")

    def _note_ledger(self, client, entries):
        states = {block: (state, reason) for block, state, reason in entries}
        for block in (block for block, (_, holder) in self._ingested.items() if holder == client):
            if block not in states:
                raise Broken("ingest-lost", f"{client} does not know block {block}, which it has taken in")
            if states[block][0] not in ALIVE:
                raise Broken("stopped-for-nothing", f"block {block} of {client} is {states[block]}")

    def _note_made(self, generator, recoverer, key_id, digest):
        self._made[key_id] = (generator, recoverer, digest)
        self.counts["keys made"] += 1

    def _note_asked(self, key_id):
        self._asked.add(key_id)

    def _note_refused(self, client, key_id, slug):
        self.counts[f"refused: {slug}"] += 1
        if slug == "key-gone" and key_id in self._owed:
            raise Broken("key-lost", f"key {key_id} is gone at {client}, and was never asked for")

    def _note_out(self, key_id, digest):
        if key_id in self._out:
            raise Broken("key-released-twice", f"key {key_id}")
        if digest != self._made[key_id][2]:
            raise Broken("wrong-key", f"key {key_id}")
        self._out[key_id] = digest
        self.counts["keys recovered"] += 1

    def _note_checked(self):
        lost = [key_id for key_id in self._owed if key_id not in self._out]
        if lost:
            raise Broken("key-lost", f"{len(lost)} of {len(self._owed)} keys, {lost[0]} first")
        self.counts["keys owed that came out"] += len(self._owed)
        self.counts["starts that were checked"] += 1
        self._owed = []
