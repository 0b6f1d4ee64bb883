"""`top`: a live view of the agent, for a terminal that is left open; `q` quits."""

import argparse
import sys
import time
from typing import Final

from qfagent.cli.dashboard import Snapshot, frame, without_agent
from qfagent.cli.paint import paint_for
from qfagent.cli.screen import Screen
from qfagent.cli.sockets import agent_of
from qfagent.cli.text import WIDTH, show
from qfagent.errors import AgentError
from qfagent.local.client import Agent

EVERY: Final = 2.0  # seconds between frames
CLIENTS_EVERY: Final = 10.0  # seconds between looks at all clients of a hub, which may be many


def run(arguments: argparse.Namespace) -> None:
    """Shows frame after frame, or one."""
    view = View(agent_of(arguments))
    if arguments.once or arguments.json:
        seen, paint = view.look(), paint_for(sys.stdout)
        show(arguments, vars(seen), lambda _: frame(seen, paint))
        return
    with Screen() as screen:
        paint, going_on = paint_for(sys.stdout), True
        while going_on:
            columns, lines = screen.size
            try:
                screen.draw(frame(view.look(), paint, width=max(WIDTH, columns), height=lines))
            except AgentError as error:  # it may come back
                screen.draw(without_agent(f"{time.strftime('%H:%M:%S')}  {error.detail}", paint))
            going_on = screen.wait(EVERY)


class View:
    """What is seen of one agent, and when that is looked at again."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._clients: list[dict[str, object]] = []
        self._clients_at = float("-inf")

    def look(self) -> Snapshot:
        """The agent as of now. AgentError."""
        status, at = self._agent.status(), time.time()
        if status["client"] is not None:
            return Snapshot(at, status, psrd=self._agent.psrd(), peers=self._agent.peers())
        if status["hub"] is not None and time.monotonic() - self._clients_at >= CLIENTS_EVERY:
            self._clients, self._clients_at = self._agent.clients(), time.monotonic()
        return Snapshot(at, status, clients=self._clients)
