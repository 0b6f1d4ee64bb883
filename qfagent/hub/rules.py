"""The rules of one hub: what it is called, who may claim a name, how long it keeps a share."""

from collections.abc import Callable

import msgspec

from qfagent.config import Binding
from qfagent.events import Note

IsAt = Callable[[str, str], bool]


class Rules(msgspec.Struct, frozen=True):
    """`share_ttl` in seconds; `now` gives Unix seconds; `note` takes events of the transaction that is under way.

    `is_at` says whether a peer is known to call from an address.
    """

    hub_id: str
    binding: Binding
    share_ttl: int
    now: Callable[[], int]
    note: Note
    is_at: IsAt
