"""What an agent keeps when its configuration changes: everything of both roles."""

from pathlib import Path

import trio

from qfagent.agent import Frame
from qfagent.config import load
from qfagent.world import World
from tests.client.boxes import file_of
from tests.local.frames import Running, configured, short_folder


async def life(folder, role, ask):
    """One life of the agent in this role."""
    path = Path(folder, "qfagent.toml")
    path.write_text(
        path.read_text().replace('role = "client"', f'role = "{role}"').replace('role = "hub"', f'role = "{role}"')
    )
    frame = Frame(load(str(path)), str(path), World())
    async with frame.open_store(), frame.at_work(), frame.listening():
        return await ask(Running(frame, folder))


async def test_an_agent_that_changes_its_role_keeps_what_it_had_in_both():
    async def ingest(agent):
        assert 200 == (await agent.ask("POST", "/v1/psrd", file_of())).status
        return await agent.get("/v1/ledger")

    async def add_client(agent):
        await agent.ask("POST", "/v1/clients", {"name": "bob"})
        return (await agent.get("/v1/status"))["hub"]["id"], await agent.get("/v1/clients")

    async def ledger(agent):
        return await agent.get("/v1/ledger")

    async def clients(agent):
        return (await agent.get("/v1/status"))["hub"]["id"], await agent.get("/v1/clients")

    with short_folder() as folder:
        configured(folder, "client", name="alice")
        as_client, as_hub = await life(folder, "client", ingest), await life(folder, "hub", add_client)
        again = await life(folder, "client", ledger), await life(folder, "hub", clients)

    (known, before), (same, after) = as_hub, again[1]
    assert [entry["block"] for entry in as_client] == [entry["block"] for entry in again[0]]
    assert known == same
    assert {client["id"] for client in before} <= {client["id"] for client in after}


async def test_a_pad_of_the_other_role_is_still_there():
    async def nothing(_):
        await trio.lowlevel.checkpoint()

    async def ingest(agent):
        return (await agent.ask("POST", "/v1/psrd", file_of())).content["block"]

    with short_folder() as folder:
        configured(folder, "client", name="alice")
        block = await life(folder, "client", ingest)
        pad = Path(folder, "state/private/pads", block)
        before = pad.read_bytes()
        await life(folder, "hub", nothing)

        assert before == pad.read_bytes()
