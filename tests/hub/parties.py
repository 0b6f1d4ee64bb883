"""A hub's books over a disk in memory, and voices that know their blocks' bytes: any message, right or wrong."""

import binascii
import json
import random
from typing import NamedTuple

from qfagent.dske import envelope, wire
from qfagent.dske.envelope import Auth
from qfagent.dske.ids import new_secret_id
from qfagent.dske.pad import AUTH_BYTES, Direction, Pad
from qfagent.dske.psrd import HubAddress
from qfagent.dske.secret import xor
from qfagent.dske.spans import Span
from qfagent.hub import handout
from qfagent.hub.books import open_books
from qfagent.hub.exchange import Message
from qfagent.store.quotas import PERIOD
from qfagent.store.store import Store
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World, at_once

NOW = 1_800_000_000 // PERIOD * PERIOD  # where a period of the quotas begins
HUB = HubAddress("a" * 32, "hub1.mesh", 27277)
OTHER = "b" * 32
HUBS = (HUB.id, OTHER)
CHANCE = random.Random(9)  # makes shares and ids
PATHS = {"register": wire.REGISTER, "deposit": wire.DEPOSIT, "fetch": wire.FETCH}


class Heard(NamedTuple):
    """An answer, and whether its tag was right."""

    status: int
    slug: str
    body: object
    authenticated: bool


class House:
    """One hub."""

    def __init__(self, *, seed=1, binding="open", share_ttl=86_400):
        self.disk, self.now, self.chance = MemoryDisk(seed), NOW, random.Random(seed)
        self.binding, self.share_ttl = binding, share_ttl
        self.places = {}  # peer -> the address that the hub knows it at
        self.world = World(wall=lambda: self.now, random=self.chance.randbytes, in_thread=at_once)
        self.events = []
        self.boot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disk.close()

    def boot(self):
        self.store = Store(self.disk, "/state", machine="m", world=self.world)
        rules = {"hub_id": HUB.id, "binding": self.binding, "share_ttl": self.share_ttl}
        rules["is_at"] = lambda peer, address: self.places.get(peer) == address
        self.books = open_books(self.store, self.world, **rules)

    def restart(self):
        self.disk.crash(lose="none")
        self.boot()

    def run(self, operation):
        value = self.store.run(operation)
        self.store.erase()
        return value

    def answer(self, message):
        answer = self.run(lambda: self.books.exchange.answer(message))
        self.events += [(event.name, event.fields) for event in answer.events]
        return answer

    def client(self, name):
        """A client for a named peer."""
        return self.run(lambda: self.books.clients.add(name, now=self.now))

    def block(self, client=None, *, user=8192, server=8192):
        """A block that was made for a client; for a new one of the pool, if none is named."""
        if client is None:
            client = self.run(lambda: self.books.clients.add_for_pool(now=self.now))
            self.run(lambda: self.books.clients.hand_out(client.id, "out", was="writing", now=self.now))
        sizes = {"user_bytes": user, "server_bytes": server}
        block = handout.make_block(client, HUB, **sizes, random=self.chance.randbytes)
        self.store.pads.write(block)
        self.run(lambda: handout.take_in(self.books, block))
        return block

    def voice(self, name=None, **sizes):
        """Who speaks under a new pool block; registered, if a name is given."""
        voice = Voice(self, self.block(**sizes))
        if name is not None:
            assert voice.register(name).status == 200
        return voice

    def shares(self):
        columns = "recoverer, generator, secret_id, block, start, share, fetched"
        return self.store.database.rows(f"SELECT {columns} FROM shares ORDER BY seq")

    def state(self, block):
        return self.books.clients.state_of(block.id)


