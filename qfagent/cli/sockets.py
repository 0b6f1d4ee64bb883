"""Where commands find the agent."""

import argparse
import os

from qfagent.local.client import DEFAULT_SOCKET, Agent


def agent_of(arguments: argparse.Namespace) -> Agent:
    """The agent that a command is for."""
    return Agent(arguments.socket or os.environ.get("QFAGENT_SOCKET") or DEFAULT_SOCKET)
