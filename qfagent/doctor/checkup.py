"""A checkup is every check in the order in which an agent needs things: configuration, machine, disk, agent, hubs.

* It changes nothing, and works with and without a running agent.
* Without a valid configuration there is nothing else to look at.
"""

from collections.abc import Iterator
from shlex import quote

from qfagent import config as configuration
from qfagent.config import Config
from qfagent.doctor import folders, machine, mounts, running
from qfagent.doctor.finding import Finding, fault, ok
from qfagent.errors import BadConfig
from qfagent.local.client import Agent


def check_up(path: str, socket: str = "") -> Iterator[Finding]:
    """Everything; `path` is the configuration's, `socket` the agent's if not the configuration's."""
    config, finding = _configured(path)
    yield finding
    if config is None:
        return
    yield from machine.check_groups(config)
    yield machine.check_interface(config.interface)
    yield machine.check_clock()
    yield machine.check_entropy()
    yield from folders.check_folders(config, config_path=path)
    yield from mounts.check_mounts(config)
    yield from _check_agent(config, Agent(socket or config.control.socket))


def _configured(path: str) -> tuple[Config | None, Finding]:
    try:
        config = configuration.load(path)
    except BadConfig as error:
        remedy = f"correct it, until `qfagent check-config --config {quote(path)}` finds nothing more"
        return None, fault("configuration", str(error), remedy)
    return config, ok("configuration", f"{path} is valid: {config.peer}, {config.role}")


def _check_agent(config: Config, agent: Agent) -> Iterator[Finding]:
    status, finding = running.ask(agent)
    yield finding
    yield machine.check_open_files(config.role, pid=None if status is None else status.get("pid"))
    if status is None:
        return
    yield running.check_version(status)
    yield from running.check_identity(status, config)
    yield from running.check_health(status)
    if status["client"] is not None:
        yield from running.check_hubs(status["client"])
