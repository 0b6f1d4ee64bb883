"""A client's part of the dashboard: its hubs with what is left at each, and the keys it has made.

* A bar is red when the next file is due, yellow a week before.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from qfagent.cli.paint import Paint
from qfagent.cli.text import WIDTH, duration, size

SOON: Final = 7 * 86_400  # seconds, within which the next file should be carried
_COLORS: Final = {"up": "green", "new": "yellow", "unregistered": "yellow"}

Json = dict[str, Any]


def hubs(known: Iterable[Json], psrd: Iterable[Json], paint: Paint, *, at: float, bar: int) -> Iterator[str]:
    """Every hub: how it is reached, what is left and how long that lasts, when to carry the next file."""
    yield ""
    yield paint.ink("dim", f"{'HUB':27}{'PSRD LEFT':{bar + 21}}{'LASTS':>7}  NEXT FILE")
    levels = {of["hub"]: of for of in psrd}
    for hub in known:
        yield from _one_hub(hub, levels.get(hub["id"]), paint, at=at, bar=bar)
        if hub["reason"]:
            yield "  " + paint.ink("red", paint.clip(hub["reason"], WIDTH - 2))


def keys(peers: list[Json], paint: Paint) -> Iterator[str]:
    """How many were made with whom, those of the latest use first."""
    yield ""
    yield paint.ink("dim", f"{'KEYS WITH':40}{'ESTABLISHED':>13}{'RECOVERED':>13}")
    for peer in reversed(peers):
        yield f"{paint.clip(peer['peer'], 39):40}{peer['established']:>13}{peer['recovered']:>13}"
    if not peers:
        yield "none since the start"


def _one_hub(hub: Json, psrd: Json | None, paint: Paint, *, at: float, bar: int) -> Iterator[str]:
    address = paint.clip(f"{hub['host']}:{hub['port']}", 25)
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
