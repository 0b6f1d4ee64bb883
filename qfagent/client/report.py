"""What a client tells local tools about itself; fields are added, never renamed."""

from collections import Counter
from typing import Final

import msgspec

from qfagent.client.hubs import Hub
from qfagent.client.role import Client
from qfagent.client.runway import Left, by_hub
from qfagent.store.holdings import IN_USE, Level

LOW_CODE: Final = "psrd-low"
LEAST: Final = 96  # bytes of a pad that one key may take


class HubReport(msgspec.Struct, frozen=True):
    """One hub. `state`: up, down, stopped, new, unregistered, or left: it serves the network no more.

    What is left is in bytes, how long it lasts in seconds.
    """

    id: str
    host: str
    port: int
    state: str
    reason: str
    latency_ms: float | None
    blocks: dict[str, int]
    user_left: int
    server_left: int
    lasts_s: float | None
    suspected_by: int
    user_fraction: float = 0.0
    server_fraction: float = 0.0


class BlockReport(msgspec.Struct, frozen=True):
    """One live block; sizes in bytes."""

    id: str
    state: str
    reason: str
    user_bytes: int
    user_left: int
    server_bytes: int
    server_left: int


class PsrdReport(msgspec.Struct, frozen=True):
    """What is left at one hub in bytes, how fast it is used in bytes a second, and how long it lasts in seconds.

    `low_in_s`: when less than `low_psrd` is left in one direction; None of a time if nothing is used.
    """

    hub: str
    user_left: int
    server_left: int
    user_fraction: float
    server_fraction: float
    user_per_s: float
    server_per_s: float
    lasts_s: float | None
    blocks: tuple[BlockReport, ...]
    user_lasts_s: float | None
    server_lasts_s: float | None
    low_in_s: float | None


class LedgerEntry(msgspec.Struct, frozen=True):
    """One block that was ever ingested; sizes in bytes."""

    block: str
    hub: str
    state: str
    reason: str
    user_bytes: int
    server_bytes: int
    spent: int


class ClientReport(msgspec.Struct, frozen=True):
    """A client's part of the status; `inbox_files` counts dropped files that wait, by why."""

    shares_required: int
    hubs_usable: int
    hubs: tuple[HubReport, ...]
    inbox: str
    inbox_files: dict[str, int]


async def report(client: Client, *, inbox: str) -> ClientReport:
    """The client's part of the status."""
    hubs = await report_hubs(client)
    usable = sum(hub.state == "up" for hub in hubs)
    return ClientReport(client.desk.settings().shares_required, usable, tuple(hubs), inbox, client.inbox.counts())


async def report_hubs(client: Client) -> list[HubReport]:
    """Every hub that is known."""
    return _report_hubs(client, await client.desk.committer.run(client.desk.holdings.levels))


def _report_hubs(client: Client, levels: list[Level]) -> list[HubReport]:
    left = by_hub(levels)
    hubs = sorted(client.known(), key=lambda hub: hub.id)
    return [_report_hub(client, hub, levels, left.get(hub.id, Left())) for hub in hubs]


async def report_psrd(client: Client) -> list[PsrdReport]:
    """What is left, by hub."""
    levels = await client.desk.committer.run(client.desk.holdings.levels)
    return [_report_psrd(client, hub, left, levels) for hub, left in sorted(by_hub(levels).items())]


async def report_ledger(client: Client) -> list[LedgerEntry]:
    """Every block that was ever ingested, oldest first."""
    history = await client.desk.committer.run(client.desk.holdings.history)
    return [
        LedgerEntry(block.id, block.hub, block.state, block.reason, block.user_bytes, block.server_bytes, block.spent)
        for block in history
    ]


