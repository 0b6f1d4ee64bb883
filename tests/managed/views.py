"""Views as a server tells them, in JSON and understood."""

import msgspec

from qfagent.managed.link import understood
from qfagent.managed.view import Told, follow

HUB = "a" * 32
OTHER_HUB = "b" * 32
URL = "http://127.0.0.1:33073"


def peer(name, address="100.64.0.9", *, exempt=False):
    return {"id": f"id-{name}", "name": name, "address": address, "exempt": exempt}


def told(*peers, version="v1", since="", gone=(), **more):
    """What a server tells alice."""
    return {
        "version": version,
        "since": since,
        "peer": {**peer("alice", "100.64.0.7"), "role": "client"},
        "shares_required": 2,
        "hubs": [{"id": HUB, "name": "h1", "address": "100.64.0.1:27277"}],
        "peers": list(peers) or [peer("bob"), peer("h1", "100.64.0.1", exempt=True)],
        "gone": list(gone),
        **more,
    }


def view(*peers, known=None, **more):
    return follow(known, understood(Told, msgspec.json.encode(told(*peers, **more))))
