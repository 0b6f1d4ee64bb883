"""The status of an agent, as `GET /v1/status` shows it: a stable schema; fields are added, never renamed."""

from typing import Final

import msgspec

from qfagent.client.report import ClientReport
from qfagent.health import Issue
from qfagent.hub.report import HubStatus
from qfagent.managed.membership import Membership
from qfagent.management.report import ManagementStatus
from qfagent.store.fence import Reason

SCHEMA: Final = 1


class Interface(msgspec.Struct, frozen=True):
    """The interface that all traffic with hubs is bound to; `name` is empty if there is no such binding."""

    name: str
    up: bool
    address: str


class Status(msgspec.Struct, frozen=True):
    """Everything at a glance; `schema` is the version of this structure, `uptime_s` in seconds, `pid` the process.

    `role` is the one that is played now; `managed` while a managed agent has not been given any.
    """

    schema: int
    version: str
    name: str
    role: str
    ready: bool
    issues: tuple[Issue, ...]
    interface: Interface
    uptime_s: float
    fence: Reason | None
    pid: int
    client: ClientReport | None = None
    hub: HubStatus | None = None
    management: ManagementStatus | None = None
    membership: Membership | None = None
