"""The control socket's gate: who may do what, what is refused and how, and what is written down of it."""

import grp
import json
import os
import re
import stat
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from qfagent.agent import guard
from qfagent.dske.pad import Direction
from qfagent.dske.psrd import MAX_FILE
from qfagent.errors import KeyGone, NotFound, StoreError
from qfagent.events import BACKLOG
from qfagent.http.message import Request, Response
from qfagent.http.routes import Route
from qfagent.local.control import Control
from qfagent.local.socket import EVERYTHING, MEMBERS, Access, Caller
from tests.client.boxes import file_of
from tests.local.frames import ADMIN_GROUP, GROUP, ask_as, configured, is_root, receive, request, running, short_folder
from tests.store.stores import block_of

UUID = "3aa06ce6-b00f-4a3c-aa2a-e129acf5951b"
PARAMETERS = {"id": UUID, "key_id": "685d6b4b-c7b2-8711-901c-257774930000"}
STREAMS = ("/v1/events",)

# (name, uid, groups, what the table lets it do)
CALLERS = [
    ("root", 0, [], EVERYTHING),
    ("admin", 51_002, [GROUP[1], ADMIN_GROUP[1]], EVERYTHING),
    ("member", 51_003, [GROUP[1]], MEMBERS),
    ("stranger", 51_004, [], frozenset()),
    ("stranger with other groups", 51_005, [27, 1000], frozenset()),
    ("nobody, who may be anybody", 65_534, [GROUP[1], ADMIN_GROUP[1]], frozenset()),
]


def targets(routes):
    return [(route.method, re.sub(r"\{(\w+)\}", lambda m: PARAMETERS[m[1]], route.path)) for route in routes]


# --- the matrix -----------------------------------------------------------------------------------


@pytest.mark.skipif(not is_root(), reason="only root can call as other users")
@pytest.mark.parametrize("role", ["client", "hub"])
@pytest.mark.parametrize("name, uid, groups, verbs", CALLERS, ids=[caller[0] for caller in CALLERS])
async def test_every_route_is_open_to_whom_the_table_says_and_to_nobody_else(role, name, uid, groups, verbs):
    async with running(role) as agent:
        Path(agent.path).chmod(0o666)  # so that the table is what stands in the way, and not the socket's mode
        routes = agent.frame.routes()
        pid, statuses = await ask_as(agent.path, uid, groups, targets(routes))
        allowed = {(r.method, r.path): status != 403 for r, status in zip(routes, statuses, strict=True)}

        assert {(route.method, route.path): route.verb in verbs for route in routes} == allowed
        denied = agent.happened("control.denied")
        assert statuses.count(403) == len(denied)
        assert {(uid, pid)} >= {(event["uid"], event["pid"]) for event in denied}
        assert len(denied) == len({event["request_id"] for event in denied})


@pytest.mark.skipif(not is_root(), reason="only root can call as other users")
async def test_the_sockets_mode_keeps_strangers_out_before_the_table_does():
    async with running("client") as agent:
        mode = Path(agent.path).stat()
        asked = [("GET", "/healthz")]
        answers = {name: (await ask_as(agent.path, uid, groups, asked))[1] for name, uid, groups, _ in CALLERS}

        assert (0o660, GROUP[1]) == (stat.S_IMODE(mode.st_mode), mode.st_gid)
        assert [None] == answers["stranger"] == answers["stranger with other groups"]
        assert [200] == answers["root"] == answers["admin"] == answers["member"]
        assert [403] == answers["nobody, who may be anybody"]


@pytest.mark.skipif(not is_root(), reason="only root can call as other users")
async def test_who_may_do_nothing_learns_nothing():
    async with running("client") as agent:
        Path(agent.path).chmod(0o666)
        asked = [("GET", "/nothing"), ("PUT", "/v1/status"), ("GET", "/v1/status?x=y"), ("GET", "//[")]
        _, statuses = await ask_as(agent.path, 51_004, [], asked)

        assert [403] * 4 == statuses


