"""Membership is what a managed agent says of its server in its status."""

import msgspec


class Membership(msgspec.Struct, frozen=True):
    """The server, and what it has said. `heard_at` in Unix seconds; `trouble` is empty while all is well."""

    url: str
    id: str
    address: str
    version: str
    heard_at: float | None
    trouble: str
    hubs: int
    peers: int
