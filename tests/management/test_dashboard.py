"""The dashboard in a real browser: signed in by keyboard, live without reload, under its own strict policy."""

from contextlib import asynccontextmanager

import pytest

from tests.management.browser import CHROMIUM, browsing
from tests.management.servers import serving
from tests.management.test_agents import LEVELS, REPORT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

ROWS = "String([...document.querySelectorAll('#peers tr')].map(row => row.dataset.peer))"
PSRD = {"hub": "a" * 32, "state": "ready", "user_left": 90000, "server_left": 13000, "lasts_s": 7200}
PSRD |= {"user_fraction": 0.7, "server_fraction": 0.1}


def text(place):
    return f"document.getElementById('{place}').textContent"


@asynccontextmanager
async def signed_in(*names):
    async with serving() as server:
        peers = await server.enrol(*names)
        async with browsing(f"http://127.0.0.1:{server.port}/") as page:
            await sign_in(page, server.token)
            await page.wait(f"{ROWS} === '{','.join(names)}'")
            yield server, peers, page
            assert [] == page.complaints


async def sign_in(page, token):
    await page.wait("document.activeElement.id === 'token'")
    await page.type(token)
    await page.press("Enter")


async def test_an_operator_marks_a_peer_and_sees_the_network_follow_without_reload():
    async with signed_in("alice", "h1") as (server, (alice, hub), page):
        await page.run(f"document.getElementById('hub-{hub['id']}').focus(); window.still = true")
        await page.press(" ", "Space")
        await page.wait("document.querySelector('[data-peer=h1] .role').textContent === 'hub'")
        groups, policies = await page.run(text("groups")), await page.run(text("policies"))
        focused = await page.run("document.activeElement.id")
        await server.ask("PUT", "/agent/v1/report", {**REPORT, "hub": LEVELS}, token=hub["token"])
        await page.wait(f"{text('hubs')}.includes('5 of 5 files')")
        view = await server.get("/agent/v1/view", token=alice["token"])
        await page.press(" ", "Space")
        await page.wait("document.querySelector('[data-peer=h1] .role').textContent === 'client, still hub'")
        still = await page.run("window.still")

    assert (True, True) == ("DSKE Security Hubs1" in groups, "accept All ↔ DSKE Security Hubs" in policies)
    assert ([True, f"hub-{hub['id']}"], ["h1"]) == ([still, focused], [seen["name"] for seen in view["hubs"]])


async def test_what_others_change_and_what_peers_report_appears_by_itself_warnings_first():
    async with signed_in("alice", "h1") as (server, (alice, hub), page):
        await server.mark(hub)
        await server.ask("PUT", "/agent/v1/report", {**REPORT, "hub": LEVELS}, token=hub["token"])
        body = {**REPORT, "name": "alice", "role": "client", "psrd": [PSRD]}
        await server.ask("PUT", "/agent/v1/report", body, token=alice["token"])
        await page.wait(f"{text('psrd')}.includes('lasts 2 h')")
        first = await page.run("document.querySelector('#board section').textContent")
        drawn = await page.run("[...document.querySelectorAll('#reach g')].map(node => node.ariaLabel).sort().join()")
        lines = await page.run("document.querySelectorAll('#reach line').length")
        events = await page.run(text("events"))

    assert (True, True) == (
        "10% of its PSRD with h1 is left" in first,
        "1 of the 2 security hubs that a key needs" in first,
    )
    assert ("alice,h1", 1) == (drawn, lines)
    assert "peer made a hub: h1 by operator" in events


async def test_a_wrong_token_opens_nothing_and_is_forgotten():
    async with serving() as server, browsing(f"http://127.0.0.1:{server.port}/") as page:
        await sign_in(page, "a-token-of-somebody-else")
        await page.wait(f"{text('sign-in-error')}.includes('not known')")
        hidden = await page.run("document.getElementById('board').hidden")
        kept = await page.run("sessionStorage.length + localStorage.length + document.cookie.length")

    assert (True, 0) == (hidden, kept)