@pytest.mark.parametrize("own", [51_000, 0])
@pytest.mark.parametrize(
    "uid, groups, verbs",
    [
        (0, [], EVERYTHING),
        (51_000, [], None),  # the agent's own
        (51_001, [4], EVERYTHING),
        (51_001, [1, 4], EVERYTHING),
        (51_001, [1], MEMBERS),
        (51_001, [2], frozenset()),
        (51_001, [], frozenset()),
        (65_534, [1, 4], frozenset()),
    ],
)
def test_the_table(monkeypatch, own, uid, groups, verbs):
    monkeypatch.setattr("os.geteuid", lambda: own)
    verbs = (EVERYTHING if own == uid else frozenset()) if verbs is None else verbs

    assert verbs == Access(group=1, admin_group=4).verbs(Caller(1, uid, frozenset(groups)))


@pytest.mark.parametrize("groups", [[], [0], [1, 4]])
def test_a_group_that_does_not_exist_gives_nobody_anything(monkeypatch, groups):
    monkeypatch.setattr("os.geteuid", lambda: 51_000)

    assert frozenset() == Access(group=None, admin_group=None).verbs(Caller(1, 51_001, frozenset(groups)))


def test_members_observe_and_use_keys_and_nothing_else():
    assert {"observe", "keys"} == MEMBERS
    assert {"observe", "keys", "operate", "admin"} == EVERYTHING


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture
async def agent():
    async with running("client", name="alice") as made:
        yield made


@pytest.mark.parametrize("header", ["Origin", "Referer", "origin", "REFERER"])
@pytest.mark.parametrize("value", ["http://localhost", "", "null"])
async def test_what_a_browser_sends_is_refused(agent, header, value):
    answer = await agent.ask("GET", "/healthz", **{header: value})

    assert (403, "not-permitted") == (answer.status, answer.slug)
    assert 1 == len(agent.happened("control.denied"))


@pytest.mark.parametrize(
    "target", ["//[", "//]", "//[::1", "/v1/keys?peer=%ff", "/%00", "//host/v1/status", "/v1/status;x", "/v1/status#x"]
)
async def test_no_target_ends_the_agent(agent, target):
    """Before, `//[` from anybody who may observe ended it: the target was taken apart as a URL, before the guard."""
    answer = await agent.ask("GET", target)

    assert answer.status in (400, 404)
    assert 200 == (await agent.ask("GET", "/healthz")).status


@pytest.mark.parametrize(
    "target, expected",
    [
        ("/v1/status?verbose=1", "query: unknown name 'verbose', expected none"),
        ("/v1/keys?pear=bob", "query: unknown name 'pear', expected peer"),
        ("/v1/keys?peer=bob&peer=carol", "expected every name in the query once"),
        ("/v1/keys", "query: expected peer=NAME"),
        ("/v1/keys?peer=", "peer: expected a peer name"),
        ("/v1/keys?peer=Bob", "peer: expected a peer name"),
        ("/v1/keys/nonsense", "key id: expected a UUID of 36 lower-case characters"),
        ("/v1/keys/685d6b4b-c7b2-8711-901c-257774930040", "key id: expected a last group"),
    ],
)
async def test_a_query_that_is_wrong_is_told_what_was_expected(agent, target, expected):
    answer = await agent.ask("GET", target)

    assert (400, "bad-request") == (answer.status, answer.slug)
    assert expected in answer.content["detail"]


