"""A fence is a durable stop: while it stands, no one-time material is spent, and status is still answered.

* It stands in a file of its own, since it must be put up when the database can't be written.
* Only an operator takes it down.
"""

import msgspec

from qfagent.dske import strict_json
from qfagent.errors import StoreFenced
from qfagent.store.database import disk_faults
from qfagent.store.disk import Disk, write_atomic


class Reason(msgspec.Struct, frozen=True):
    """Why a fence stands: a stable `code`, Unix seconds, what was seen, and what to do."""

    code: str
    at: int
    evidence: str
    remedy: str


class Fence:
    """The fence of one state folder."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk, self._path = disk, path
        self.reason = self._written = self._read()

    def check(self) -> None:
        """StoreFenced while the fence stands."""
        if self.reason is not None:
            raise StoreFenced(f"the store is fenced: {self.reason.code}", remedy=self.reason.remedy)

    def put_up(self, reason: Reason) -> None:
        """Stops all spending, durably where the disk lets it; the first reason stays. StoreError."""
        self.reason = self.reason or reason
        self.make_durable()

    def make_durable(self) -> None:
        """Writes a fence that stands, unless that was done. StoreError."""
        if self.reason != self._written:
            with disk_faults("putting up the fence"):
                write_atomic(self._disk, self._path, msgspec.json.encode(self.reason))
            self._written = self.reason

    def take_down(self) -> None:
        """The operator's word: spending may go on."""
        with disk_faults("taking down the fence"):
            if self._disk.exists(self._path):
                self._disk.unlink(self._path)
                self._disk.sync_dir(self._path.rpartition("/")[0])
        self.reason = self._written = None

    def _read(self) -> Reason | None:
        with disk_faults("reading the fence"):
            if not self._disk.exists(self._path):
                return None
            file = self._disk.open(self._path)
            data = file.read_at(0, file.size())
            file.close()
        return _decode(data)


def _decode(data: bytes) -> Reason:
    try:
        return msgspec.convert(strict_json.loads(data), Reason)
    except ValueError:  # a fence that can't be read is a fence
        return Reason("unreadable-fence", 0, "", "look at the log of the agent, then lift the fence")
