"""Customers of two agents that are killed under them make keys, ask for them, and remember what they were told.

* A key that was acknowledged comes out, once. That it went to nobody is believed only if an answer was cut off.
* They go on, whatever is broken; `judge` tells of it.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from qfagent.errors import AgentError, KeyGone, NotFound
from qfagent.testing.witness import Broken

MAKERS, ASKERS = 4, 16
PAUSE = 0.1  # seconds after a refusal
LIVELY = 4  # keys that have come out lately: there is load
ATTEMPTS = 5
CUT_OFF = "the agent ended the connection"


class Customers:
    """Whoever makes keys at alice's and asks for them at bob's, while in use as a context."""

    def __init__(self, fleet, chance):
        self._fleet, self._chance = fleet, chance
        self._alice, self._bob = (fleet.clients[name].agent for name in ("alice", "bob"))
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._made, self._out, self._gone = {}, {}, set()  # keys by id, and ids
        self._unsure = set()  # ids of keys that an answer may have held which was cut off
        self._broken, self.outcomes = [], Counter()

    def __enter__(self):
        self._threads = ThreadPoolExecutor(MAKERS)
        self._makers = [self._threads.submit(self._want_keys) for _ in range(MAKERS)]
        return self

    def __exit__(self, *_):
        self._closing.set()
        with self._threads:
            for maker in self._makers:
                maker.result()

    def wait_lively(self, seconds):
        """Whether keys come out again, within so many seconds."""
        enough, until = len(self._out) + LIVELY, time.monotonic() + seconds
        while len(self._out) < enough and time.monotonic() < until:
            time.sleep(0.01)
        return len(self._out) >= enough

    def settle(self):
        """Asks for every key that was acknowledged and is not out, and at last for every key once more."""
        for _ in range(ATTEMPTS):
            self._fleet.renew()
            self._ask_for(self._missing)
            if not self._missing:
                break
        else:
            self._find("key-lost", f"no way to {sorted(self._missing)[:3]}")
        self._fleet.renew()  # so that what keeps keys from coming out twice is the disk alone
        self._ask_for(self._made)

    def judge(self):
        """Raises what was found first; what came of it all, if nothing was."""
        if self._broken:
            raise self._broken[0]
        return self.outcomes | {"keys made": len(self._made), "keys handed out": len(self._out)}

    @property
    def _missing(self):
        return self._made.keys() - self._out.keys() - self._gone

    def _ask_for(self, key_ids):
        with ThreadPoolExecutor(ASKERS) as threads:
            list(threads.map(self._ask, list(key_ids)))

    def _want_keys(self):
        while not self._closing.is_set():
            for key_id in self._make():
                if self._chance.random() < 0.7:
                    self._ask(key_id)

    def _make(self):
        try:
            made = self._alice.establish("bob", count=self._chance.choice((1, 1, 1, 4)))
        except AgentError as error:
            self._refused(error)
            return []
        self._made |= {key.key_id: key.key for key in made}
        return [key.key_id for key in made]

    def _ask(self, key_id):
        try:
            found = self._bob.recover(key_id, peer="alice")
        except KeyGone as error:
            self._note_gone(key_id, str(error))
        except NotFound:
            self._find("key-lost", f"no hub knows {key_id} any more")
        except AgentError as error:
            if self._refused(error):
                self._unsure.add(key_id)
        else:
            self._note_out(key_id, found.key)

    def _refused(self, error):
        """Notes a refusal; whether it was none, but an answer that was cut off."""
        is_cut_off = CUT_OFF in str(error)
        if type(error) is AgentError and not is_cut_off:
            self._find("surprise", str(error))
        with self._lock:
            self.outcomes["calls cut off" if is_cut_off else "calls refused"] += 1
        if not self._closing.is_set():
            time.sleep(PAUSE)
        return is_cut_off

    def _note_out(self, key_id, key):
        with self._lock:
            is_second = key_id in self._out or key_id in self._gone
            self._out[key_id] = key
        if is_second:
            self._find("key-released-twice", key_id)
        if key != self._made[key_id]:
            self._find("wrong-key", key_id)

    def _note_gone(self, key_id, why):
        if key_id not in self._out:
            self._gone.add(key_id)
            if key_id not in self._unsure:
                self._find("key-lost", f"{key_id}, which nobody has: {why}")

    def _find(self, promise, detail):
        self._broken.append(Broken(promise, detail))
