"""The agent that runs: whether it does, whether it is this program, and what it says of itself.

* It may be older than this program: then it says less.
"""

from collections.abc import Iterator
from typing import Any, Final

from qfagent import __version__
from qfagent.config import Config
from qfagent.doctor.finding import Finding, fault, ok, skipped, warning
from qfagent.errors import AgentError, AgentNotRunning, NotPermitted
from qfagent.local.client import Agent

_RESTART: Final = "`systemctl restart qfagent`"
_START: Final = "start it: `systemctl start qfagent`"

# the machine's own checks say more of these
_SEEN_OTHERWISE: Final = frozenset({"clock-unsynced", "group-missing", "interface-down"})


def ask(agent: Agent) -> tuple[dict[str, Any] | None, Finding]:
    """The agent's status, if it answers, and what is to be said of that."""
    try:
        status = agent.status()
    except AgentNotRunning as error:
        return None, warning("agent", f"{error}: hubs and PSRD are not looked at", _START)
    except NotPermitted as error:
        return None, skipped("agent", str(error), error.remedy)
    except AgentError as error:
        return None, fault("agent", str(error), error.remedy or "see the agent's log")
    return status, ok("agent", f"answers as {status['name']}, {status['role']}, process {status.get('pid', 'unknown')}")


def check_version(status: dict[str, Any]) -> Finding:
    """Whether the agent that runs is of this program's version."""
    if status["version"] == __version__:
        return ok("version", f"agent and program are of version {__version__}")
    detail = f"the agent that runs is of version {status['version']}, this program of {__version__}"
    return warning("version", detail, _RESTART)


def check_identity(status: dict[str, Any], config: Config) -> Iterator[Finding]:
    """Whether the agent that runs is the one that the configuration describes."""
    role = "managed" if status.get("membership") else status["role"]
    for name, runs, configured in (("name", status["name"], config.peer), ("role", role, config.role)):
        if runs != configured:
            detail = f"the agent's {name} is {runs}, the configuration says {configured}"
            yield warning("configuration", detail, _RESTART)


def check_health(status: dict[str, Any]) -> Iterator[Finding]:
    """Everything that the agent itself has to say, under its own codes."""
    for issue in status["issues"]:
        if issue["code"] not in _SEEN_OTHERWISE:
            say = fault if issue["blocking"] else warning
            yield say(issue["code"], issue["detail"], issue.get("remedy", "see the agent's log"))


def check_hubs(client: dict[str, Any]) -> Iterator[Finding]:
    """The hubs of a client, and how long their PSRD lasts."""
    for hub in client["hubs"]:
        name = f"hub {hub['id'][:8]} at {hub['host']}:{hub['port']}"
        if hub["state"] == "up":
            yield ok("hubs", f"{name} is up")
        else:
            remedy = _REMEDIES.get(hub["state"], "wait a moment")
            yield warning("hubs", f"{name} is {hub['state']}: {hub['reason'] or 'no block is registered'}", remedy)
    if not client["hubs"]:
        yield warning("hubs", "no hub is known", _REMEDIES["unregistered"])


_REMEDIES: Final = {
    "down": "start the hub, or mend the way to it; if it has moved, `qfagent hubs move ID HOST:PORT`",
    "stopped": "find out whether this machine was restored or cloned, then `qfagent psrd resume` or `retire`",
    "unregistered": "carry a PSRD file from the hub into the inbox",
}
