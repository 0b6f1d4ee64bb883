"""A server's part of the dashboard: a hub's pool and clients, or the peers of a management server."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from qfagent.cli.paint import Paint
from qfagent.cli.text import duration, size

_FEW: Final = 0.2  # of a client's pad, at a hub that knows no limit of its clients'

Json = dict[str, Any]


def hub(report: Json, paint: Paint, *, bar: int) -> Iterator[str]:
    """What a hub has to give out, and what it keeps."""
    pool, ready = report["pool"], len(report["pool"]["files"])
    drawn = paint.ink("green" if ready >= pool["target"] else "yellow", paint.bar(ready / max(1, pool["target"]), bar))
    yield ""
    yield f"{'POOL':8}{drawn} {ready} of {pool['target']} files ready, {pool['handed_out']} with somebody unknown"
    yield f"{'SHARES':8}{report['shares']} wait for their recoverers"
    yield f"{'CLIENTS':8}{report['clients'].get('bound', 0)} bound, {report['clients'].get('unbound', 0)} unbound"


def clients(listed: Iterable[Json], paint: Paint, *, at: float, bar: int) -> Iterator[str]:
    """The peers that have come to a hub; who needs a file first stands first."""
    yield ""
    yield paint.ink("dim", f"{'CLIENT':21}{'USER PAD LEFT':{bar + 16}}{'SERVER PAD LEFT':{bar + 16}}SEEN")
    for client in sorted((client for client in listed if client["peer"]), key=_least):
        seen = "-" if client["last_seen"] is None else duration(max(0.0, at - client["last_seen"]))
        pads = "  ".join(_pad(client, direction, paint, bar) for direction in ("user", "server"))
        yield f"{paint.clip(client['peer'], 20):20} {pads}  {seen}"


def management(report: Json, paint: Paint, *, bar: int) -> Iterator[str]:
    """The mesh in numbers."""
    drawn = paint.ink("green", paint.bar(report["connected"] / max(1, report["peers"]), bar))
    yield ""
    yield f"{'PEERS':10}{drawn} {report['connected']} of {report['peers']} connected"
    yield f"{'HUBS':10}{report['hubs']}, a key needs {report['shares_required']}"
    yield f"{'RULES':10}{report['groups']} groups, {report['policies']} policies, {report['keys']} setup keys"
    yield f"{'DASHBOARD':10}{paint.clip(report['url'], 70)}"


def _pad(client: Json, direction: str, paint: Paint, bar: int) -> str:
    fraction = _fraction(client, direction)
    drawn = paint.ink("red" if fraction < _FEW else "green", paint.bar(fraction, bar))
    return f"{drawn} {fraction:4.0%} {size(client[f'{direction}_left']):>8}"


def _fraction(client: Json, direction: str) -> float:
    return float(max(0, client[f"{direction}_left"]) / max(1, client[f"{direction}_bytes"]))


def _least(client: Json) -> float:
    return min(_fraction(client, "user"), _fraction(client, "server"))