@pytest.mark.parametrize(
    "body, expected",
    [
        (b"", "missing required field `peer`"),
        (b"{", "body: "),
        (b"peer=bob", "body: "),
        (b"[]", "body: expected `object`, got `array`"),
        (b'{"peer":"bob","peer":"bob"}', "body: expected every member once"),
        (b'{"peer":"bob","count":"1"}', "expected `int`, got `str` - at `$.count`"),
        (b'{"peer":"bob","count":1.0}', "expected `int`, got `float` - at `$.count`"),
        (b'{"peer":"bob","count":true}', "expected `int`, got `bool` - at `$.count`"),
        (b'{"peer":7}', "expected `str`, got `int` - at `$.peer`"),
        (b'{"peer":"bob","number":2}', "unknown field `number`"),
        (b'{"peer":"bob","count":0}', "count: expected 1 to 64"),
        (b'{"peer":"bob","count":65}', "count: expected 1 to 64"),
        (b'{"peer":"bob","count":' + b"9" * 5000 + b"}", "body: "),
        (b'{"peer":"alice"}', "expected another peer"),
        (b'{"peer":"\xff"}', "body: expected UTF-8"),
        (rb'{"peer":"bob","\ud800":1}', "body: "),
        (b'{"peer":' + b"[" * 100_000, "body: nested too deeply"),
    ],
)
async def test_a_body_that_is_wrong_is_told_what_was_expected_and_where(agent, body, expected):
    answer = await agent.ask("POST", "/v1/keys", body)

    assert (400, "bad-request") == (answer.status, answer.slug)
    assert expected in answer.content["detail"]


@pytest.mark.parametrize(
    "method, target, status",
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/status/", 404),
        ("PUT", "/v1/status", 404),
        ("OPTIONS", "/v1/status", 404),
        ("GET", "/v1/clients", 404),
        ("POST", "/v1/blocks//retire", 404),
        ("POST", "/v1/blocks/xyz/retire", 400),
        ("POST", f"/v1/blocks/{'f' * 32}/retire", 404),
        ("POST", "/v1/fence/lift", 409),
    ],
)
async def test_what_is_not_there_is_not_found(agent, method, target, status):
    answer = await agent.ask(method, target)

    assert status == answer.status


async def test_a_body_of_a_mebibyte_is_read_and_one_byte_more_is_refused_unread(agent):
    body = b'{"peer":"bob","x":"' + b"x" * ((1 << 20) - 21) + b'"}'
    answers = [await agent.ask("POST", "/v1/keys", body), await agent.ask("POST", "/v1/keys", body + b" ")]

    assert [(400, "bad-request"), (413, "too-large")] == [(answer.status, answer.slug) for answer in answers]
    assert 1 << 20 == len(body)


async def test_a_psrd_file_may_be_as_large_as_pads_may_be(agent):
    async with await trio.open_unix_socket(agent.path) as stream:
        head = b"POST /v1/psrd HTTP/1.1\r\nHost: q\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        await stream.send_all(head % MAX_FILE)
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
    async with await trio.open_unix_socket(agent.path) as stream:
        await stream.send_all(head % (MAX_FILE + 1))
        assert 413 == (await receive(stream)).status


async def test_every_error_is_a_problem_with_a_stable_type(agent):
    answers = [
        await agent.ask("GET", "/nothing"),
        await agent.ask("POST", "/v1/keys", b"{"),
        await agent.ask("POST", "/v1/keys", {"peer": "bob"}),
        await agent.ask("POST", "/v1/psrd", b"no PSRD"),
        await agent.ask("POST", "/v1/psrd", file_of()),
        await agent.ask("POST", "/v1/psrd", file_of()),
        await agent.ask("POST", "/v1/psrd", file_of()[:100]),
        await agent.ask("GET", "/v1/keys?peer=bob"),
    ]
    wrong = [answer for answer in answers if answer.status != 200]

    assert [404, 400, 503, 422, 409, 422, 503] == [answer.status for answer in wrong]
    assert {"application/problem+json"} == {answer.headers["content-type"] for answer in wrong}
    assert [
        "not-found",
        "bad-request",
        "too-few-hubs",
        "psrd-rejected",
        "psrd-previously-inserted",
        "psrd-incomplete",
        "too-few-hubs",
    ] == [answer.slug for answer in wrong]
    assert all({"type", "title", "status", "detail"} == set(answer.content) for answer in wrong)
    assert [answer.status for answer in wrong] == [answer.content["status"] for answer in wrong]


