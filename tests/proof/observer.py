"""The observer reads every wire, keeps a trace, and shows what it reads to a witness for every hub.

* It parses what was sent itself, and knows every pad, so it sees a byte that serves two contents wherever it leaves.
* Of a hub that lies it believes nothing, but it goes on to watch the spans that clients spend on it.
* The trace is a digest of all that happened, in its order: two runs are the same if their traces are.
"""

import hashlib
import re
from collections import Counter, deque

import trio

from qfagent.client.exchange import Sent
from qfagent.dske import envelope, psrd
from qfagent.hub.exchange import Answer
from qfagent.testing.witness import Witness

HEAD = re.compile(rb"(.*?)\r\n(.*?\r\n)\r\n", re.DOTALL)
LENGTH = re.compile(rb"^content-length: (\d+)\r\n", re.IGNORECASE | re.MULTILINE)
AUTH = re.compile(rb"^dske-auth: (.*)\r\n", re.IGNORECASE | re.MULTILINE)
PROOF = re.compile(rb"^dske-proof: (.*)\r\n", re.IGNORECASE | re.MULTILINE)


class DoubtingWitness(Witness):
    """For a hub that lies: its words are no facts."""

    def _acknowledged(self, peer, sent, results):
        pass

    def _shown(self, peer, shares):
        pass


class Observer:
    """What was seen of everybody."""

    def __init__(self, now):
        self._now, self.witnesses = now, {}
        self.seen = Counter()
        self._trace = hashlib.sha256()

    def watch(self, hub, *, lies):
        self.witnesses[hub] = DoubtingWitness() if lies else Witness()

    def learn(self, hub, data):
        """A PSRD file was handed out."""
        self.witnesses[hub].learn(psrd.decode(data))

    def excuse(self, machine):
        """Its clock was set: what it keeps until some time is no obligation any more."""
        for hub, witness in self.witnesses.items():
            for which in list(witness.kept):
                if machine in (hub, which.recoverer):
                    del witness.kept[which]

    def happened(self, *what):
        """Anything at all."""
        self._trace.update(repr((trio.current_time(), *what)).encode())

    @property
    def trace(self):
        return self._trace.hexdigest()

    def conversation(self, client, hub):
        return Conversation(self, client, hub)

    def request(self, client, hub, sent):
        self.seen[sent.target] += 1
        self.witnesses[hub].request(client, sent, now=self._now())

    def answer(self, client, hub, sent, answer):
        self.seen[answer.status] += 1
        self.witnesses[hub].answer(client, sent, answer)


class Conversation:
    """One connection, as the observer reads it; the hub answers in the order in which it was asked."""

    def __init__(self, observer, client, hub):
        self._observer, self.client, self.hub = observer, client, hub
        self._asked, self.requests = deque(), []
        self._from_client = self._from_hub = b""

    def heard_client(self, data):
        self._observer.happened(self.client, self.hub, data)
        messages, self._from_client = whole(self._from_client + data)
        for line, fields, body in messages:
            self._asked.append(self._request(line, fields, body))

    def heard_hub(self, data):
        self._observer.happened(self.hub, self.client, data)
        messages, self._from_hub = whole(self._from_hub + data)
        for line, fields, body in messages:
            sent = self._asked.popleft() if self._asked else None  # a hub may refuse what it has read half
            auth = AUTH.search(fields)
            if sent is not None:
                answer = Answer(int(line.split()[1]), body, auth and auth[1].decode())
                self._observer.answer(self.client, self.hub, sent, answer)

    def _request(self, line, fields, body):
        auth, proof = AUTH.search(fields), PROOF.search(fields)
        if auth is None:
            return None
        auth, proof = (found and envelope.parse_auth([found[1]]) for found in (auth, proof))
        sent = Sent(auth.block, line.split()[1].decode(), body, auth, proof)
        self._observer.request(self.client, self.hub, sent)
        return sent


def whole(data):
    """The messages that are complete, as (first line, fields, body), and what is left."""
    messages = []
    while head := HEAD.match(data):
        length = LENGTH.search(head[2])
        end = head.end() + (int(length[1]) if length else 0)
        if len(data) < end:
            break
        messages.append((head[1], head[2], data[head.end() : end]))
        data = data[end:]
    return messages, data
