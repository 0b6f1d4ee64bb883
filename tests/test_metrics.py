"""Metrics: frozen names, bounded labels, and what they count is what happened."""

import re

import pytest
import trio

from qfagent.client import measures as client_measures
from qfagent.hub import measures as hub_measures
from qfagent.metrics import Metrics
from qfagent.series import CONTENT_TYPE
from tests.client.boxes import file_of
from tests.local.frames import running

# operations.md, Logs, metrics: name -> labels
FROZEN = {
    "qfagent_build_info": {"version"},
    "qfagent_ready": set(),
    "qfagent_fenced": set(),
    "qfagent_health_issue": {"code"},
    "qfagent_psrd_remaining_bytes": {"hub", "direction"},
    "qfagent_psrd_runway_seconds": {"hub"},
    "qfagent_psrd_consumed_bytes_total": set(),
    "qfagent_psrd_burned_bytes_total": {"cause"},
    "qfagent_inbox_files": {"state"},
    "qfagent_ingest_total": {"outcome", "reason"},
    "qfagent_key_requests_total": {"verb", "outcome"},
    "qfagent_key_request_duration_seconds": set(),
    "qfagent_hub_up": {"hub"},
    "qfagent_hubs_reachable": set(),
    "qfagent_hubs_required": set(),
    "qfagent_authz_denied_total": set(),
    "qfagent_store_commit_duration_seconds": set(),
    "qfagent_hub_clients": {"state"},
    "qfagent_hub_pool_files": set(),
    "qfagent_hub_shares": set(),
    # of a management server, which that page does not know yet
    "qfagent_managed_peers": {"state"},
    "qfagent_managed_hubs": set(),
}


def read(text):
    """Samples of an exposition: name and labels -> value."""
    found = {}
    for line in text.decode().splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line).groups()
            found[name, frozenset(re.findall(r'(\w+)="(.*?)"', labels or ""))] = float(value)
    return found


def described(text):
    return {line.split(" ")[2]: line.split(" ")[3] for line in text.decode().splitlines() if line.startswith("# TYPE")}


def sample(samples, name, **labels):
    return samples[name, frozenset(labels.items())]


def test_every_frozen_name_is_there_and_no_other():
    assert set(FROZEN) == set(described(Metrics().text()))


@pytest.mark.parametrize("name", FROZEN)
def test_labels_are_as_frozen(name):
    [labels] = [set(family.labels) for family in Metrics().families if family.name == name]

    assert FROZEN[name] == labels


def test_events_are_counted():
    metrics = Metrics()
    for name, fields in (
        ("psrd.ingested", {"block": "f" * 32}),
        ("psrd.ingested", {"block": "e" * 32}),
        ("psrd.duplicate", {"file": "x"}),
        ("psrd.rejected", {"code": "psrd-rejected", "file": "y"}),
        ("psrd.contradiction", {"code": "psrd-contradiction"}),
        ("key.answered", {"verb": "recover", "outcome": "ok", "dur_ms": 20.0}),
        ("key.answered", {"verb": "recover", "outcome": "not-found", "dur_ms": 30.0}),
        ("control.denied", {"uid": 1}),
        ("something.else", {}),
    ):
        metrics.count(name, fields)
    samples = read(metrics.text())

    assert [2, 1, 1, 1] == [
        sample(samples, "qfagent_ingest_total", outcome=outcome, reason=reason)
        for outcome, reason in (
            ("ingested", ""),
            ("duplicate", ""),
            ("rejected", "psrd-rejected"),
            ("contradiction", "psrd-contradiction"),
        )
    ]
    assert 1 == sample(samples, "qfagent_key_requests_total", verb="recover", outcome="ok")
    assert 0.05 == pytest.approx(sample(samples, "qfagent_key_request_duration_seconds_sum"))
    assert 1 == sample(samples, "qfagent_authz_denied_total")


def test_a_total_that_was_counted_elsewhere_never_falls():
    metrics = Metrics()
    totals = []
    for total in (10, 25, 5, 30):
        metrics.consumed.reach(total)
        totals.append(sample(read(metrics.text()), "qfagent_psrd_consumed_bytes_total"))

    assert [10, 25, 25, 30] == totals