async def test_the_receipt_says_what_was_ingested(agent):
    answer = await agent.ask("POST", "/v1/psrd", file_of(user=2048))

    assert {
        "block": answer.content["block"],
        "hub_id": "a" * 32,
        "user_bytes": 2048,
        "server_bytes": 1024,
    } == answer.content


# --- what is written down -------------------------------------------------------------------------


async def test_calls_for_keys_are_noted_with_who_asked_and_how_it_ended(agent):
    await agent.ask("POST", "/v1/keys", {"peer": "bob"})
    await agent.ask("GET", "/v1/keys?peer=bob")
    await agent.ask("GET", "/v1/keys/nonsense")
    noted = agent.happened("key.answered")

    assert [("establish", "too-few-hubs"), ("recover", "too-few-hubs"), ("recover", "bad-request")] == [
        (event["verb"], event["outcome"]) for event in noted
    ]
    assert all({"verb", "outcome", "dur_ms", "uid", "pid", "request_id"} == set(event) for event in noted)
    assert 3 == len({event["request_id"] for event in noted})


def control(handler, *, verb="keys"):
    """The gate before one route, with no groups."""
    access = Access(None, None)
    noted = []
    route = Route("GET", "/v1/keys", verb, handler, "keys")
    made = Control(lambda: [route], lambda: access, note=lambda name, /, **f: noted.append((name, f)), guard=guard)
    return made, noted


def call(uid=0, target="/v1/keys", headers=()):
    return Request("GET", target, headers, Caller(77, uid, frozenset()), "id-1")


async def test_a_key_that_was_not_released_is_never_noted_as_ok():
    """Before, a call that was cancelled or failed in a way that it must not was written down as a key that left."""

    async def fail(_):
        raise RuntimeError("in a way that it must not")

    async def hang(_):
        await trio.sleep_forever()

    outcomes = []
    for handler in (fail, hang):
        made, noted = control(handler)
        with trio.move_on_after(0.01):
            await made.respond(call())
        outcomes += [fields["outcome"] for _, fields in noted]

    assert ["failed", "failed"] == outcomes


async def test_what_a_handler_raises_never_reaches_the_server():
    async def fail(_):
        raise RuntimeError("secret detail")

    made, _ = control(fail, verb="observe")
    response = await made.respond(call())

    assert 500 == response.status
    assert b"secret detail" not in response.body
    assert "internal" == json.loads(response.body)["type"].rpartition("/")[2]


@pytest.mark.parametrize("error, outcome", [(KeyGone("gone"), "key-gone"), (NotFound("no"), "not-found")])
async def test_a_refused_key_is_noted_with_the_reason(error, outcome):
    async def refuse(_):
        raise error

    made, noted = control(refuse)
    response = await made.respond(call())

    assert error.status == response.status
    [(name, fields)] = noted
    assert ("key.answered", "recover", outcome, 0, 77, "id-1") == (
        name,
        fields["verb"],
        fields["outcome"],
        fields["uid"],
        fields["pid"],
        fields["request_id"],
    )


async def test_a_released_key_is_noted_as_ok():
    async def give(_):
        return Response(200, b"{}")

    made, noted = control(give)
    await made.respond(call())

    assert ["ok"] == [fields["outcome"] for _, fields in noted]


def test_a_denied_call_is_noted_with_who_called_and_what(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 51_000)
    made, noted = control(None)
    refusals = [made.admit(call(51_004)), made.admit(call(65_534)), made.admit(call(0, headers=((b"origin", b"x"),)))]

    assert [403, 403, 403] == [response.status for response in refusals]
    assert [(51_004, 77), (65_534, 77), (0, 77)] == [(fields["uid"], fields["pid"]) for _, fields in noted]
    assert {("control.denied", "GET /v1/keys", "id-1")} == {(n, f["verb"], f["request_id"]) for n, f in noted}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_with_whatever_method_a_route_is_closed_to_whom_it_is_closed(monkeypatch, method):
    monkeypatch.setattr("os.geteuid", lambda: 51_000)
    route = Route("POST", "/v1/fence/lift", "admin", None, "x")
    made = Control(lambda: [route], lambda: Access(1, 4), note=lambda *_, **__: None, guard=guard)
    request = Request(method, "/v1/fence/lift", (), Caller(77, 51_003, frozenset({1})), "id-1")

    assert 403 == made.admit(request).status


