"""An amendment is what a running agent takes over from a new configuration; all else needs a restart."""

from typing import Any, Final

import msgspec

from qfagent.config import Config, Section

# what can be changed while the agent runs
LIVE: Final = (
    "control.admin_group",  # not `control.group`: the socket belongs to that from the start
    "hub.share_ttl",
    "hub.binding",
    "hub.provisioner.pool_size",
    "hub.provisioner.interval",
    "hub.provisioner.user_bytes",
    "hub.provisioner.server_bytes",
    "hub.provisioner.max_handed_out",
    "client.shares_required",
    "client.hubs",
    "client.hub_timeout",
    "client.low_psrd",
    "client.scan_interval",
    "management.public_url",
    "management.networks",
    "management.shares_required",
    "log.level",
)


def changes(old: Config, new: Config) -> list[str]:
    """The paths of the keys whose values differ."""
    after = _flat(new)
    return [path for path, value in _flat(old).items() if after[path] != value]


def amend(old: Config, new: Config) -> Config:
    """The old configuration with what can be changed while running from the new one."""
    amended: Config = _amend(old, new, "")
    return amended


def _amend(old: Any, new: Any, prefix: str) -> Any:
    taken = {}
    for name in old.__struct_fields__:
        path, before, after = f"{prefix}{name}", getattr(old, name), getattr(new, name)
        if isinstance(before, Section):
            taken[name] = _amend(before, after, f"{path}.")
        elif path in LIVE:
            taken[name] = after
    return msgspec.structs.replace(old, **taken)


def _flat(section: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name in section.__struct_fields__:
        value = getattr(section, name)
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Section) else {f"{prefix}{name}": value}
    return flat
