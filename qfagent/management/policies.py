"""A policy of the API: how it is asked for, made, changed, removed and shown.

* It is asked for whole: a change puts another one in its place.
* Posture checks have no meaning here, and policies with them are refused.
"""

from typing import Annotated, Any, Final

import msgspec

from qfagent.errors import NotFound, Unacceptable
from qfagent.management import hub_rule, rules
from qfagent.management.atlas import Atlas
from qfagent.management.groups import Name, Nothing, Text
from qfagent.management.network import Network, Policy, drop, put
from qfagent.management.rules import RuleRequest, ShownRule

MOST_POLICIES: Final = 2000
Rules = Annotated[tuple[RuleRequest, ...], msgspec.Meta(max_length=100)]


class PolicyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy as an operator wants it."""

    name: Name
    enabled: bool
    rules: Rules
    id: str | None = None
    description: Text | None = None
    source_posture_checks: Nothing | None = None


class ShownPolicy(msgspec.Struct, frozen=True):
    """A policy, with its rules."""

    id: str
    name: str
    description: str
    enabled: bool
    rules: tuple[ShownRule, ...]
    source_posture_checks: tuple[Any, ...] = ()


def create(network: Network, request: PolicyRequest, *, new_id: str) -> Network:
    """With a new policy. NameTaken, Unacceptable."""
    if len(network.policies) >= MOST_POLICIES:
        raise Unacceptable(f"there are {MOST_POLICIES} policies already")
    return _put(network, new_id, request)


def change(network: Network, policy_id: str, request: PolicyRequest) -> Network:
    """With another policy in its place. NotFound, NotPermitted, NameTaken, Unacceptable."""
    find(network, policy_id)
    hub_rule.check_policy(policy_id)
    return _put(network, policy_id, request)


def remove(network: Network, policy_id: str) -> Network:
    """Without the policy. NotFound, NotPermitted."""
    policy = find(network, policy_id)
    hub_rule.check_policy(policy_id)
    return drop(network, policy)


def find(network: Network, policy_id: str) -> Policy:
    """The policy of this id; NotFound."""
    policy = network.policies.get(policy_id)
    if policy is None:
        raise NotFound(f"there is no policy {policy_id!r}")
    return policy


def show(atlas: Atlas, policy: Policy) -> ShownPolicy:
    """The policy."""
    shown = tuple(rules.show(atlas, rule) for rule in policy.rules)
    return ShownPolicy(policy.id, policy.name, policy.description, policy.enabled, shown)


def _put(network: Network, policy_id: str, request: PolicyRequest) -> Network:
    hub_rule.check_name(request.name)
    if not request.rules:
        raise Unacceptable("rules: expected at least one")
    made = tuple(
        rules.make(network, rule, new_id=f"{policy_id}-{number}", path=f"rules[{number}]")
        for number, rule in enumerate(request.rules)
    )
    description = request.description or ""
    policy = Policy(id=policy_id, name=request.name, description=description, enabled=request.enabled, rules=made)
    return put(network, policy)
