"""The neighbours are a view as the agent goes by it, looked up by name.

* Hubs are known by their DSKE id; where the server has no ids, by the hosts that a hub's PSRD files may name.
* Whom the view does not show is out of reach: policies say who reaches whom.
"""

from ipaddress import ip_address

from qfagent.config import Config, parse_address
from qfagent.dske.psrd import DEFAULT_PORT, HubAddress
from qfagent.errors import PeerExempt, PeerOutOfReach, PsrdRejected
from qfagent.managed.view import SeenHub, View


class Neighbours:
    """The `Neighbourhood` of a managed agent."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._peers = {peer.name: peer for peer in view.peers}
        self._hubs = {hub.id: hub for hub in view.hubs if hub.id}
        self._hosts = {host for hub in view.hubs if not hub.id for host in hub.hosts}

    def check_hub(self, hub: HubAddress) -> None:
        """PsrdRejected unless the view lists the hub."""
        if not self.serves(hub):
            raise PsrdRejected(
                f"security_hub_id: the management server lists no hub {hub.id} at {hub.host}",
                remedy="carry files from its hubs only; if this is one by now, drop the file again",
            )

    def serves(self, hub: HubAddress) -> bool:
        """Whether the view lists the hub."""
        return hub.id in self._hubs or hub.host.lower() in self._hosts

    def check_peer(self, name: str) -> None:
        """PeerExempt, PeerOutOfReach."""
        if self.view.peer.exempt:
            raise PeerExempt("this machine is exempt: no keys are made with it")
        peer = self._peers.get(name)
        if peer is None:
            raise PeerOutOfReach(f"the management server shows this machine no peer {name}")
        if peer.exempt:
            raise PeerExempt(f"{name} is exempt: it is a security hub, or set so at the management server")

    def is_at(self, name: str, address: str) -> bool:
        """Whether the view has the peer at this address."""
        peer = self._peers.get(name)
        return peer is not None and _canonical(peer.address) == _canonical(address)

    def moved(self, hub: HubAddress) -> SeenHub | None:
        """The hub as the view has it, if that is somewhere else."""
        seen = self._hubs.get(hub.id)
        return seen if seen is not None and parse_address(seen.address) != (hub.host, hub.port) else None

    def complete(self, config: Config) -> Config:
        """The configuration, with what it leaves to the view: `k` as a floor, and where a hub is found."""
        own = self.view.peer.address
        listen = "" if config.interface else HubAddress("", own, DEFAULT_PORT).place
        hub = {"fqdn": config.hub.fqdn or own, "listen": config.hub.listen or listen}
        k = max(config.client.shares_required, self.view.shares_required)
        return config.with_parts(hub=hub, client={"shares_required": k})


def _canonical(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address.lower()