class Voice:
    """Says things under one block; `seen` is the end of the highest byte that it has accepted."""

    def __init__(self, house, block):
        self.house, self.block = house, block
        self.next, self.seen = 32, 16

    # --- any message at all

    def pad(self, offset, length, direction=Direction.USER):
        pads = (self.block.user.reveal(), self.block.server.reveal())
        r = (pads[0][16:32], pads[1][:16])[direction]
        span = Span(offset, length)
        material = pads[direction][offset : span.end].ljust(AUTH_BYTES, b"\0")
        return Pad(block=self.block.id, direction=direction, span=span, r=r, material=material)

    def sign(self, target, body, *, method="POST", offset=None, length=AUTH_BYTES, seen=None):
        """The header for a message; takes the next bytes unless told where they lie."""
        if offset is None:
            offset, self.next = self.next, self.next + length
        seen = self.seen if seen is None else seen
        context = envelope.request_context(method, target)
        tag = self.pad(offset, length).authenticator().tag(seen=seen, context=context, body=body)
        return Auth(self.block.id, offset, length, seen, tag)

    def message(self, target, body, *, method="POST", proof=None, **where):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        auth = self.sign(target, body, method=method, **where)
        proofs = [str(proof.sign(target, body, method=method, **proof.proof_place())).encode()] if proof else []
        return Message(method, target, body, [str(auth).encode()], proofs)

    def say(self, target, body, **how):
        return self.send(self.message(PATHS.get(target, target), body, **how))

    def send(self, message):
        return self.hear(self.house.answer(message), message)

    def hear(self, answer, message):
        body = json.loads(answer.body)
        if answer.auth is None:
            return Heard(answer.status, answer.slug, body, authenticated=False)
        auth = envelope.parse_auth([answer.auth.encode()])
        asked = envelope.parse_auth(message.auth)
        context = envelope.answer_context(asked.tag, answer.status)
        authenticator = self.pad(auth.offset, auth.length, Direction.SERVER).authenticator()
        assert authenticator.verify(auth.tag, seen=0, context=context, body=answer.body)
        assert (auth.block, auth.length, auth.seen) == (self.block.id, AUTH_BYTES, 0)
        self.seen = max(self.seen, auth.span.end)
        return Heard(answer.status, answer.slug, body, authenticated=True)

    def proof_place(self):
        return {"offset": len(self.block.user) - 64, "length": 32}

    # --- the three messages, as they should be

    def register(self, name, **how):
        return self.say("register", {"peer": name, "client_id": self.block.client_id, "block": self.block.id}, **how)

    def deposit(self, *deposits, **how):
        """Deposits of `deposit_of`, each with its share in clear, which is sealed here."""
        sizes = [len(share) for _, share in deposits]
        length = AUTH_BYTES + sum(sizes)
        how = {"length": length} | how
        offset = how.get("offset", self.next)
        pad = self.block.user.reveal()[offset + AUTH_BYTES : offset + length]
        body = []
        for fields, share in deposits:
            sealed, pad = xor(share, pad[: len(share)].ljust(len(share), b"\0")), pad[len(share) :]
            body.append(fields | {"share": base64(sealed)})
        return self.say("deposit", {"deposits": body}, **how)

    def statuses(self, *deposits, **how):
        return [result["status"] for result in self.deposit(*deposits, **how).body["results"]]

    def fetch(self, *secrets, done=(), seen=(), **how):
        body = {"secrets": list(secrets), "done": list(done), "seen": list(seen)}
        return self.say("fetch", body, **how)

    def fetched(self, *secrets, **more):
        """What a fetch brings, out of its wrap: (generator, secret id, share)."""
        shares = self.fetch(*secrets, **more).body["shares"]
        return [(share["generator"], share["secret_id"], self.open(share)) for share in shares]

    def open(self, share):
        data = unbase64(share["share"])
        start = share["offset"]
        return xor(data, self.block.server.reveal()[start : start + len(data)])


def base64(data):
    return binascii.b2a_base64(data, newline=False).decode()


def unbase64(text):
    return binascii.a2b_base64(text)


def deposit_of(recoverer, secret_id=None, *, m=1, share=None, **members):
    """The members of a deposit, and its share in clear."""
    share = CHANCE.randbytes(32 * m + 32) if share is None else share
    fields = {
        "secret_id": secret_id or new_secret_id(CHANCE.randbytes),
        "recoverer": recoverer,
        "hubs": list(HUBS),
        "k": 2,
        "m": m,
        "o": base64(bytes(16)),
        "expires_in": 3600,
    }
    return fields | members, share
