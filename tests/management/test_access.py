"""Who may ask for what: operators, peers, nobody; and how a refusal looks."""

from ipaddress import ip_network

import pytest

from qfagent.errors import BadConfig
from qfagent.management.gate import find_operators
from qfagent.management.tokens import hashed
from qfagent.store.disk import RealDisk
from tests.management.desks import OPERATOR, Desk, by_name, said, wish
from tests.management.test_agents import LEVELS, REPORT

OPERATORS_ROUTES = [
    ("GET", "/api/peers"),
    ("PUT", "/api/peers/x"),
    ("DELETE", "/api/groups/x"),
    ("POST", "/api/policies"),
    ("POST", "/api/setup-keys"),
    ("GET", "/api/events/audit"),
    ("GET", "/api/overview"),
]
AGENTS_ROUTES = [("GET", "/agent/v1/view"), ("PUT", "/agent/v1/report")]


@pytest.mark.parametrize("method, path", OPERATORS_ROUTES + AGENTS_ROUTES)
@pytest.mark.parametrize("token", ["", "wrong", "qfm-" + "0" * 64, "é", OPERATOR + " x"])
async def test_without_a_good_token_nothing_is_told(method, path, token):
    assert 401 == (await Desk().ask(method, path, b"{", token=token)).status


@pytest.mark.parametrize("method, path", OPERATORS_ROUTES)
async def test_a_peer_may_not_do_what_operators_do(method, path):
    desk = Desk()
    (peer,) = await desk.enrol("alice")

    assert 403 == (await desk.ask(method, path, token=peer["token"])).status


@pytest.mark.parametrize("method, path", AGENTS_ROUTES)
async def test_an_operator_is_no_peer(method, path):
    assert 403 == (await Desk().ask(method, path)).status


async def test_a_peer_that_was_removed_is_not_known_any_more():
    desk = Desk()
    (peer,) = await desk.enrol("alice")
    await desk.told("DELETE", f"/api/peers/{peer['id']}")

    assert [401, 401] == [(await desk.ask(*route, REPORT, token=peer["token"])).status for route in AGENTS_ROUTES]


async def test_a_peer_does_not_go_by_the_name_of_another():
    desk = Desk()
    alice, _ = await desk.enrol("alice", "bob")
    status, why = said(await desk.ask("PUT", "/agent/v1/report", {**REPORT, "name": "bob"}, token=alice["token"]))

    assert (403, "name: 'bob' is another peer") == (status, why)


async def test_a_hub_does_not_claim_the_id_of_another():
    desk = Desk()
    first, second = await desk.enrol("h1", "h2")
    await desk.mark(first)
    await desk.mark(second)
    await desk.report(first, role="hub", hub=LEVELS)
    body = {**REPORT, "name": "h2", "hub": LEVELS}
    refused = await desk.ask("PUT", "/agent/v1/report", body, token=second["token"])

    assert (409, [("a" * 32, "h1")]) == (
        refused.status,
        [(peer.place.id, peer.name) for peer in desk.atlas.hubs if peer.place],
    )


@pytest.mark.parametrize("scheme", ["Token", "token", "Bearer"])
async def test_both_schemes_are_taken(scheme):
    desk = Desk()
    request = desk.request("GET", "/api/peers", token="")
    headers = ((b"authorization", f"{scheme} {OPERATOR}".encode()),)
    answer = await desk.api.respond(type(request)("GET", "/api/peers", headers, "127.0.0.1", "1"))

    assert 200 == answer.status


async def test_two_tokens_are_none():
    desk = Desk()
    header = (b"authorization", f"Token {OPERATOR}".encode())
    request = desk.request("GET", "/api/peers", token="")
    answer = await desk.api.respond(type(request)("GET", "/api/peers", (header, header), "127.0.0.1", "1"))

    assert 401 == answer.status


async def test_agents_call_from_the_networks_of_the_configuration_only_and_operators_from_anywhere():
    desk = Desk(ranges=(ip_network("100.64.0.0/10"),))
    key = (await desk.key())["key"]
    statuses = [
        (await desk.ask("POST", "/agent/v1/enrol", wish(key, name), token="", address=address)).status
        for name, address in (
            ("a", "100.127.0.1"),
            ("b", "::ffff:100.64.0.2"),
            ("c", "192.0.2.1"),
            ("d", "fe80::1%wg0"),
        )
    ]

    assert [200, 200, 403, 403] == statuses
    assert {"100.127.0.1", "100.64.0.2"} == {peer["ip"] for peer in await desk.get("/api/peers", address="192.0.2.1")}


async def test_errors_have_the_shape_that_clients_of_the_api_expect_and_problem_details_for_agents():
    desk = Desk()
    api, agent = await desk.ask("GET", "/api/peers/nobody"), await desk.ask("GET", "/agent/v1/view", token="")

    assert b'{"message":"there is no peer \'nobody\'","code":404}' == api.body
    assert ("application/problem+json", 401) == (agent.content_type, agent.status)
    assert b"/problems/not-known" in agent.body