async def test_who_signs_out_leaves_nothing_behind():
    async with signed_in("alice") as (_, _, page):
        await page.run("document.getElementById('sign-out').click()")
        hidden = await page.run("document.getElementById('board').hidden")
        kept = await page.run("sessionStorage.length + localStorage.length + document.cookie.length")

    assert (True, 0) == (hidden, kept)


async def test_a_setup_key_is_shown_once_lets_a_machine_in_and_is_revoked():
    async with signed_in("alice") as (server, _, page):
        await page.run("document.getElementById('key-name').focus()")
        await page.type("rack 7")
        await page.press("Enter")
        key = await page.wait("document.querySelector('#key-made code').textContent")
        let_in = await server.ask("POST", "/agent/v1/enrol", {"setup_key": key, "name": "bob"}, token="")
        await page.wait(f"{ROWS} === 'alice,bob'")
        await page.run("document.querySelector('#keys button[aria-label=\"revoke lab\"]').click()")
        await page.wait(f"{text('keys')}.includes('revoked')")
        listed = await page.run(text("keys"))

    assert (200, True, False) == (let_in.status, "rack 7" in listed, key in listed)


async def test_what_a_peer_is_called_is_never_markup():
    async with signed_in("alice") as (server, _, page):
        await server.ask("POST", "/api/groups", {"name": "<img src=x onerror=alert(1)>"})
        await page.wait(f"{text('groups')}.includes('<img src=x')")
        images = await page.run("document.querySelectorAll('main img').length")

    assert 0 == images


async def test_on_a_phone_nothing_is_wider_than_the_screen_and_everything_is_large_enough_to_touch():
    async with signed_in("a-peer-with-quite-a-long-name-for-a-small-screen", "h1") as (_, _, page):
        await page.resize(360, 740, mobile=True)
        wide = await page.run("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        small = "[...document.querySelectorAll('#board button')].filter(node => node.offsetHeight < 24).length"
        small = await page.run(small)

    assert (False, 0) == (wide, small)


async def test_everything_is_reached_by_keyboard_and_has_a_name():
    async with signed_in("alice", "h1") as (_, peers, page):
        await page.run("document.activeElement.blur()")
        met = []
        for _ in range(20):
            await page.press("Tab")
            met.append(await page.run("document.activeElement.id || document.activeElement.getAttribute('role')"))
        nameless = await page.run(
            "[...document.querySelectorAll('button, input, svg, [tabindex]')]"
            ".filter(node => !(node.ariaLabel || node.textContent || node.labels?.length"
            " || node.getAttribute('aria-labelledby'))).length"
        )

    assert {"sign-out", "filter", "img", "region", *(f"hub-{peer['id']}" for peer in peers)} <= set(met)
    assert 0 == nameless


async def test_the_filter_finds_peers_and_stays_while_the_network_changes():
    async with signed_in("alice", "bob", "h1") as (server, (_, _, hub), page):
        await page.run("document.getElementById('filter').focus()")
        await page.type("h")
        await page.wait(f"{ROWS} === 'h1'")
        await server.mark(hub)
        await page.wait("document.querySelector('[data-peer=h1] .role').textContent === 'hub'")
        rows, focused = await page.run(ROWS), await page.run("document.activeElement.id")

    assert ("h1", "filter") == (rows, focused)


async def test_while_the_server_is_away_the_page_says_so_and_shows_what_it_knew():
    async with signed_in("alice", "h1") as (server, _, page):
        await page.say("Network.enable")
        await page.say("Network.emulateNetworkConditions", **AWAY)
        await server.enrol("bob")  # ends the wait that is under way
        await page.wait(f"{text('state')}.includes('does not answer')")
        rows = await page.run(ROWS)
        await page.say("Network.emulateNetworkConditions", **(AWAY | {"offline": False}))
        await page.wait(f"{ROWS} === 'alice,h1,bob'")
        page.complaints.clear()

    assert rows.startswith("alice,h1")


AWAY = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
