"""The hub's REST interface: who verifies is answered, who does not is not answered for ever, faults are said."""

import errno
import json

import pytest
import trio
import trio.testing

from qfagent import __version__
from qfagent.config import parse
from qfagent.dske import wire
from qfagent.dske.envelope import parse_auth
from qfagent.http.message import Request
from qfagent.http.server import Server
from qfagent.hub.api import FREE_FAILURES, REFILL, Api, Patience
from qfagent.hub.role import LIMITS
from qfagent.store.committer import Inline
from qfagent.store.fence import Reason
from qfagent.surroundings import Surroundings
from tests.conftest import on_a_clock_that_jumps
from tests.hub.parties import HUB, House, deposit_of

pytestmark = pytest.mark.trio(run=on_a_clock_that_jumps)


class Door:
    """A hub's interface, and who stands before it."""

    def __init__(self, house):
        self.house, self.events, self.bound = house, [], []
        self.open()

    def open(self):
        house = self.house
        config = parse('name = "h1"\ninterface = ""')
        around = Surroundings(
            house.store, Inline(house.store), house.disk, house.world, self.note, lambda: config, None
        )
        self.api = Api(around, house.books, hub_id=HUB.id, bound=lambda: self.bound.append(True))

    def note(self, name, /, **fields):
        self.events.append((name, fields))

    async def ask(self, method, target, body=b"", headers=(), peer="10.0.0.1"):
        return await self.api.respond(Request(method, target, tuple(headers), peer, "1", body))

    async def deliver(self, message, peer="10.0.0.1"):
        headers = [(b"dske-auth", value) for value in message.auth] + [(b"dske-proof", v) for v in message.proof]
        return await self.ask(message.method, message.target, message.body, headers, peer)

    async def get(self, target):
        response = await self.ask("GET", target)
        return response.status, json.loads(response.body)


@pytest.fixture
def house():
    with House() as made:
        yield made


@pytest.fixture
def door(house):
    return Door(house)


def slug(response):
    return json.loads(response.body).get("type", "").rpartition("/")[2]


# --- what anybody may ask -------------------------------------------------------------------------


async def test_health_names_the_hub_and_its_version(door):
    assert (200, {"hub_id": HUB.id, "version": __version__}) == await door.get(wire.HEALTH)


async def test_the_state_of_a_block_follows_its_life(door, house):
    voice = house.voice()
    states = [await door.get(wire.BLOCKS + voice.block.id)]
    voice.register("alice")
    states.append(await door.get(wire.BLOCKS + voice.block.id))
    voice.say("fetch", {"secrets": []}, offset=500)
    states.append(await door.get(wire.BLOCKS + voice.block.id))
    house.run(lambda: house.books.deposits.retire(voice.block.id, reason="test"))
    states.append(await door.get(wire.BLOCKS + voice.block.id))

    assert [
        {"user_seen": 32, "registered": False, "retired": False, "proofs_seen": 0},
        {"user_seen": 64, "registered": True, "retired": False, "proofs_seen": 0},
        {"user_seen": 532, "registered": True, "retired": False, "proofs_seen": 0},
        {"user_seen": 532, "registered": False, "retired": True, "proofs_seen": 0},
    ] == [body for _, body in states]


async def test_a_proof_is_seen_where_proofs_are_and_nowhere_else(door, house):
    one = house.voice("alice")
    house.voice().register("alice", proof=one)
    state = (await door.get(wire.BLOCKS + one.block.id))[1]

    assert (64, 32) == (state["user_seen"], state["proofs_seen"])


async def test_the_state_of_a_block_is_the_same_after_a_start(door, house):
    voice = house.voice("alice")
    before = await door.get(wire.BLOCKS + voice.block.id)
    house.restart()
    door.open()

    assert before == await door.get(wire.BLOCKS + voice.block.id)


@pytest.mark.parametrize(
    "block", ["f" * 32, "F" * 32, "", "x", "f" * 31, "f" * 33, "f" * 32 + "?x=1", "../health", "%66" * 32]
)
async def test_a_block_that_is_unknown_or_none_is_not_there(door, block):
    response = await door.ask("GET", wire.BLOCKS + block)

    assert (404, "unknown-block") == (response.status, slug(response))