@pytest.mark.parametrize(
    "path, body, status, where",
    [
        ("/api/groups", b"{", 400, "body"),
        ("/api/groups", b'{"name": "a", "name": "b"}', 400, "every member once"),
        ("/api/groups", {"name": 7}, 400, "$.name"),
        ("/api/groups", {"name": "a", "colour": "red"}, 400, "colour"),
        ("/api/groups", b'{"name": "\\ud800"}', 400, "body"),
        ("/api/groups", {"name": "a", "peers": ["x"]}, 422, "peers"),
        ("/api/setup-keys", {"name": "a", "type": "once", "expires_in": 0}, 400, "$.type"),
        ("/api/setup-keys", {"name": "a", "type": "one-off", "expires_in": -1}, 400, "$.expires_in"),
        ("/api/policies", {"name": "a", "enabled": True, "rules": []}, 422, "rules"),
        ("/api/policies", {"name": "a", "enabled": True, "rules": [{"name": "r"}]}, 400, "$.rules[0]"),
        ("/agent/v1/enrol", {"setup_key": "x", "name": "A B"}, 400, "$.name"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_with_its_place(path, body, status, where):
    answered, why = said(await Desk().ask("POST", path, body))

    assert (status, True) == (answered, where in why), why


async def test_queries_hold_nothing_unknown_and_waiting_has_an_end():
    desk = Desk()
    (peer,) = await desk.enrol("alice")
    asked = ["/agent/v1/view?wait=61", "/agent/v1/view?wait=nan", "/agent/v1/view?wait=x", "/agent/v1/view?until=1"]
    asked += ["/agent/v1/view?wait=1&wait=2", "/agent/v1/view?wait=-1", "/agent/v1/view?wait=1e999"]

    assert [400] * 7 == [(await desk.ask("GET", target, token=peer["token"])).status for target in asked]


async def test_no_secret_is_in_the_database_in_an_event_or_in_an_answer_but_the_first(tmp_path):
    desk = Desk()
    key = (await desk.key())["key"]
    peer = await desk.told("POST", "/agent/v1/enrol", wish(key, "alice"), token="")
    await desk.told("PUT", "/agent/v1/report", {**REPORT, "name": "alice"}, token=peer["token"])
    file = desk.archive._connection.serialize("main")
    answers = [
        (await desk.ask("GET", path)).body
        for path in ("/api/peers", "/api/setup-keys", "/api/events/audit", "/api/overview", f"/api/peers/{peer['id']}")
    ]
    hay = [file, repr(desk.events).encode(), *answers]

    assert [] == [straw for straw in hay for secret in (key, peer["token"], OPERATOR) if secret.encode() in straw]
    assert [] == [
        straw for straw in hay[1:] if hashed(peer["token"]).encode() in straw or hashed(key).encode() in straw
    ]
    assert f"{key[:5]}****" == by_name(await desk.get("/api/setup-keys"), "lab")["key"]


# --- the file of the operators' tokens


def found(desk, path, disk=None):
    return find_operators(str(path), desk.archive, disk or RealDisk(), desk.world.random)


def test_the_first_token_is_made_and_only_its_owner_may_read_it(tmp_path):
    path, desk = tmp_path / "token", Desk()
    operators = found(desk, path)

    assert {hashed(path.read_text().strip()): "operator"} == operators
    assert 0o600 == path.stat().st_mode & 0o777
    assert operators == found(desk, path)


def test_a_crash_while_the_first_token_is_written_leaves_none_and_the_next_start_makes_one(tmp_path):
    class Killed(RealDisk):
        def rename(self, *_):
            raise KeyboardInterrupt

    path, desk = tmp_path / "token", Desk()
    with pytest.raises(KeyboardInterrupt):
        found(desk, path, Killed())

    assert not path.exists()
    assert ["operator"] == list(found(desk, path).values())
    assert [path] == list(tmp_path.iterdir())


def test_tokens_that_were_read_once_are_good_when_the_file_is_gone(tmp_path):
    path, desk = tmp_path / "token", Desk()
    path.write_text("# ours\na-token-that-is-long-enough anna\n\nanother-token-long-enough\n")
    both = found(desk, path)
    path.unlink()

    assert {"anna", "operator"} == set(both.values())
    assert both == found(desk, path)


def test_a_token_that_is_not_in_the_file_any_more_is_worth_nothing(tmp_path):
    path, desk = tmp_path / "token", Desk()
    old = found(desk, path)
    path.write_text("a-new-token-from-the-operator")

    assert old.keys().isdisjoint(found(desk, path))


@pytest.mark.parametrize("text", ["", "short", "# nothing\n", b"\xff" * 30])
def test_a_file_without_a_good_token_is_refused(tmp_path, text):
    path = tmp_path / "token"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(BadConfig, match=r"management\.token_file"):
        found(Desk(), path)
