"""The dashboard in a real browser: signed in by keyboard, live without reload, under its own strict policy."""

import pytest

from tests.management.browser import CHROMIUM, browsing
from tests.management.servers import serving
from tests.management.test_agents import LEVELS, REPORT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

ROWS = "[...document.querySelectorAll('#peers tr')].map(row => row.dataset.peer)"


async def sign_in(page, token):
    await page.wait("document.activeElement.id === 'token'")
    await page.type(token)
    await page.press("Enter")


async def test_an_operator_signs_in_marks_a_peer_and_sees_the_network_follow_without_reload():
    async with serving() as server:
        alice, hub = await server.enrol("alice", "h1")
        async with browsing(f"http://127.0.0.1:{server.port}/") as page:
            await sign_in(page, server.token)
            await page.wait(f"String({ROWS}) === 'alice,h1'")
            await page.run(f"document.getElementById('hub-{hub['id']}').focus(); window.still = true")
            await page.press(" ", "Space")
            await page.wait("document.querySelector('[data-peer=h1] .role').textContent === 'hub'")
            groups = await page.run("document.getElementById('groups').textContent")
            policies = await page.run("document.getElementById('policies').textContent")
            focused = await page.run("document.activeElement.id")
            await server.ask("PUT", "/agent/v1/report", {**REPORT, "hub": LEVELS}, token=hub["token"])
            await page.wait("document.getElementById('hubs').textContent.includes('5 of 5 files')")
            view = await server.get("/agent/v1/view", token=alice["token"])
            still = await page.run("window.still")

    assert ("DSKE Security Hubs1" in groups, "accept All ↔ DSKE Security Hubs" in policies) == (True, True)
    assert ([True, f"hub-{hub['id']}"], ["h1"]) == ([still, focused], [seen["name"] for seen in view["hubs"]])
    assert [] == page.complaints