async def test_looking_costs_nothing(door, house):
    voice = house.voice("alice")
    spent = house.books.ledger.spent(voice.block.id), list(house.books.ledger._marks(voice.block.id).accepted)
    for _ in range(100):
        await door.get(wire.BLOCKS + voice.block.id)

    assert spent == (house.books.ledger.spent(voice.block.id), list(house.books.ledger._marks(voice.block.id).accepted))


@pytest.mark.parametrize(
    "method, target, status, said",
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/dske/v1/secrets", 404, "not-found"),
        ("GET", "/dske/v1/health/", 404, "not-found"),
        ("GET", "/dske/v1/health?x", 404, "not-found"),
        ("PUT", "/dske/v1/secrets", 404, "not-found"),
        ("HEAD", "/dske/v1/health", 404, "not-found"),
        ("DELETE", "/dske/v1/blocks/" + "f" * 32, 404, "not-found"),
        ("POST", "/", 401, "bad-tag"),
        ("POST", "/dske/v1/health", 401, "bad-tag"),
        ("POST", "/dske/v1/blocks/" + "f" * 32, 401, "bad-tag"),
    ],
)
async def test_everything_else_is_refused(door, method, target, status, said):
    response = await door.ask(method, target)

    assert (status, said) == (response.status, slug(response))
    assert "application/problem+json" == response.content_type


# --- messages -------------------------------------------------------------------------------------


async def test_a_message_is_answered_under_a_tag(door, house):
    alice, bob = house.voice("alice"), house.voice("bob")
    message = alice.message(wire.FETCH, {"secrets": []})
    response = await door.deliver(message)
    [(name, value)] = response.headers

    assert (200, "DSKE-Auth", alice.block.id) == (response.status, name, parse_auth([value.encode()]).block)
    assert "application/json" == response.content_type
    assert bob.fetch().status == 200


async def test_a_registration_is_told_and_stirs_the_provisioner(door, house):
    voice = house.voice()
    body = {"peer": "alice", "client_id": voice.block.client_id, "block": voice.block.id}
    await door.deliver(voice.message(wire.REGISTER, body))

    assert [("client.registered", "alice")] == [(name, fields["peer"]) for name, fields in door.events]
    assert [True] == door.bound


async def test_a_rolled_back_block_is_told(door, house):
    voice = house.voice("alice")
    response = await door.deliver(voice.message(wire.FETCH, {"secrets": []}, seen=8000))

    assert (409, "retired", ()) == (response.status, slug(response), response.headers)
    assert [("block.retired", {"block": voice.block.id, "code": "rolled-back"})] == door.events


