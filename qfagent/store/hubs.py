"""A client's hubs: each pinned by its first file; id, host and port belong together until an operator moves them."""

from qfagent.dske.psrd import HubAddress
from qfagent.errors import NotFound, PsrdRejected
from qfagent.store.database import Database


class Pins:
    """The pinned hubs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self, hub: HubAddress) -> None:
        """PsrdRejected (`hub-mismatch`) if a file contradicts what is pinned."""
        known = self._database.row(
            "SELECT id, host, port FROM hubs WHERE id = ? OR (host = ? AND port = ?)", *_key(hub)
        )
        if known is not None and (pinned := HubAddress(*known)) != hub:
            raise PsrdRejected(
                f"hub-mismatch: the file says hub {hub.id} at {hub.place}, pinned is hub {pinned.id} at {pinned.place}",
                remedy="if the hub has moved, say `qfagent hubs move`",
            )

    def pin(self, hub: HubAddress) -> None:
        """Pins a hub that `check` has let pass."""
        self._database.execute("INSERT OR IGNORE INTO hubs VALUES (?, ?, ?)", hub.id, hub.host, hub.port)

    def move(self, hub: HubAddress) -> None:
        """The operator's word: the hub has another address. NotFound."""
        if self._database.row("SELECT 1 FROM hubs WHERE id = ?", hub.id) is None:
            raise NotFound(f"there is no hub {hub.id} here")
        self._database.execute("UPDATE hubs SET host = ?, port = ? WHERE id = ?", hub.host, hub.port, hub.id)

    def all(self) -> list[HubAddress]:
        """Every hub."""
        return [HubAddress(*row) for row in self._database.rows("SELECT id, host, port FROM hubs ORDER BY id")]


def _key(hub: HubAddress) -> tuple[str, str, int]:
    return hub.id, hub.host, hub.port
