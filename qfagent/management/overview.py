"""The overview is everything that the dashboard shows, in one answer: warnings first.

* Who has one waits for the next with its `version`; it comes when something has changed, or when the wait is over,
  since silence is news as well.
"""

from typing import Final

import msgspec

from qfagent.http.routes import Route
from qfagent.management import audit
from qfagent.management.asked import Asked
from qfagent.management.audit import Event
from qfagent.management.groups import GroupMinimum, show_minimum
from qfagent.management.mesh import Mesh
from qfagent.management.network import ALL, Peer, groups_of
from qfagent.management.policies import ShownPolicy, show as show_policy
from qfagent.management.presence import HubLevels, PsrdLevel
from qfagent.management.reach import Reach, find_reach
from qfagent.management.setup_keys import ShownKey, show as show_key
from qfagent.management.view import RoleName, role_of
from qfagent.management.warnings import Warned, warnings
from qfagent.world import World

LONGEST_WAIT: Final = 30.0  # seconds
MOST_WARNINGS: Final = 200
MOST_EVENTS: Final = 50


class Line(msgspec.Struct, frozen=True):
    """A peer: what it is to be, what it runs as (empty: it has not said), and what it reports."""

    id: str
    name: str
    ip: str
    role: RoleName
    runs_as: str
    exempt: bool
    connected: bool
    last_seen: float
    groups: tuple[str, ...]
    reaches: int
    hub: HubLevels | None
    psrd: tuple[PsrdLevel, ...]


class Overview(msgspec.Struct, frozen=True):
    """`hub_names` gives the peer of a hub id; times are Unix seconds."""

    version: str
    now: float
    shares_required: int
    warnings: list[Warned]
    peers: list[Line]
    groups: list[GroupMinimum]
    policies: list[ShownPolicy]
    setup_keys: list[ShownKey]
    reach: Reach
    hub_names: dict[str, str]
    events: list[Event]


class Overviews:
    """The route for the dashboard."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world

    def routes(self) -> list[Route]:
        """The table."""
        query = ("known", "wait")
        return [Route("GET", "/api/overview", "observe", self._show, "everything at a glance", query, gives=Overview)]

    async def _show(self, asked: Asked) -> Overview:
        seconds = asked.seconds("wait", most=LONGEST_WAIT)
        await self._mesh.wait_stir(known=asked.query.get("known", ""), seconds=seconds)
        events = await self._mesh.events(most=MOST_EVENTS)
        atlas, now, version = self._mesh.atlas, self._world.wall(), self._mesh.version
        required, network = self._mesh.shares_required, atlas.network
        return Overview(
            version=version,
            now=now,
            shares_required=required,
            warnings=warnings(atlas, self._mesh.presence, shares_required=required, now=now)[:MOST_WARNINGS],
            peers=[self._line(peer, now) for peer in network.peers.values()],
            groups=[show_minimum(atlas, group_id) for group_id in network.groups],
            policies=[show_policy(atlas, policy) for policy in network.policies.values()],
            setup_keys=[show_key(key, now=now) for key in network.keys.values()],
            reach=find_reach(atlas),
            hub_names={peer.place.id: peer.name for peer in atlas.hubs if peer.place},
            events=[audit.show(event) for event in events],
        )

    def _line(self, peer: Peer, now: float) -> Line:
        atlas, sighting = self._mesh.atlas, self._mesh.presence.of(peer.id)
        report, names = sighting.report, atlas.network.groups
        return Line(
            id=peer.id,
            name=peer.name,
            ip=peer.address,
            role=role_of(peer),
            runs_as=report.role if report else "",
            exempt=peer.is_exempt,
            connected=sighting.is_connected(now),
            last_seen=sighting.seen_at,
            groups=tuple(sorted(names[group].name for group in groups_of(peer) - {ALL})),
            reaches=atlas.degree(peer),
            hub=report.hub if report else None,
            psrd=report.psrd if report else (),
        )
