"""The role at work: it starts, is looked at, is configured anew, stops while agents wait, and starts again."""

import logging
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.local.frames import Running, configured, free_port, receive, request, short_folder
from tests.management.servers import SETTINGS, Serving, serving
from tests.management.test_agents import LEVELS, REPORT

NEW = "a-new-token-of-the-operator"


async def test_the_status_says_what_an_operator_looks_for():
    async with serving() as server:
        alice, hub = await server.enrol("alice", "h1")
        await server.mark(hub)
        await server.ask("PUT", "/agent/v1/report", {**REPORT, "name": "alice", "role": "client"}, token=alice["token"])
        status = await server.agent.get("/v1/status")

    expected = {
        "listen": f"127.0.0.1:{server.port}",
        "url": f"http://127.0.0.1:{server.port}",
        "peers": 2,
        "connected": 1,
        "hubs": 1,
        "shares_required": 2,
        "groups": 2,
        "policies": 2,
        "keys": 1,
    }
    assert ("management", expected, None, None) == tuple(status[n] for n in ("role", "management", "hub", "client"))


@pytest.mark.parametrize(
    "count, code, ready", [(0, "hubs-not-enough", True), (2, "hubs-not-spare", True), (3, None, True)]
)
async def test_too_few_hubs_are_a_warning(count, code, ready):
    async with serving() as server:
        for hub in await server.enrol(*(f"h{number}" for number in range(count))):
            await server.mark(hub)
        readiness = await server.agent.get("/readyz")

    codes = [issue["code"] for issue in readiness["issues"] if issue["code"].startswith("hubs-")]
    assert ([code] if code else [], ready) == (codes, readiness["ready"])


async def test_metrics_count_peers_and_name_none():
    async with serving() as server:
        await server.enrol("alice", "bob")
        text = (await server.agent.ask("GET", "/metrics")).body.decode()

    assert 'qfagent_managed_peers{state="silent"} 2.0' in text
    assert "alice" not in text


async def test_what_may_change_while_it_runs_changes_at_a_reload_and_agents_hear_of_it():
    async with serving() as server:
        (alice,) = await server.enrol("alice")
        before = await server.get("/agent/v1/view", token=alice["token"])
        path = Path(server.agent.folder, "qfagent.toml")
        path.write_text(path.read_text() + "shares_required = 3\n")
        Path(server.agent.frame.config.token_file).write_text(NEW)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.agent.ask, "POST", "/v1/reload")
                target = f"/agent/v1/view?known={before['version']}&wait=60"
                after = await server.get(target, token=alice["token"])
        path.write_text(path.read_text() + 'networks = ["192.0.2.0/24"]\n')
        await server.agent.ask("POST", "/v1/reload")
        refused = await server.ask("GET", "/agent/v1/view", token=alice["token"])
        old, new = await server.ask("GET", "/api/peers"), await server.ask("GET", "/api/peers", token=NEW)

    assert (2, 3) == (before["shares_required"], after["shares_required"])
    assert (403, 401, 200) == (refused.status, old.status, new.status)


async def test_with_a_bad_token_file_a_reload_changes_nothing():
    async with serving() as server:
        path = Path(server.agent.folder, "qfagent.toml")
        path.write_text(path.read_text() + "shares_required = 3\n")
        tokens = Path(server.agent.frame.config.token_file)
        tokens.write_text("short\n")
        refused = await server.agent.ask("POST", "/v1/reload")
        meanwhile = (await server.get("/api/overview"))["shares_required"]
        tokens.write_text(NEW)
        done = await server.agent.ask("POST", "/v1/reload")

    assert ("bad-config", 2) == (refused.slug, meanwhile)
    assert ["management.shares_required"] == done.content["applied"]


async def test_who_may_operate_is_kept_when_the_file_is_gone_and_the_server_is_started_again():
    with short_folder() as folder:
        async with living(folder) as server:
            file = Path(server.agent.frame.config.token_file)
            file.write_text(NEW)
            await server.agent.ask("POST", "/v1/reload")
        file.unlink()
        async with living(folder, token=NEW) as again:
            statuses = [(await again.ask("GET", "/api/peers", token=token)).status for token in (server.token, NEW)]

    assert ([401, 200], False) == (statuses, file.exists())


async def test_it_stops_at_once_while_agents_wait_and_answers_them():
    statuses = []
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, serving() as server:
            (alice,) = await server.enrol("alice")
            view = await server.get("/agent/v1/view", token=alice["token"])

            async def wait():
                target = f"/agent/v1/view?known={view['version']}&wait=60"
                statuses.append((await server.ask("GET", target, token=alice["token"])).status)

            nursery.start_soon(wait)
            await trio.sleep(0.2)

    assert [204] == statuses


async def test_what_was_heard_is_there_after_a_restart():
    with short_folder() as folder:
        async with living(folder) as server:
            (hub,) = await server.enrol("h1")
            await server.mark(hub)
            await server.ask("PUT", "/agent/v1/report", {**REPORT, "hub": LEVELS}, token=hub["token"])
        async with living(folder) as server:
            overview = await server.get("/api/overview")

    assert [("h1", "hub", LEVELS)] == [(line["name"], line["runs_as"], line["hub"]) for line in overview["peers"]]


@asynccontextmanager
async def living(folder, **more):
    """One life of a server in a folder that stays."""
    port = free_port()
    frame = configured(folder, "management", SETTINGS.format(port=port, more=""), name="m")
    async with frame.open_store(), frame.at_work(), frame.listening():
        yield Serving(Running(frame, folder), port, **more)


async def test_a_body_that_nobody_may_send_is_not_read():
    async with serving() as server, await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        head = request("PUT", "/agent/v1/report", b"x" * 60_000)
        await stream.send_all(head[: head.index(b"\r\n\r\n") + 4])
        answer = await receive(stream)

    assert 401 == answer.status


async def test_a_body_that_is_too_large_is_refused():
    async with serving() as server:
        (alice,) = await server.enrol("alice")
        enrolment = await server.ask("POST", "/agent/v1/enrol", b" " * 10_000, token="")
        report = await server.ask("PUT", "/agent/v1/report", b" " * 70_000, token=alice["token"])

    assert (413, 413) == (enrolment.status, report.status)


async def test_no_token_or_setup_key_is_in_the_log(caplog):
    caplog.set_level(logging.DEBUG, logger="qfagent")
    async with serving() as server:
        key = await server.setup_key()
        (peer,) = await server.enrol("alice")
        await server.get("/agent/v1/view", token=peer["token"])
        await server.ask("GET", "/api/peers", token="a-token-that-is-wrong")
        secrets = [server.token, key["key"], peer["token"], "a-token-that-is-wrong"]
    logged = "\n".join(repr(record.__dict__) for record in caplog.records)

    assert "network.changed" in logged
    assert [] == [secret for secret in secrets if secret in logged]
