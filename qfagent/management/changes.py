"""A change is one thing that an edit made, altered or removed; what is kept and what is audited follow from these.

* They are found by comparing the network before with the one after, so no edit can forget to mention one.
* What an auditor is shown has no secrets in it, and none of their hashes.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from qfagent.management.network import SHELVES, Group, Network, Peer, Policy, SetupKey, Thing

HIDDEN: Final = frozenset({"token", "hash"})
USE: Final = frozenset({"used_times", "last_used", "token"})  # the enrolment says so, and may be asked for again


class Change(msgspec.Struct, frozen=True):
    """One thing before and after; None where it is not."""

    before: Thing | None
    after: Thing | None

    @property
    def thing(self) -> Thing:
        """The thing as it is, or as it last was."""
        thing = self.after or self.before
        assert thing is not None, "something has changed"
        return thing

    @property
    def fields(self) -> frozenset[str]:
        """The names of what differs."""
        before, after = (self.before, self.after) if self.before and self.after else (self.thing, None)
        return frozenset(
            name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name, None)
        )


class Told(msgspec.Struct, frozen=True):
    """A change as an auditor sees it: what happened to what, and what differs, as JSON."""

    code: str
    activity: str
    target: str
    name: str
    before: str
    after: str


def find_changes(before: Network, after: Network) -> Iterator[Change]:
    """Every thing that is not the same in both."""
    for shelf in SHELVES.values():
        old, new = getattr(before, shelf), getattr(after, shelf)
        if old is new:
            continue
        yield from (Change(thing, None) for id_, thing in old.items() if id_ not in new)
        yield from (Change(old.get(id_), thing) for id_, thing in new.items() if old.get(id_) != thing)


def tell(change: Change) -> Told | None:
    """The change for an auditor; None if it is told elsewhere."""
    differing = change.fields
    if change.before and change.after and differing <= USE:
        return None
    code, activity = _activity(change, differing)
    shown = sorted(differing - HIDDEN)
    thing = change.thing
    return Told(code, activity, thing.id, thing.name, _show(change.before, shown), _show(change.after, shown))


_MADE: Final = {
    Peer: ("peer.setupkey.add", "peer enrolled"),
    Group: ("group.add", "group created"),
    Policy: ("policy.add", "policy created"),
    SetupKey: ("setupkey.add", "setup key created"),
}
_REMOVED: Final = {
    Peer: ("user.peer.delete", "peer removed"),
    Group: ("group.delete", "group removed"),
    Policy: ("policy.delete", "policy removed"),
    SetupKey: ("setupkey.delete", "setup key removed"),
}
_ALTERED: Final = {
    Peer: ("peer.update", "peer changed"),
    Group: ("group.update", "group changed"),
    Policy: ("policy.update", "policy changed"),
    SetupKey: ("setupkey.update", "setup key changed"),
}


def _activity(change: Change, differing: frozenset[str]) -> tuple[str, str]:
    kind = type(change.thing)
    if change.before is None:
        return _MADE[kind]
    if change.after is None:
        return _REMOVED[kind]
    if isinstance(change.after, Peer) and isinstance(change.before, Peer):
        return _peer_activity(change.before, change.after)
    return ("setupkey.revoke", "setup key revoked") if "revoked" in differing else _ALTERED[kind]


def _peer_activity(before: Peer, after: Peer) -> tuple[str, str]:
    if after.is_hub != before.is_hub:
        return ("peer.hub.enable", "peer made a hub") if after.is_hub else ("peer.hub.disable", "peer no hub any more")
    if after.name != before.name:
        return "peer.rename", "peer renamed"
    if after.address != before.address:
        return "peer.ip.update", "peer address changed"
    if after.groups > before.groups:
        return "peer.group.add", "peer added to group"
    if after.groups < before.groups:
        return "peer.group.delete", "peer removed from group"
    return _ALTERED[Peer]


def _show(thing: Thing | None, names: list[str]) -> str:
    if thing is None:
        return ""
    shown: dict[str, Any] = {name: getattr(thing, name) for name in names}
    return msgspec.json.encode(shown, order="deterministic").decode()
