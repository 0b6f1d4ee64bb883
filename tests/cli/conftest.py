"""Real agents for the tests of one module, or of one test."""

import pytest

from tests.cli import agents as running
from tests.cli.agents import CLIENT, HUB


@pytest.fixture
def agents():
    """A folder for agents; nothing runs yet."""
    with running.agents() as made:
        yield made


@pytest.fixture(scope="module")
def pair():
    """A hub and a client, alice, which belong to all tests of the module."""
    with running.agents() as made:
        made.write("hub", HUB)
        made.write("alice", CLIENT)
        made.start("hub", "alice")
        yield made
