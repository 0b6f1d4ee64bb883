"""An audit event of the API: what was changed, by whom, and what it was before."""

from datetime import UTC, datetime

import msgspec

from qfagent.management.archive import AuditEvent


class Event(msgspec.Struct, frozen=True):
    """One change, in the shape of the API; `meta` has `name`, and `before` and `after` as JSON texts."""

    id: str
    timestamp: datetime
    activity: str
    activity_code: str
    initiator_id: str
    initiator_name: str
    initiator_email: str
    target_id: str
    meta: dict[str, str]


def show(event: AuditEvent) -> Event:
    """The event."""
    told = event.told
    return Event(
        id=str(event.id),
        timestamp=datetime.fromtimestamp(event.at, UTC),
        activity=told.activity,
        activity_code=told.code,
        initiator_id=event.who,
        initiator_name=event.who,
        initiator_email="",
        target_id=told.target,
        meta={"name": told.name, "before": told.before, "after": told.after},
    )
