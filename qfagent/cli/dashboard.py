"""The dashboard is one frame of `qfagent top`: what the agent has said goes in, lines of a terminal come out.

* What needs attention stands on top; what does not fit below is cut, and said to be.
* 80 columns are enough, and a wider terminal gets longer bars. A pure function of what it is given.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from qfagent.cli.paint import Paint
from qfagent.cli.text import WIDTH, duration, printable, size, wrapped

BAR: Final = 14
SOON: Final = 7 * 86_400  # seconds, within which the next file should be carried
_MOST_ISSUES: Final = 4
_FEW: Final = 0.2  # of a client's pad, at a hub that knows no limit of its clients'
_COLORS: Final = {"up": "green", "new": "yellow", "unregistered": "yellow"}

Json = dict[str, Any]


class Snapshot:
    """What an agent has said at one moment; `psrd` and `peers` of a client, `clients` of a hub."""

    def __init__(self, at: float, status: Json, **more: list[Json]) -> None:
        self.at, self.status = at, status
        self.psrd, self.peers, self.clients = (more.get(name, []) for name in ("psrd", "peers", "clients"))


def frame(seen: Snapshot, paint: Paint, *, width: int = WIDTH, height: int = 0) -> list[str]:
    """The lines; at most `height`, if it is not 0."""
    lines = [*_head(seen, paint, width), *_attention(seen.status["issues"], paint, width)]
    if seen.status["client"] is not None:
        lines += _client(seen, paint, width)
    if seen.status["hub"] is not None:
        lines += _hub(seen, paint, width)
    if seen.status["management"] is not None:
        lines += _management(seen.status["management"], paint, width)
    if height and len(lines) > height:
        more = f"{paint.sign('more')} {len(lines) - height + 1} lines more: make the window higher"
        lines[height - 1 :] = [paint.ink("dim", more)]
    return lines


def _head(seen: Snapshot, paint: Paint, width: int) -> Iterator[str]:
    status = seen.status
    what = f"{status['name']}, {status['role']}, version {status['version']}, up {duration(status['uptime_s'])}"
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seen.at))
    yield paint.ink("bold", what[: width - len(clock) - 2].ljust(width - len(clock))) + clock
    sign, color, word = ("good", "green", "ready") if status["ready"] else ("bad", "red", "not ready")
    facts = "   ".join(fact for fact in (_network(status["interface"]), *_facts(status)) if fact)
    yield f"{paint.ink(color, f'{paint.sign(sign)} {word}')}   {facts[: width - len(word) - 5]}"


def _network(interface: Json) -> str:
    if not interface["name"]:
        return ""
    return f"{interface['name']} {interface['address'] if interface['up'] else 'down'}"


def _facts(status: Json) -> Iterator[str]:
    if (client := status["client"]) is not None:
        yield f"{client['hubs_usable']} of {len(client['hubs'])} hubs usable, a key needs {client['shares_required']}"
        yield _inbox(client["inbox_files"])
    if (server := status["hub"] or status["management"]) is not None:
        yield f"listens on {server['listen'] or 'nothing'}"


def _inbox(files: dict[str, int]) -> str:
    waiting = ", ".join(f"{count} {why}" for why, count in files.items() if count)
    return f"inbox: {waiting}" if waiting else ""


def _attention(issues: list[Json], paint: Paint, width: int) -> Iterator[str]:
    """Faults first, each with what helps."""
    ordered = sorted(issues, key=lambda issue: not issue["blocking"])
    for issue in ordered[:_MOST_ISSUES]:
        color = "red" if issue["blocking"] else "yellow"
        yield ""
        yield paint.ink(color, f"{'FAULT' if issue['blocking'] else 'WARNING'} {issue['code']}")
        yield from _cut(issue["detail"], 2, width, paint)
        first, *rest = _cut(issue["remedy"], 2, width - 2, paint)
        yield f"  {paint.sign('remedy')} {first.strip()}"
        yield from (f"  {line}" for line in rest)
    if len(ordered) > _MOST_ISSUES:
        yield paint.ink("dim", f"{len(ordered) - _MOST_ISSUES} more, see `qfagent status`")


def _cut(text: str, most: int, width: int, paint: Paint) -> list[str]:
    lines = wrapped(text, indent=2, width=width)
    if len(lines) > most:
        lines[most - 1 :] = [lines[most - 1][: width - 2] + f" {paint.sign('more')}"]
    return [line[:width] for line in lines]


# --- a client


def _client(seen: Snapshot, paint: Paint, width: int) -> Iterator[str]:
    bar = BAR + width - WIDTH
    yield ""
    yield paint.ink("dim", f"{'HUB':27}{'PSRD LEFT':{bar + 21}}{'LASTS':>7}  NEXT FILE")
    psrd = {of["hub"]: of for of in seen.psrd}
    for hub in seen.status["client"]["hubs"]:
        yield from _one_hub(hub, psrd.get(hub["id"]), seen.at, paint, bar)
        if hub["reason"]:
            yield "  " + paint.ink("red", _clipped(hub["reason"], width - 2, paint))
    yield from _keys(seen.peers, paint)


def _one_hub(hub: Json, psrd: Json | None, at: float, paint: Paint, bar: int) -> Iterator[str]:
    address = _clipped(f"{hub['host']}:{hub['port']}", 25, paint)
    if psrd is None:
        yield f"{_state(hub, paint)} no PSRD is left, or none came yet"
        yield paint.ink("dim", address)
        return
    user, server = (_level(psrd, direction, paint, bar) for direction in ("user", "server"))
    yield f"{_state(hub, paint)} {user}  {_carry(psrd['low_in_s'], at, paint)}"
    yield f"{paint.ink('dim', address.ljust(26))} {server}".rstrip()


def _state(hub: Json, paint: Paint) -> str:
    """In 26 columns; how quickly a hub answers matters only while it does."""
    state, latency = hub["state"], hub["latency_ms"]
    shown = f"{latency:.1f} ms" if state == "up" and latency is not None else ""
    return f"{hub['id'][:8]}  {paint.ink(_COLORS.get(state, 'red'), state)}{shown:>{16 - len(state)}}"


def _level(psrd: Json, direction: str, paint: Paint, bar: int) -> str:
    fraction, left, lasts = (psrd[f"{direction}_{what}"] for what in ("fraction", "left", "lasts_s"))
    color = "red" if psrd["low_in_s"] == 0 else "yellow" if (psrd["low_in_s"] or SOON) < SOON else "green"
    drawn = paint.ink(color, paint.bar(fraction, bar))
    return f"{direction:6} {drawn} {fraction:4.0%} {size(left):>9}{duration(lasts):>8}"


def _carry(low_in: float | None, at: float, paint: Paint) -> str:
    """When the next file should be there."""
    if low_in is None:
        return "-"
    if low_in == 0:
        return paint.ink("red", "now")
    when = time.localtime(at + low_in)
    text = time.strftime("%H:%M" if low_in < 86_400 else "%d %b" if low_in < 300 * 86_400 else "%b %Y", when)
    return paint.ink("yellow", text) if low_in < SOON else text


def _keys(peers: list[Json], paint: Paint) -> Iterator[str]:
    """Those of the latest use first."""
    yield ""
    yield paint.ink("dim", f"{'KEYS WITH':40}{'ESTABLISHED':>13}{'RECOVERED':>13}")
    for peer in reversed(peers):
        yield f"{_clipped(peer['peer'], 39, paint):40}{peer['established']:>13}{peer['recovered']:>13}"
    if not peers:
        yield "none since the start"


# --- a hub


def _hub(seen: Snapshot, paint: Paint, width: int) -> Iterator[str]:
    hub, bar = seen.status["hub"], (BAR + width - WIDTH) // 2 + 3
    pool, wanted = hub["pool"], max(1, hub["pool"]["target"])
    ready = len(pool["files"])
    drawn = paint.ink("green" if ready >= pool["target"] else "yellow", paint.bar(ready / wanted, bar))
    yield ""
    yield f"{'POOL':8}{drawn} {ready} of {pool['target']} files ready, {pool['handed_out']} with somebody unknown"
    yield f"{'SHARES':8}{hub['shares']} wait for their recoverers"
    yield f"{'CLIENTS':8}{hub['clients'].get('bound', 0)} bound, {hub['clients'].get('unbound', 0)} unbound"
    yield ""
    yield paint.ink("dim", f"{'CLIENT':21}{'USER PAD LEFT':{bar + 16}}{'SERVER PAD LEFT':{bar + 16}}SEEN")
    for client in sorted((client for client in seen.clients if client["peer"]), key=_least):
        yield _one_client(client, seen.at, paint, bar)


def _one_client(client: Json, at: float, paint: Paint, bar: int) -> str:
    seen = "-" if client["last_seen"] is None else duration(max(0.0, at - client["last_seen"]))
    pads = "  ".join(_pad(client, direction, paint, bar) for direction in ("user", "server"))
    return f"{_clipped(client['peer'], 20, paint):20} {pads}  {seen}"


def _pad(client: Json, direction: str, paint: Paint, bar: int) -> str:
    fraction = _fraction(client, direction)
    drawn = paint.ink("red" if fraction < _FEW else "green", paint.bar(fraction, bar))
    return f"{drawn} {fraction:4.0%} {size(client[f'{direction}_left']):>8}"


def _fraction(client: Json, direction: str) -> float:
    return float(max(0, client[f"{direction}_left"]) / max(1, client[f"{direction}_bytes"]))


def _least(client: Json) -> float:
    """By what is left: who needs a file first stands first."""
    return min(_fraction(client, "user"), _fraction(client, "server"))


# --- a management server


def _management(server: Json, paint: Paint, width: int) -> Iterator[str]:
    drawn = paint.ink("green", paint.bar(server["connected"] / max(1, server["peers"]), BAR + width - WIDTH))
    yield ""
    yield f"{'PEERS':10}{drawn} {server['connected']} of {server['peers']} connected"
    yield f"{'HUBS':10}{server['hubs']}, a key needs {server['shares_required']}"
    yield f"{'RULES':10}{server['groups']} groups, {server['policies']} policies, {server['keys']} setup keys"
    yield f"{'DASHBOARD':10}{_clipped(server['url'], width - 10, paint)}"


def _clipped(text: str, most: int, paint: Paint) -> str:
    clean = printable(text)
    return clean if len(clean) <= most else clean[: most - 1] + paint.sign("more")


def without_agent(error: str, paint: Paint) -> Iterable[str]:
    """What is shown while nobody answers."""
    return [paint.ink("red", f"{paint.sign('bad')} {line.strip()}") for line in wrapped(error)]