async def issues(client: Client) -> dict[str, str]:
    """What an operator should see to, by code."""
    levels = await client.desk.committer.run(client.desk.holdings.levels)
    hubs, k = _report_hubs(client, levels), client.desk.settings().shares_required
    serving = {hub.id for hub in client.hubs()}
    left = {hub: of for hub, of in by_hub(levels).items() if hub in serving}
    empty = {hub for hub, of in left.items() if min(of.user, of.server) < LEAST}
    usable = [hub for hub in hubs if hub.state == "up" and hub.id not in empty]
    found = client.inbox.issues() | _psrd_issues(left, empty, k=k, low=client.desk.settings().low_psrd)
    if len(usable) < k:
        why = "; ".join(f"hub {hub.id[:8]}: {_why_not(hub, empty)}" for hub in hubs if hub not in usable)
        reason = f"{len(usable)} of the {k} hubs that a key needs can be used" + (f" ({why})" if why else "")
        found["hubs-unreachable"] = reason
    if any("interface" in hub.reason for hub in hubs if hub.state == "down" and hub.reason.startswith("the interface")):
        found["interface-down"] = next(hub.reason for hub in hubs if hub.reason.startswith("the interface"))
    in_use = {level.id for level in levels if level.reason == IN_USE}
    in_use.update(*(hub.vetting.in_use for hub in client.hubs()))
    if in_use:
        found["file-in-use"] = (
            f"somebody else seems to spend from {', '.join(sorted(in_use))}; `qfagent psrd retire`, or `resume`"
        )
    stopped = [hub.id for hub in hubs if hub.state == "stopped"]
    if stopped:
        code = "rolled-back" if client.desk.rolled_back or len(usable) < k else "hub-stopped"
        found[code] = f"hubs {', '.join(stopped)} say that this machine was rolled back; nothing goes to them"
    return found


def _psrd_issues(left: dict[str, Left], empty: set[str], *, k: int, low: float) -> dict[str, str]:
    """Hubs with little PSRD; exhausted is it where no key can be made any more."""
    found = {}
    scarce = sorted(hub for hub, of in left.items() if min(of.fractions) < low or hub in empty)
    if scarce:
        found[LOW_CODE] = f"little PSRD is left with {_names(scarce)}"
    if empty and len(left) - len(empty) < k:
        found["psrd-exhausted"] = f"no PSRD is left with {_names(sorted(empty))}"
    return found


def _why_not(hub: HubReport, empty: set[str]) -> str:
    return "no PSRD left" if hub.state == "up" and hub.id in empty else f"{hub.state} {hub.reason}".rstrip()


def _report_hub(client: Client, hub: Hub, levels: list[Level], left: Left) -> HubReport:
    standing = hub.standing
    states = Counter(level.state for level in levels if level.hub == hub.id)
    state, reason = _state(hub, ready=states["ready"] > 0)
    if not client.desk.neighbourhood().serves(hub.address):
        state, reason = "left", "the management server does not list it as a hub"
    return HubReport(
        hub.id,
        hub.address.host,
        hub.address.port,
        state,
        reason,
        None if standing.latency is None else round(standing.latency * 1000, 3),
        dict(states),
        left.user,
        left.server,
        client.gauge.runway.lasts(hub.id, left),
        len(client.recoverer.suspects.get(hub.id, ())),
        *left.fractions,
    )


def _state(hub: Hub, *, ready: bool) -> tuple[str, str]:
    standing = hub.standing
    if standing.stop is not None:
        return "stopped", f"it has seen more of block {standing.stop.block} than was spent here"
    if standing.down is not None:
        return "down", str(standing.down)
    if not ready:
        return "unregistered", "" if hub.trouble is None else str(hub.trouble)
    if standing.doubt is not None:
        return "down", f"something answers there, and has proven nothing since: {standing.doubt}"
    return ("up", "") if standing.reachable else ("new", "not heard of yet")


def _report_psrd(client: Client, hub: str, left: Left, levels: list[Level]) -> PsrdReport:
    blocks = tuple(
        BlockReport(b.id, b.state, b.reason, b.user_bytes, b.user_left, b.server_bytes, b.server_left)
        for b in levels
        if b.hub == hub
    )
    runway, (user_fraction, server_fraction) = client.gauge.runway, left.fractions
    (user_rate, server_rate), (user_lasts, server_lasts) = runway.rates(hub), runway.each_lasts(hub, left)
    return PsrdReport(
        hub,
        left.user,
        left.server,
        user_fraction,
        server_fraction,
        user_rate,
        server_rate,
        runway.lasts(hub, left),
        blocks,
        user_lasts,
        server_lasts,
        runway.low_in(hub, left, low=client.desk.settings().low_psrd),
    )


def _names(hubs: list[str]) -> str:
    return ", ".join(f"hub {hub}" for hub in hubs)