async def test_over_the_wire_a_body_that_is_too_large_is_refused_unread(door, nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(Server(door.api.respond, identify=lambda _: "10.0.0.1", limits=LIMITS).serve_stream, theirs)
    await ours.send_all(
        b"POST /dske/v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (wire.MAX_BODY + 1)
    )
    answer = await ours.receive_some(10_000)

    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"/too-large" in answer
    assert b"dske-auth" not in answer.lower()


# --- patience -------------------------------------------------------------------------------------


async def exhaust(door, peer="10.0.0.1"):
    return [(await door.ask("POST", wire.FETCH, peer=peer)).status for _ in range(FREE_FAILURES + 10)]


async def test_failures_of_an_address_are_answered_in_full_only_so_often(door):
    assert [401] * FREE_FAILURES + [429] * 10 == await exhaust(door)


async def test_looks_at_unknown_blocks_count_as_failures_too(door):
    await exhaust(door)

    assert 429 == (await door.ask("GET", wire.BLOCKS + "f" * 32)).status


async def test_patience_grows_again(door):
    await exhaust(door)
    await trio.sleep(2 / REFILL)

    assert [401, 401, 429] == [(await door.ask("POST", wire.FETCH)).status for _ in range(3)]


async def test_another_address_has_patience_of_its_own(door):
    await exhaust(door)

    assert 401 == (await door.ask("POST", wire.FETCH, peer="10.0.0.2")).status


async def test_what_verifies_is_answered_whatever_came_before(door, house):
    alice, bob = house.voice("alice"), house.voice("bob")
    await exhaust(door)
    statuses = [(await door.deliver(bob.message(wire.FETCH, {"secrets": []}))).status for _ in range(100)]

    assert [200] * 100 == statuses
    assert ["stored"] == alice.statuses(deposit_of("bob"))


@pytest.mark.parametrize("body", [b"nonsense", b'{"secrets":[{}]}'])
async def test_a_verified_error_is_answered_whatever_came_before(door, house, body):
    voice = house.voice("alice")
    await exhaust(door)
    response = await door.deliver(voice.message(wire.FETCH, body))

    assert (400, "malformed") == (response.status, slug(response))


async def test_a_verified_request_for_which_no_answer_can_be_signed_is_told_why_whatever_came_before(door, house):
    """Before, who had a used-up pad, or a hub that was rolled back, heard nothing if its address had failed before."""
    full, rolled_back = house.voice("alice", server=1024), house.voice("bob")
    while house.books.ledger.room(full.block.id) >= 32:
        full.fetch()
    await exhaust(door)
    answers = [
        await door.deliver(full.message(wire.FETCH, {"secrets": []})),
        await door.deliver(rolled_back.message(wire.FETCH, {"secrets": []}, seen=8000)),
    ]

    assert [(409, "pad-exhausted"), (409, "retired")] == [(answer.status, slug(answer)) for answer in answers]


async def test_health_and_known_blocks_are_shown_whatever_came_before(door, house):
    voice = house.voice("alice")
    await exhaust(door)

    assert [200, 200] == [(await door.get(target))[0] for target in (wire.HEALTH, wire.BLOCKS + voice.block.id)]


async def test_memory_of_addresses_is_bounded():
    patience = Patience()
    for number in range(10_000):
        patience.spend(number)

    assert 4096 == len(patience._left)


# --- the disk -------------------------------------------------------------------------------------


async def test_a_full_disk_is_told_to_the_client_and_once_in_the_events(door, house):
    """Before, it was an internal error, with a traceback in the log for each request."""
    voice = house.voice("alice")
    house.disk.fail("write_at", errno.ENOSPC, times=10**9)
    answers = [await door.deliver(voice.message(wire.FETCH, {"secrets": []})) for _ in range(5)]
    house.disk.heal()
    after = await door.deliver(voice.message(wire.FETCH, {"secrets": []}))

    assert [(507, "disk-full", ())] * 5 == [(answer.status, slug(answer), answer.headers) for answer in answers]
    assert 200 == after.status
    assert [("hub.store-trouble", "disk-full")] == [(name, fields["code"]) for name, fields in door.events]


async def test_a_request_that_met_a_full_disk_has_claimed_nothing(door, house):
    voice = house.voice("alice")
    message = voice.message(wire.FETCH, {"secrets": []})
    house.disk.fail("write_at", errno.ENOSPC, times=10**9)
    await door.deliver(message)
    house.disk.heal()

    assert 200 == (await door.deliver(message)).status


async def test_a_fenced_hub_says_so_and_spends_nothing(door, house):
    voice = house.voice("alice")
    spent = house.books.ledger.spent(voice.block.id)
    house.store.fence.put_up(Reason("moved-machine", 0, "", "look"))
    response = await door.deliver(voice.message(wire.FETCH, {"secrets": []}))

    assert (409, "store-fenced") == (response.status, slug(response))
    assert spent == house.books.ledger.spent(voice.block.id)
    assert 200 == (await door.get(wire.HEALTH))[0]


async def test_a_store_that_stands_still_answers_health_only(door, house):
    voice = house.voice("alice")
    house.disk.fail("sync", errno.EIO)
    answers = [await door.deliver(voice.message(wire.FETCH, {"secrets": []})) for _ in range(2)]

    assert [(500, "store-failed")] * 2 == [(answer.status, slug(answer)) for answer in answers]
    assert 200 == (await door.get(wire.HEALTH))[0]
    assert house.store.fence.reason.code == "failed-sync"


async def test_a_hub_without_a_descriptor_left_says_so_and_goes_on(door, house):
    """Before, it put up a fence: whoever could use up its descriptors could stop it until an operator came."""
    voice = house.voice("alice")
    house.store.pads.close()
    house.store.ledger.forget()
    house.disk.fail("open", errno.EMFILE)
    answers = [await door.deliver(voice.message(wire.FETCH, {"secrets": []})) for _ in range(2)]

    assert [(503, "out-of-files"), (200, "")] == [(answer.status, slug(answer)) for answer in answers]
