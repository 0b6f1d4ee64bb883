"""The dashboard is one frame of `qfagent top`: what the agent has said goes in, lines of a terminal come out.

* What needs attention stands on top; what does not fit below is cut, and said to be.
* 80 columns are enough, and a wider terminal gets longer bars. A pure function of what it is given.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from qfagent.cli import client_view, server_view
from qfagent.cli.paint import Paint
from qfagent.cli.text import WIDTH, duration, wrapped

BAR: Final = 14  # columns of a bar, where there are 80
_MOST_ISSUES: Final = 4

Json = dict[str, Any]


class Snapshot:
    """What an agent has said at one moment; `psrd` and `peers` of a client, `clients` of a hub."""

    def __init__(self, at: float, status: Json, **more: list[Json]) -> None:
        self.at, self.status = at, status
        self.psrd, self.peers, self.clients = (more.get(name, []) for name in ("psrd", "peers", "clients"))


def frame(seen: Snapshot, paint: Paint, *, width: int = WIDTH, height: int = 0) -> list[str]:
    """The lines; at most `height`, if it is not 0."""
    status, at, bar = seen.status, seen.at, BAR + width - WIDTH
    lines = [*_head(seen, paint, width), *_attention(status["issues"], paint, width)]
    if status["client"] is not None:
        lines += client_view.hubs(status["client"]["hubs"], seen.psrd, paint, at=at, bar=bar)
        lines += client_view.keys(seen.peers, paint)
    if status["hub"] is not None:
        lines += server_view.hub(status["hub"], paint, bar=bar)
        lines += server_view.clients(seen.clients, paint, at=at, bar=bar // 2 + 3)
    if status["management"] is not None:
        lines += server_view.management(status["management"], paint, bar=bar)
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


def without_agent(error: str, paint: Paint) -> Iterable[str]:
    """What is shown while nobody answers."""
    return [paint.ink("red", f"{paint.sign('bad')} {line.strip()}") for line in wrapped(error)]
