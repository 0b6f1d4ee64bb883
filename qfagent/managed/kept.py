"""What a managed peer keeps on disk of its server: the view, so that it goes on without it, and its badge.

* Each is a file of its own in the private folder, replaced whole, for its owner only. One that can't be understood, or
  that came from another server or for another name, is as good as none.
* The badge holds a token, and no log and no answer of this agent does.
"""

from contextlib import closing
from hashlib import sha256
from typing import TypeVar

import msgspec

from qfagent.managed.view import View
from qfagent.store.database import disk_faults
from qfagent.store.disk import Disk, write_atomic

T = TypeVar("T", bound=msgspec.Struct)


class KeptView(msgspec.Struct, frozen=True):
    """A view, and the server that it came from."""

    url: str
    view: View


class Badge(msgspec.Struct, frozen=True):
    """Who this peer is at the server, and the token that says so; `setup_key` is the digest of the key it came with."""

    url: str
    name: str
    id: str
    token: str
    setup_key: str

    def __repr__(self) -> str:
        return f"<Badge {self.id} at {self.url}>"


class Keeper:
    """The two files, for the peer of this name at one server; synchronous, raises StoreError."""

    def __init__(self, disk: Disk, folder: str, *, url: str, name: str) -> None:
        self._disk, self.url, self.name = disk, url, name
        self._view, self._badge = f"{folder}/view.json", f"{folder}/management-badge.json"

    def view(self) -> View | None:
        """The view of this server that was kept last."""
        kept = self._read(self._view, KeptView)
        if kept is None or (kept.url, kept.view.peer.name) != (self.url, self.name):
            return None
        return kept.view

    def keep_view(self, view: View) -> None:
        """Keeps a view, durably."""
        self._write(self._view, KeptView(self.url, view))

    def badge(self) -> Badge | None:
        """The badge for this server."""
        kept = self._read(self._badge, Badge)
        return kept if kept is not None and (kept.url, kept.name) == (self.url, self.name) else None

    def keep_badge(self, badge: Badge) -> None:
        """Keeps a badge, durably."""
        self._write(self._badge, badge)

    def _read(self, path: str, kind: type[T]) -> T | None:
        with disk_faults("reading what the management server said"):
            if not self._disk.exists(path):
                return None
            with closing(self._disk.open(path, write=False)) as file:
                data = file.read_at(0, file.size())
        try:
            return msgspec.json.decode(data, type=kind)
        except (ValueError, RecursionError):
            return None

    def _write(self, path: str, value: msgspec.Struct) -> None:
        with disk_faults("keeping what the management server said"):
            write_atomic(self._disk, path, msgspec.json.encode(value))


def digest(setup_key: str) -> str:
    """Tells one setup key from another; a setup key has 122 random bits, so this gives nothing away."""
    return sha256(setup_key.encode()).hexdigest()