def test_two_agents_in_one_process_count_for_themselves():
    one, two = Metrics(), Metrics()
    one.count("control.denied", {})

    assert [1, 0] == [sample(read(metrics.text()), "qfagent_authz_denied_total") for metrics in (one, two)]


async def test_what_a_client_shows_is_what_it_has(connected):
    network = await connected()
    alice, metrics = network.clients["alice"].client, Metrics()
    await alice.generator.establish("bob")
    await trio.sleep(120)
    await network.hubs["h3"].crash()
    await trio.sleep(60)
    await client_measures.measure(alice, metrics)
    samples, ids = read(metrics.text()), [network.hubs[name].address.id for name in ("h1", "h2", "h3")]

    assert [1, 1, 0] == [sample(samples, "qfagent_hub_up", hub=hub) for hub in ids]
    assert (2, 2) == (sample(samples, "qfagent_hubs_reachable"), sample(samples, "qfagent_hubs_required"))
    assert alice.desk.ledger.consumed == sample(samples, "qfagent_psrd_consumed_bytes_total")
    left = {level.hub: (level.user_left, level.server_left) for level in alice.desk.holdings.levels()}
    for hub in ids:
        shown = [sample(samples, "qfagent_psrd_remaining_bytes", hub=hub, direction=d) for d in ("user", "server")]
        assert list(left[hub]) == shown
    assert {("state", "held"), ("state", "incomplete"), ("state", "unreadable")} == {
        label for (name, labels) in samples for label in labels if name == "qfagent_inbox_files"
    }


async def test_a_hub_that_is_forgotten_is_shown_no_more(connected):
    network = await connected(hubs=2)
    alice, metrics = network.clients["alice"].client, Metrics()
    await client_measures.measure(alice, metrics)
    gone = alice._hubs.popitem()[0]
    await client_measures.measure(alice, metrics)

    assert gone not in metrics.text().decode()


async def test_burned_bytes_are_shown_by_cause(connected):
    network = await connected()
    alice, metrics = network.clients["alice"].client, Metrics()

    async def silence(_):
        await trio.sleep_forever()

    network.hubs["h1"].bend = silence
    await alice.generator.establish("bob")
    await trio.sleep(10)
    await client_measures.measure(alice, metrics)

    assert 96 <= sample(read(metrics.text()), "qfagent_psrd_burned_bytes_total", cause="unanswered")


async def test_a_hubs_metrics_name_no_client(connected):
    network = await connected(hubs=1, settings="")
    hub, metrics = network.hubs["h1"].hub, Metrics()
    await hub_measures.measure(hub, metrics)
    samples, text = read(metrics.text()), metrics.text().decode()

    assert [2, 5] == [sample(samples, "qfagent_hub_clients", state=state) for state in ("bound", "unbound")]
    assert 5 == sample(samples, "qfagent_hub_pool_files")
    for client in await hub.registry.listing():
        assert client.id not in text
        assert client.name not in text
        assert not client.peer or client.peer not in text


async def test_over_the_socket_metrics_are_prometheus_text():
    async with running("client", name="alice") as agent:
        await agent.ask("POST", "/v1/psrd", file_of())
        await agent.ask("POST", "/v1/keys", {"peer": "bob"})
        answer = await agent.ask("GET", "/metrics")
        samples = read(answer.body)

    assert (200, CONTENT_TYPE) == (answer.status, answer.headers["content-type"])
    assert [0, 0] == [sample(samples, "qfagent_ready"), sample(samples, "qfagent_fenced")]
    assert 1 == sample(samples, "qfagent_health_issue", code="hubs-unreachable")
    assert 1 == sample(samples, "qfagent_ingest_total", outcome="ingested", reason="")
    assert 1 == sample(samples, "qfagent_key_requests_total", verb="establish", outcome="too-few-hubs")
    assert sample(samples, "qfagent_store_commit_duration_seconds_count") > 0


async def test_an_issue_that_has_passed_is_shown_no_more():
    async with running("client", name="alice") as agent:
        await agent.ask("GET", "/metrics")
        agent.frame._role.issues.args[0].inbox._unreadable["x"] = None
        agent.frame._role.issues.args[0].inbox._unreadable.clear()
        before = read((await agent.ask("GET", "/metrics")).body)

    assert ("qfagent_health_issue", frozenset({("code", "inbox-unreadable")})) not in before