def test_a_long_target_is_noted_in_part(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 51_000)
    made, noted = control(None)
    made.admit(call(51_004, target="/" + "x" * 8000))

    assert len(noted[0][1]["verb"]) < 100


def test_what_is_not_found_or_wrong_is_not_called_denied():
    made, noted = control(None)

    assert [404, 400] == [made.admit(call(target=target)).status for target in ("/v1/nothing", "/v1/keys?x=1")]
    assert [] == noted


def test_the_body_of_an_admitted_request_may_be_as_long_as_its_route_says():
    made, _ = control(None)

    assert 1 << 20 == made.admit(call())


# --- events ---------------------------------------------------------------------------------------


async def open_events(agent):
    stream = await trio.open_unix_socket(agent.path)
    await stream.send_all(request("GET", "/v1/events"))
    head = bytes(await stream.receive_some(1000))
    assert b"application/x-ndjson" in head
    assert b"Transfer-Encoding: chunked" in head
    return stream


class Lines:
    """The lines of a chunked answer."""

    def __init__(self, stream):
        self.stream, self.data = stream, b""

    async def next(self):
        while b"\r\n" not in self.data:
            self.data += bytes(await self.stream.receive_some(65_536))
        size, _, rest = self.data.partition(b"\r\n")
        while len(rest) < int(size, 16) + 2:
            rest += bytes(await self.stream.receive_some(65_536))
        line, self.data = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return json.loads(line)


async def test_events_come_as_they_happen(agent):
    async with await open_events(agent) as stream:
        lines = Lines(stream)
        for number in range(3):
            agent.frame.bus.note("test.happened", number=number)
        events = [await lines.next() for _ in range(3)]

    assert [("test.happened", 0), ("test.happened", 1), ("test.happened", 2)] == [
        (e["event"], e["number"]) for e in events
    ]
    assert all(isinstance(event["ts"], float) for event in events)


async def test_who_does_not_keep_up_loses_events_and_is_told_how_many(agent):
    total = 20 * BACKLOG
    async with await open_events(agent) as slow:
        for number in range(total):
            agent.frame.bus.note("test.happened", number=number, padding="x" * 500)
            if not number % 100:
                await trio.lowlevel.checkpoint()
        lines, numbers, lost = Lines(slow), [], 0
        while len(numbers) + lost < total:
            event = await lines.next()
            if event["event"] == "events.lost":
                lost += event["count"]
            else:
                numbers.append(event["number"])

    assert lost > total / 2
    assert sorted(numbers) == numbers
    assert len(numbers) >= BACKLOG


async def test_a_slow_listener_holds_up_nobody(agent):
    async with await open_events(agent), await open_events(agent) as quick:
        lines = Lines(quick)
        for number in range(3 * BACKLOG):
            agent.frame.bus.note("test.happened", number=number, padding="x" * 1000)
            assert number == (await lines.next())["number"]
        assert 200 == (await agent.ask("GET", "/healthz")).status


async def test_a_listener_that_has_gone_is_forgotten(agent):
    async with await open_events(agent):
        agent.frame.bus.note("test.happened")
    with trio.fail_after(5):
        while agent.frame.bus._listeners:
            agent.frame.bus.note("test.happened")
            await trio.sleep(0.01)


async def test_the_latest_events_are_there_for_those_who_come_later(agent):
    for number in range(1000):
        agent.frame.bus.note("test.happened", number=number)
    answer = await agent.ask("GET", "/v1/events/recent")
    numbers = [json.loads(line)["number"] for line in answer.body.splitlines()]

    assert list(range(1000 - 256, 1000)) == numbers


