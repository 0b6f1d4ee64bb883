"""What agents ask of the server: to be let in, what they should know, and to take down how they are.

* A peer speaks for itself only: nothing in its requests names another.
* Nothing that it says changes what it, or anybody, may do; a hub's word on where it is found is the one thing that
  others are told. It is told, kept and audited once a minute at most: what a hub says meanwhile it will say again.
* A whole view is large, and stays in memory until it is read: who asks for one again and again waits ever longer.
"""

from typing import Final

import msgspec
import trio

from qfagent.errors import NotFound, NotKnown, NotPermitted
from qfagent.http.message import Response
from qfagent.http.routes import Route
from qfagent.management import peers, setup_keys, tokens
from qfagent.management.asked import Asked
from qfagent.management.enrolment import EnrolmentRequest, Newcomer, enrol, find_name
from qfagent.management.mesh import Mesh
from qfagent.management.network import Network, Peer
from qfagent.management.presence import UNSEEN, Report
from qfagent.management.view import View
from qfagent.world import World

LONGEST_WAIT: Final = 60.0  # seconds
WHOLES_AT_ONCE: Final = 8  # views that one peer may have whole, instead of as a difference
WHOLE_EVERY: Final = 10.0  # seconds until one more
SETTLES_EVERY: Final = 59.0  # seconds; a report comes every minute
_SMALL, _LARGE = 8_192, 65_536  # bytes of a body


class Enrolled(msgspec.Struct, frozen=True):
    """Who the peer is from now on, and the token by which it is known; nobody is told that again."""

    id: str
    name: str
    token: str


class Agents:
    """The routes for agents."""

    def __init__(self, mesh: Mesh, world: World) -> None:
        self._mesh, self._world = mesh, world
        self._whole_due: dict[str, float] = {}  # by peer, when the next one is due (clock of trio)
        self._settled: dict[str, float] = {}  # peers that have said lately where they are found (clock of trio)

    def routes(self) -> list[Route]:
        """The table."""
        takes, gives = EnrolmentRequest, Enrolled
        enrol, view, report = "/agent/v1/enrol", "/agent/v1/view", "/agent/v1/report"
        return [
            Route("POST", enrol, "anybody", self._enrol, "become a peer", takes=takes, gives=gives, most=_SMALL),
            Route(
                "GET", view, "peer", self._view, "the own view, when it is news", query=("known", "wait"), gives=View
            ),
            Route("PUT", report, "peer", self._report, "tell how one is", takes=Report, most=_LARGE),
        ]

    async def _enrol(self, asked: Asked) -> Enrolled:
        request, token = asked.body(EnrolmentRequest), tokens.new_peer_token(self._world.random)
        digest, now = tokens.hashed(token), self._world.wall()
        newcomer = Newcomer(tokens.new_id(self._world.random), digest, asked.address, now)

        def edit(network: Network) -> Network:
            return enrol(network, request, newcomer, unused=self._is_unused(network, request.name))

        key = setup_keys.find_secret(self._mesh.atlas.network, request.setup_key)
        atlas = await self._mesh.edit(f"setup key {key.name}" if key else "nobody", edit)
        peer = atlas.bearer(digest)
        assert peer is not None, "whoever is let in is a peer"
        return Enrolled(peer.id, peer.name, token)

    async def _view(self, asked: Asked) -> Response:
        seconds = asked.seconds("wait", most=LONGEST_WAIT)
        self._mesh.hear(asked.peer, address=asked.address)
        known = asked.query.get("known", "")
        if not self._mesh.remembers(known):
            await self._wait_for_whole(asked.peer)
        view = await self._mesh.wait_view(asked.peer, known=known, seconds=seconds)
        return Response(204) if view is None else Response(200, msgspec.json.encode(view))

    async def _wait_for_whole(self, peer: Peer) -> None:
        earliest = trio.current_time() - (WHOLES_AT_ONCE - 1) * WHOLE_EVERY
        due = max(earliest, self._whole_due.get(peer.id, earliest))
        self._whole_due[peer.id] = due + WHOLE_EVERY
        await trio.sleep_until(due)

    async def _report(self, asked: Asked) -> Response:
        report = asked.body(Report)
        self._check_name(asked.peer, report.name)
        if self._is_news(asked.peer, report):
            await self._settle(asked.peer, report)
        self._mesh.hear(asked.peer, address=asked.address, report=report)
        return Response(204)

    async def _settle(self, peer: Peer, report: Report) -> None:
        try:
            await self._mesh.edit(f"peer {peer.name}", lambda network: peers.settle(network, peer.id, report))
        except NotFound as error:
            raise NotKnown("this peer was removed") from error
        self._settled[peer.id] = trio.current_time()

    def _is_news(self, peer: Peer, report: Report) -> bool:
        """Whether the report says that a hub is found elsewhere, and that may be told by now."""
        since = trio.current_time() - SETTLES_EVERY
        self._settled = {peer_id: at for peer_id, at in self._settled.items() if at > since}
        return peers.place(peer, report) != peer.place and peer.id not in self._settled

    def _check_name(self, peer: Peer, name: str) -> None:
        if name != peer.name and find_name(self._mesh.atlas.network, name) is not None:
            raise NotPermitted(f"name: {name!r} is another peer")

    def _is_unused(self, network: Network, name: str) -> bool:
        known = find_name(network, name)
        return known is not None and self._mesh.presence.of(known.id) == UNSEEN
