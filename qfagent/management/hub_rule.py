"""The rule of the hubs: whatever policies say, every peer reaches every security hub.

* With the first hub come the group `DSKE Security Hubs` and a policy between it and `All`; from then on they stay.
* Every edit ends with `enforce`, and so does every start: damage to them lasts until then and no longer.
* They are the server's: whoever wants to change them is told to set the flag of a peer instead.
"""

from typing import Final

from qfagent.errors import NameTaken, NotPermitted
from qfagent.management.network import ALL, ALL_NAME, HUBS, HUBS_NAME, Group, Network, Policy, Rule, put

EVERYBODY: Final = Group(ALL, ALL_NAME)
GROUP: Final = Group(HUBS, HUBS_NAME)
POLICY: Final = Policy(
    id=HUBS,
    name=HUBS_NAME,
    description="every peer reaches the security hubs; the server keeps this policy",
    rules=(Rule(id=HUBS, name=HUBS_NAME, sources=(ALL,), destinations=(HUBS,)),),
)


def enforce(network: Network) -> Network:
    """The network with what the rule demands; the same one if nothing was missing."""
    demanded = (EVERYBODY, GROUP) if _has_had_hubs(network) else (EVERYBODY,)
    if any(network.groups.get(group.id) != group for group in demanded):
        network = put(network, *demanded)
    if GROUP in demanded and network.policies.get(HUBS) != POLICY:
        network = put(network, POLICY)
    return network


def check_group(group_id: str) -> None:
    """NotPermitted if this group is not the operator's to change."""
    if group_id == HUBS:
        raise NotPermitted(
            f"the group {HUBS_NAME} is kept by the server: its members are the peers with dske_security_hub",
            remedy="set dske_security_hub on a peer, or take it away there",
        )
    if group_id == ALL:
        raise NotPermitted(f"the group {ALL_NAME} is kept by the server: every peer is in it")


def check_policy(policy_id: str) -> None:
    """NotPermitted if this policy is not the operator's to change."""
    if policy_id == HUBS:
        raise NotPermitted(f"the policy {HUBS_NAME} is kept by the server, so that every peer reaches the hubs")


def check_name(name: str) -> None:
    """NameTaken if this is the name of what is the server's."""
    if name.casefold() in (ALL_NAME.casefold(), HUBS_NAME.casefold()):
        raise NameTaken(f"name: {name!r} is the server's own")


def _has_had_hubs(network: Network) -> bool:
    return HUBS in network.groups or HUBS in network.policies or any(peer.is_hub for peer in network.peers.values())