async def test_a_store_that_stands_still_is_an_alarm_and_so_is_its_fence_at_the_next_start(caplog):
    """Before, nothing but the health told of either."""
    with short_folder() as folder:
        first, second = configured(folder, "client"), configured(folder, "client")
        async with first.open_store():
            first._store.stop(StoreError("no spare sector"))
            await trio.testing.wait_all_tasks_blocked(0.01)
        async with second.open_store():
            pass

    assert [("store.failed", "failed-sync", "no spare sector")] == [
        (event["event"], event["code"], event["reason"]) for event in first.bus.recent
    ]
    assert [("store.fenced", "failed-sync")] == [(event["event"], event["code"]) for event in second.bus.recent]
    assert ["ERROR", "ERROR"] == [record.levelname for record in caplog.records if record.name == "qfagent"]


async def test_a_block_that_ends_at_the_start_for_want_of_its_pads_is_an_alarm():
    with short_folder() as folder:
        first, second = configured(folder, "client"), configured(folder, "client")
        async with first.open_store():
            first._store.pads.write(block_of())
            first._store.run(lambda: first._store.ledger.ingest(block_of(), own=Direction.USER))
        Path(first.config.private, "pads", block_of().id).unlink()
        async with second.open_store():
            pass

    assert [("block.retired", block_of().id, "pad-missing")] == [
        (event["event"], event["block"], event["code"]) for event in second.bus.recent
    ]


# --- the routes that every role has ---------------------------------------------------------------


async def test_healthz_is_green_and_readyz_names_what_is_missing(agent):
    health, ready = await agent.ask("GET", "/healthz"), await agent.ask("GET", "/readyz")

    assert (200, b"ok\n") == (health.status, health.body)
    assert (503, False) == (ready.status, ready.content["ready"])
    assert "hubs-unreachable" in [issue["code"] for issue in ready.content["issues"] if issue["blocking"]]


async def test_the_status_is_of_schema_1(agent):
    status = await agent.get("/v1/status")

    assert (1, "alice", "client", False) == (status["schema"], status["name"], status["role"], status["ready"])
    assert {
        "schema",
        "version",
        "name",
        "role",
        "ready",
        "issues",
        "interface",
        "uptime_s",
        "fence",
        "pid",
        "client",
        "hub",
        "management",
        "membership",
    } == set(status)
    assert (None, None, None) == (status["hub"], status["management"], status["membership"])
    assert [] == status["client"]["hubs"]


async def test_reload_tells_what_was_applied_and_what_needs_a_restart(agent):
    path = Path(agent.folder, "qfagent.toml")
    path.write_text(path.read_text() + '\nhub_timeout = "5s"\nhubs = ["' + "d" * 32 + '"]\n')
    path.write_text(path.read_text().replace('name = "alice"', 'name = "bob"'))
    answer = await agent.ask("POST", "/v1/reload")

    assert {"applied": ["client.hubs", "client.hub_timeout"], "needs_restart": ["name"]} == {
        key: sorted(value, key=["name", "client.hubs", "client.hub_timeout"].index)
        for key, value in answer.content.items()
    }
    assert ("alice", 5.0) == (agent.frame.config.peer, agent.frame.config.client.hub_timeout)


async def test_who_may_connect_changes_with_a_restart_and_who_may_change_things_at_once(agent):
    """Before, a new `control.group` counted as applied, and its members could not connect to the old one's socket."""
    path = Path(agent.folder, "qfagent.toml")
    path.write_text(path.read_text().replace('"daemon"', '"mail"').replace('"adm"', '"staff"'))
    answer = await agent.ask("POST", "/v1/reload")

    assert {"applied": ["control.admin_group"], "needs_restart": ["control.group"]} == answer.content
    assert ("daemon", "staff") == (agent.frame.config.control.group, agent.frame.config.control.admin_group)


@pytest.mark.skipif(not is_root(), reason="only root gives files to groups that it is not in")
async def test_a_reload_gives_the_socket_to_its_group_that_was_made_or_renumbered_since(agent):
    path = agent.frame.config.control.socket
    os.chown(path, -1, 0)
    await agent.ask("POST", "/v1/reload")

    assert grp.getgrnam(agent.frame.config.control.group).gr_gid == Path(path).stat().st_gid


