"""A state folder of an earlier version: brought up in place, nothing lost, wherever power fails meanwhile.

`version_1_client.sql` and `version_1_hub.sql` are what agents of schema 1 have left behind.
"""

import hashlib
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from qfagent.store.database import SCHEMA_VERSION
from qfagent.testing.disk import MemoryDisk
from tests.store.stores import Home

LEFT_BEHIND = sorted(Path(__file__).parent.glob("version_*.sql"))
MACHINE = "0" * 32


@pytest.fixture(params=LEFT_BEHIND, ids=lambda path: path.stem)
def old(request):
    """A disk with a state folder of an earlier version, and the rows in it."""
    with MemoryDisk() as disk:
        disk.make_dir("/state", 0o700)
        with closing(apsw.Connection("/state/store.db", vfs=disk.vfs)) as database:
            database.execute(request.param.read_text()).fetchall()
            disk.make_dir("/state/pads", 0o700)
            for block, user, server in database.execute("SELECT id, user_bytes, server_bytes FROM blocks").fetchall():
                put(disk, f"/state/pads/{block}", b"\x11" * (user + server))
                digest = hashlib.sha256(b"\x11" * 48 + f"{user}:{server}".encode()).digest()  # those pads are gone
                database.execute("UPDATE blocks SET digest = ? WHERE id = ?", (digest, block))
            rows = rows_of(lambda sql: list(database.execute(sql)))
        disk.sync_dir("/state")
        disk.crash(lose="none")
        yield disk, rows


def put(disk, path, data):
    with closing(disk.create(path, len(data))) as file:
        file.write_at(0, data)
        file.sync()
    disk.sync_dir("/state/pads")


def rows_of(query):
    tables = [name for (name,) in query("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {table: set(query(f"SELECT * FROM {table}")) for table in tables}
    rows["meta"] -= {("clean", 0), ("clean", 1)}
    return rows


def boot(disk):
    home = Home.__new__(Home)
    home.disk, home.step = disk, 1
    home.boot(MACHINE)
    return home


def test_nothing_is_lost_by_an_upgrade(old):
    disk, before = old
    home = boot(disk)
    after = rows_of(home.database.rows)

    assert SCHEMA_VERSION == home.database.value("PRAGMA user_version")
    assert before == {table: after[table] for table in before}
    assert home.store.fence.reason is None


def test_what_was_spent_stays_spent(old):
    disk, before = old
    home = boot(disk)

    for block, _, _, _, _, _, _, _, spent, *_ in before["blocks"]:
        assert spent == home.ledger.spent(block) <= home.ledger.next(block)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what SQLite does without power
@pytest.mark.parametrize("calls", range(0, 60, 3))
def test_wherever_power_fails_the_next_start_ends_the_upgrade(old, calls):
    disk, before = old
    disk.power_off_after(calls)
    with disk.until_power_fails():
        boot(disk)
    disk.crash(lose="some")
    home = boot(disk)
    after = rows_of(home.database.rows)

    assert SCHEMA_VERSION == home.database.value("PRAGMA user_version")
    assert before == {table: after[table] for table in before}
