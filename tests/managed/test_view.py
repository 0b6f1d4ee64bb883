"""Views: the whole and differences are followed; what makes no sense is refused, wherever it stands."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from qfagent.errors import ManagementUnreachable
from qfagent.managed.link import understood
from qfagent.managed.view import Told, View, follow
from tests.managed.views import HUB, peer, told, view

NAMES = st.sampled_from(["bob", "carol", "dave", "erin"])


def names(seen):
    return {one.name for one in seen.peers}


def refusal(content):
    """Why it is not understood, or not followed."""
    try:
        follow(None, understood(Told, content if isinstance(content, bytes) else msgspec.json.encode(content)))
    except (ManagementUnreachable, ValueError) as error:
        return str(error)
    raise AssertionError("it was taken")


def test_a_difference_changes_what_it_names_and_nothing_else():
    before = view(peer("bob"), peer("carol"), peer("dave"))
    after = view(peer("bob", "100.64.0.77"), known=before, version="v2", since="v1", gone=["id-carol"])

    assert {"bob", "dave"} == names(after)
    assert {"100.64.0.77", "100.64.0.9"} == {one.address for one in after.peers}
    assert "v2" == after.version


def test_the_whole_replaces_whatever_was_known():
    assert {"erin"} == names(view(peer("erin"), known=view(peer("bob")), version="v2"))


@given(st.sets(NAMES), st.lists(st.tuples(st.sets(NAMES), st.integers(1, 9)), max_size=6))
def test_whatever_the_differences_the_view_ends_as_the_server_has_it(first, rounds):
    there = {name: peer(name) for name in first}
    here = follow(None, understood(Told, msgspec.json.encode(told(version="v0") | {"peers": list(there.values())})))
    for number, (then, last) in enumerate(rounds, 1):
        new = {name: peer(name, f"100.64.0.{last}") for name in then}
        changed = [new[name] for name in new if there.get(name) != new[name]]
        gone = [f"id-{name}" for name in there if name not in new]
        said = told(version=f"v{number}", since=f"v{number - 1}", gone=gone) | {"peers": changed}
        here, there = follow(here, understood(Told, msgspec.json.encode(said))), new

        assert sorted(there.values(), key=str) == sorted(msgspec.to_builtins(here.peers), key=str)


@pytest.mark.parametrize("known", [None, view(version="v7")])
def test_a_difference_to_something_else_is_refused(known):
    with pytest.raises(ValueError, match="since: expected the version that was asked with"):
        view(known=known, version="v9", since="v8")


def test_however_many_differences_come_a_view_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr("qfagent.managed.view.MOST_PEERS", 3)
    full = view(peer("bob"), peer("carol"), peer("dave"))
    changed = view(peer("erin"), known=full, version="v2", since="v1", gone=["id-bob"])
    with pytest.raises(ValueError, match="peers: expected at most 3"):
        view(peer("frank"), known=changed, version="v3", since="v2")


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"shares_required": 1}, "shares_required"),
        ({"shares_required": 17}, "shares_required"),
        ({"peer": {**peer("alice"), "role": "management"}}, "$.peer.role"),
        ({"peer": {**peer("Alice"), "role": "client"}}, "$.peer.name"),
        ({"peer": {**peer("alice", "100.64.0.7/32"), "role": "client"}}, "address"),
        ({"hubs": [{"id": "a", "name": "h1", "address": "h1.mesh"}]}, "$.hubs[0].id"),
        ({"hubs": [{"id": HUB, "name": "h1", "address": "h1 mesh"}]}, "host:port"),
        ({"hubs": [{"id": HUB, "name": n, "address": "h1.mesh"} for n in ("h1", "h2")]}, "hubs: expected every name"),
        ({"peers": [peer("bob"), {**peer("bob"), "id": "other"}]}, "peers: expected every name once, got bob twice"),
        ({"peers": [peer("bob", "not an address")]}, "address"),
        ({"peers": [peer("pool-00000000")]}, "$.peers[0].name"),
        ({"version": "a\nb"}, "$.version"),
        ({"version": 7}, "$.version"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said_where(changed, said):
    assert said in refusal(told() | changed)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"version": "v1"}', b"<html>"])
def test_garbage_is_refused(body):
    assert "makes no sense" in refusal(body)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_whatever_comes_is_understood_or_refused_in_one_line(said):
    body = said if isinstance(said, bytes) else msgspec.json.encode(said)

    assert "\n" not in refusal(body)


def test_what_is_new_to_this_agent_is_left_aside():
    assert view() == view(weather="fine")


def test_a_view_survives_the_disk():
    assert view() == msgspec.json.decode(msgspec.json.encode(view()), type=View)
