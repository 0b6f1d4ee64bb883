"""What NetBird needs for DSKE: the group of the hubs, and the policy by which everybody reaches them.

* Done again it changes nothing; what somebody has bent is mended. Nothing else there is touched.
"""

from typing import Final

import msgspec

from qfagent.errors import ManagementRefused
from qfagent.managed.link import understood
from qfagent.managed.netbird import HUBS_GROUP, Api, Group

ALL: Final = "All"  # NetBird's own group of everybody


class GroupRequest(msgspec.Struct, frozen=True):
    """A group to make."""

    name: str


class RuleRequest(msgspec.Struct, frozen=True):
    """A rule to make: both ways, whatever the protocol."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    name: str = HUBS_GROUP
    description: str = "every peer reaches the security hubs, and they reach every peer"
    enabled: bool = True
    action: str = "accept"
    bidirectional: bool = True
    protocol: str = "all"


class PolicyRequest(msgspec.Struct, frozen=True):
    """A policy to make."""

    rules: tuple[RuleRequest, ...]
    name: str = HUBS_GROUP
    description: str = "made by qfagent"
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True):
    """What is read of a rule."""

    enabled: bool
    action: str
    bidirectional: bool
    protocol: str
    sources: tuple[Group, ...] | None = None
    destinations: tuple[Group, ...] | None = None

    def joins(self, sources: str, destinations: str) -> bool:
        """Whether it lets everything through, both ways, between just these groups."""
        ends = [{group.id for group in groups or ()} for groups in (self.sources, self.destinations)]
        lets = (self.enabled, self.action, self.bidirectional, self.protocol) == (True, "accept", True, "all")
        return lets and ends == [{sources}, {destinations}]


class Policy(msgspec.Struct, frozen=True):
    """What is read of a policy."""

    id: str
    name: str
    enabled: bool
    rules: tuple[Rule, ...]
    source_posture_checks: tuple[str, ...] | None = None


async def set_up(api: Api, *, dry_run: bool) -> list[str]:
    """Makes or mends group and policy, unless it is a dry run; says what was missing.

    ManagementUnreachable, ManagementRefused.
    """
    groups = {group.name: group for group in understood(tuple[Group, ...], await api.ask("GET", "/api/groups"))}
    if ALL not in groups:
        raise ManagementRefused(f"NetBird shows no group {ALL}", remedy="use a token that may manage groups")
    missing, hubs = [], groups.get(HUBS_GROUP)
    if hubs is None:
        missing.append(f"the group {HUBS_GROUP}")
        if not dry_run:
            hubs = understood(Group, await api.ask("POST", "/api/groups", GroupRequest(HUBS_GROUP)))
    policies = understood(tuple[Policy, ...], await api.ask("GET", "/api/policies"))
    policy = next((policy for policy in policies if policy.name == HUBS_GROUP), None)
    if hubs is None or policy is None or not _is_right(policy, groups[ALL].id, hubs.id):
        missing.append(f"the policy {ALL} <-> {HUBS_GROUP}")
        if hubs is not None and not dry_run:
            await _put_policy(api, policy, RuleRequest((groups[ALL].id,), (hubs.id,)))
    return missing


async def _put_policy(api: Api, policy: Policy | None, rule: RuleRequest) -> None:
    request = PolicyRequest((rule,))
    if policy is None:
        await api.ask("POST", "/api/policies", request)
    else:
        await api.ask("PUT", f"/api/policies/{policy.id}", request)


def _is_right(policy: Policy, everybody: str, hubs: str) -> bool:
    rules = [rule.joins(everybody, hubs) for rule in policy.rules]
    return policy.enabled and rules == [True] and not policy.source_posture_checks
