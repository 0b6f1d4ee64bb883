"""Hostile callers: whatever is asked, nothing is answered with 5xx, and groups and policies stay consistent."""

import json
import re
from urllib.parse import quote

import trio
from hypothesis import given, settings, strategies as st

from tests.management import invariants
from tests.management.desks import OPERATOR, Desk
from tests.management.schemas import ANYTHING, values

DOC = trio.run(Desk().get, "/openapi.json")
OPERATIONS = [(method, path) for path, methods in DOC["paths"].items() for method in methods]
SOME_IDS = ["all", "dske-security-hubs", "default", "alice", "b" * 32, "All", "100.64.0.1", "3", ""]


def known(ids):
    return st.sampled_from([*SOME_IDS, *ids])


@st.composite
def requests(draw, ids):
    """One request to an operation of the document, with parameters and body as it describes them, or not."""
    method, path = draw(st.sampled_from(OPERATIONS))
    operation = DOC["paths"][path][method]
    target = re.sub(r"\{\w+\}", lambda _: quote(draw(known(ids) | st.text(max_size=9)), safe=""), path)
    asked = [p["name"] for p in operation["parameters"] if p["in"] == "query" and draw(st.booleans())]
    if asked:
        target += "?" + "&".join(f"{name}={quote(draw(known(ids) | st.just('0')), safe='')}" for name in asked)
    body = b""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = draw(bodies(schema, ids))
    return method.upper(), target, body


@st.composite
def bodies(draw, schema, ids):
    value = draw(values(schema, DOC, known(ids)))
    spoilt = draw(st.integers(0, 19))
    text = json.dumps(value).encode()
    return text[: len(text) // 2] if spoilt == 0 else draw(st.binary(max_size=9)) if spoilt == 1 else text


async def play(data):
    desk = Desk()
    peers = await desk.enrol("alice", "bob", "h1")
    await desk.mark(peers[2])
    tokens = [OPERATOR, OPERATOR, OPERATOR, *(peer["token"] for peer in peers)]
    for _ in range(data.draw(st.integers(1, 12))):
        network = desk.network
        ids = [*network.peers, *network.groups, *network.policies, *network.keys]
        method, target, body = data.draw(requests(ids))
        answer = await desk.ask(method, target, body, token=data.draw(st.sampled_from(tokens)))
        assert 200 <= answer.status < 500, (method, target, body, answer.body)
        invariants.check(desk)
    invariants.check_links(desk)
    desk.close()


@settings(max_examples=150)
@given(st.data())
def test_no_request_is_answered_with_5xx_or_leaves_groups_and_policies_inconsistent(data):
    trio.run(play, data)


def test_most_requests_of_the_document_are_granted():
    """Or the test above would knock at a closed door only."""
    statuses = []

    @settings(max_examples=60, database=None)
    @given(st.data())
    def count(data):
        async def one():
            desk = Desk()
            peers = await desk.enrol("alice")
            method, target, body = data.draw(requests([peer["id"] for peer in peers]))
            statuses.append((await desk.ask(method, target, body)).status)
            desk.close()

        trio.run(one)

    count()

    assert {200, 400, 404} <= set(statuses)


@given(ANYTHING)
@settings(max_examples=50)
def test_any_body_at_all_is_refused_with_a_reason(value):
    async def one():
        desk = Desk()
        try:
            return [
                await desk.ask(method, path, json.dumps(value).encode())
                for method, path in (("POST", "/api/groups"), ("POST", "/api/policies"), ("POST", "/agent/v1/enrol"))
            ]
        finally:
            desk.close()

    for answer in trio.run(one):
        assert answer.status in (400, 401, 422)
        assert json.loads(answer.body)