async def test_a_bad_new_configuration_leaves_the_running_one_in_force_and_says_so(agent):
    path, before = Path(agent.folder, "qfagent.toml"), agent.frame.config
    path.write_text(path.read_text() + "\nshares_requird = 3\n")
    answer = await agent.ask("POST", "/v1/reload")

    assert (422, "bad-config") == (answer.status, answer.slug)
    assert "client.shares_requird: unknown key, did you mean `shares_required`?" in answer.content["detail"]
    assert before is agent.frame.config


async def test_reload_takes_effect(agent):
    path = Path(agent.folder, "qfagent.toml")
    path.write_text(path.read_text() + '\nhubs = ["' + "d" * 32 + '"]\n')
    await agent.ask("POST", "/v1/reload")
    answer = await agent.ask("POST", "/v1/psrd", file_of())

    assert (422, True) == (answer.status, "not in client.hubs" in answer.content["detail"])


async def test_the_backup_holds_no_pad(agent):
    await agent.ask("POST", "/v1/psrd", file_of())
    answer = await agent.ask("GET", "/v1/backup")
    pad = file_of().partition(b'"psrd":"')[2]

    assert 200 == answer.status
    assert not any(pad[at : at + 12] in answer.body for at in range(len(pad) - 12))
    assert 'name = "alice"' in msgspec.json.decode(answer.body)["config"]


async def test_a_hub_hands_out_files_over_the_socket():
    async with running("hub", name="h1") as agent:
        pool = await agent.get("/v1/pool")
        taken = await agent.ask("POST", "/v1/pool/take")
        added = await agent.ask("POST", "/v1/clients", {"name": "alice"})
        again = await agent.ask("POST", "/v1/clients", {"name": "alice"})
        sizes = {"user_bytes": 2048, "server_bytes": 1024, "first": True}
        target = f"/v1/clients/{added.content['id']}/psrd"
        made = [await agent.ask("POST", target, sizes) for _ in range(2)]
        removed = [await agent.ask("DELETE", f"/v1/clients/{added.content['id']}") for _ in range(2)]
        listed = await agent.get("/v1/clients")

        assert ([2, 2, 0], True) == ([len(pool["files"]), pool["target"], pool["handed_out"]], taken.status == 200)
        assert (f"{taken.content['dske_client_username']}.json" in pool["files"]) is True
        assert ("alice", 409, "already-so") == (added.content["name"], again.status, again.slug)
        assert [200, 409] == [answer.status for answer in made]
        assert ("alice", 2048) == (made[0].content["dske_client_username"], made[0].content["user_bytes"])
        assert [200, 404] == [answer.status for answer in removed]
        assert "alice" not in [client["name"] for client in listed]


@pytest.mark.parametrize(
    "target, body, expected",
    [
        ("/v1/clients", {"name": "Alice"}, "name: expected a peer name"),
        ("/v1/clients", {"name": "pool-01234567"}, "name: expected a peer name"),
        ("/v1/clients/nobody/psrd", {"user_bytes": 1024, "server_bytes": 1024}, "client id: expected a UUID"),
        (
            f"/v1/clients/{UUID}/psrd",
            {"user_bytes": 1023, "server_bytes": 1024},
            "user_bytes: expected 1024 to 67108864",
        ),
        (f"/v1/clients/{UUID}/psrd", {"user_bytes": 1024, "server_bytes": 1 << 27}, "server_bytes: expected 1024 to"),
        ("/v1/clients/expire", {"older_than": -1}, "older_than"),
        ("/v1/clients/expire", {"older_than": "1d"}, "older_than"),
    ],
)
async def test_a_hub_tells_what_was_expected(target, body, expected):
    async with running("hub", name="h1") as agent:
        answer = await agent.ask("POST", target, body)

        assert (400, "bad-request") == (answer.status, answer.slug)
        assert expected in answer.content["detail"]
