"""SQLite on the memory disk: what it promises is kept, and what it doesn't promise can be seen to break."""

import errno
import gc
from contextlib import suppress

import apsw
import pytest

from qfagent.testing.disk import MemoryDisk, PowerLoss
from qfagent.testing.vfs import DiskVfs


def connect(disk, *, journal="wal", synchronous="full", locking="exclusive"):
    connection = apsw.Connection("/state/db", vfs=disk.vfs)
    for pragma in (f"locking_mode = {locking}", f"journal_mode = {journal}", f"synchronous = {synchronous}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()  # all, or the rest happens when the cursor is collected
    connection.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER PRIMARY KEY, filler BLOB) STRICT")
    return connection


def fresh(seed=0):
    disk = MemoryDisk(seed)
    disk.make_dir("/state", 0o700)
    disk.calls.clear()
    return disk


def insert(connection, *values):
    connection.execute("SAVEPOINT one")
    connection.executemany("INSERT INTO number VALUES (?, zeroblob(3000))", [(value,) for value in values])
    connection.execute("RELEASE one")


def workload(disk, committed, **pragmas):
    """Two lives of a process, ended in order; `committed` tells what it was told."""
    for start in (0, 100):
        connection = connect(disk, **pragmas)
        for value in range(start, start + 12, 3):
            insert(connection, value, value + 1, value + 2)
            committed += [value, value + 1, value + 2]
            if value == start + 6:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()


def survivors(disk, **pragmas):
    connection = connect(disk, **pragmas)
    assert connection.pragma("integrity_check") == "ok"
    values = [value for (value,) in connection.execute("SELECT value FROM number")]
    connection.close()
    return values


def calls_of_workload(**pragmas):
    with fresh() as disk:
        workload(disk, [], **pragmas)
        return disk.calls


def lives(seeds, **pragmas):
    """For power loss at every call of the workload: the rows it was told are committed, and those that survive."""
    total = calls_of_workload(**pragmas).total()
    for cut in range(total + 1):
        for seed in seeds:
            with fresh(seed * 1000 + cut) as disk:
                committed = []
                disk.power_off_after(cut)
                if cut < total:
                    with pytest.raises(PowerLoss):
                        workload(disk, committed, **pragmas)
                else:
                    workload(disk, committed, **pragmas)
                disk.crash()
                yield committed, disk


# --- what SQLite promises -------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["wal", "delete", "persist", "truncate"])
def test_no_committed_row_is_lost_and_no_transaction_halved_wherever_power_fails(journal):
    in_flight = 0
    for committed, disk in lives(range(6), journal=journal):
        left = survivors(disk, journal=journal)
        assert left[: len(committed)] == committed
        assert len(left) - len(committed) in {0, 3}
        in_flight += len(left) > len(committed)

    assert in_flight > 10  # power was also lost after a commit and before its answer


def test_recovery_survives_power_loss_in_the_midst_of_it():
    for committed, disk in lives(range(1), journal="wal"):
        for cut in range(3):
            disk.power_off_after(cut)
            with suppress(PowerLoss):
                survivors(disk)
            disk.crash()
        assert survivors(disk)[: len(committed)] == committed


# --- what shows that this disk can tell ------------------------------------------------------------


@pytest.mark.parametrize("pragmas", [{"synchronous": "off"}, {"synchronous": "normal"}])
def test_weaker_settings_lose_committed_rows(pragmas):
    losses = 0
    for committed, disk in lives(range(3), **pragmas):
        try:
            left = survivors(disk)
        except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, AssertionError):
            left = []
        losses += left[: len(committed)] != committed

    assert losses > 10


def test_a_journal_deleted_without_syncing_its_folder_comes_back_and_undoes_a_commit():
    losses = {"full": 0, "extra": 0}
    for synchronous in losses:
        pragmas = {"journal": "delete", "locking": "normal", "synchronous": synchronous}
        for committed, disk in lives(range(3), **pragmas):
            losses[synchronous] += survivors(disk, **pragmas)[: len(committed)] != committed

    assert losses["full"] > 10
    assert losses["extra"] == 0


@pytest.mark.parametrize("lie", ["ignore_sync", "ignore_sync_dir"])
def test_a_lying_disk_loses_committed_rows(lie):
    losses = 0
    for seed in range(30):
        with fresh(seed) as disk:
            setattr(disk, lie, True)
            connection = connect(disk)
            insert(connection, 1)
            disk.crash()
            try:
                losses += survivors(disk) != [1]
            except (apsw.CorruptError, apsw.NotADBError):
                losses += 1

    assert losses > 3


# --- power loss through SQLite --------------------------------------------------------------------


def test_nothing_that_a_dead_connection_does_reaches_the_disk():
    with fresh() as disk:
        connection = connect(disk)
        insert(connection, 1)
        disk.crash(lose="none")
        before = disk.files()

        for use in (lambda: insert(connection, 2), lambda: connection.execute("SELECT 1")):
            with pytest.raises(apsw.ConnectionClosedError):
                use()
        connection.close()

        assert disk.files() == before
        assert survivors(disk) == [1]


def test_every_use_of_a_connection_fails_while_power_is_off():
    with fresh() as disk:
        connection = connect(disk)
        disk.power_off_after(0)

        for value in range(3):
            with pytest.raises(PowerLoss):
                connection.execute("INSERT INTO number VALUES (?, NULL)", (value,))

        disk.crash()
        assert survivors(disk) == []


def test_power_loss_that_apsw_renames_is_power_loss_nevertheless():
    with fresh() as disk:
        connection = connect(disk)
        disk.power_off_after(0)

        with pytest.raises(apsw.SQLError), connection:  # its rollback hides why it fails
            insert(connection, 1)
        with disk.until_power_fails(), connection:
            insert(connection, 1)

        assert disk.dead


def test_a_connection_dropped_while_power_is_off_complains_to_nobody():
    with fresh() as disk:
        connection = connect(disk)
        cursor = connection.execute("SELECT 1 UNION SELECT 2")
        disk.power_off_after(0)
        with pytest.raises(PowerLoss):
            insert(connection, 1)

        del connection, cursor
        gc.collect()  # an unraisable exception would fail this test

        disk.crash()
        gc.collect()


def test_a_connection_that_outlives_the_disk_complains_to_nobody():
    with fresh() as disk:
        connection = connect(disk)
        insert(connection, 1)

    connection.close()
    del connection
    gc.collect()


def test_every_life_has_its_own_vfs_and_none_stays_behind():
    with fresh() as disk:
        names = set()
        for _ in range(3):
            connect(disk)
            names.add(disk.vfs)
            disk.crash()
        names.add(disk.vfs)
        assert len(names) == 4

    assert names.isdisjoint(apsw.vfs_names())


# --- faults through SQLite ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call,number,error,code",
    [
        ("write_at", errno.ENOSPC, apsw.FullError, apsw.SQLITE_FULL),
        ("write_at", errno.EIO, apsw.IOError, apsw.SQLITE_IOERR_WRITE),
        ("sync", errno.EIO, apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
        ("sync", errno.ENOSPC, apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
    ],
)
def test_a_fault_is_what_sqlite_makes_of_it_on_a_real_disk(call, number, error, code):
    with fresh() as disk:
        connection = connect(disk)
        insert(connection, 1)
        disk.fail(call, number)

        with pytest.raises(error) as caught:
            insert(connection, 2)

        assert caught.value.extendedresult == code
        assert caught.value.__cause__.errno == number
        connection.close()
        assert survivors(disk) == [1]


def test_a_fault_in_reading_is_an_io_error():
    with fresh() as disk:
        connect(disk).close()
        disk.fail("read_at", errno.EIO)

        with pytest.raises(apsw.IOError) as caught:
            connect(disk)
        assert caught.value.extendedresult == apsw.SQLITE_IOERR_READ


def test_a_fault_in_opening_is_can_not_open():
    with fresh() as disk:
        disk.fail("create", errno.ENOSPC)

        with pytest.raises(apsw.CantOpenError):
            connect(disk)


def test_a_missing_folder_is_can_not_open():
    with MemoryDisk() as disk, pytest.raises(apsw.CantOpenError):
        connect(disk)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_no_fault_loses_a_committed_row(journal):
    failures = 0
    calls = calls_of_workload(journal=journal)
    for call, at in [(name, at) for name in calls if name != "sync_dir" for at in range(calls[name])]:
        with fresh(at) as disk:
            committed = []
            disk.fail(call, errno.EIO, after=at)
            try:
                workload(disk, committed, journal=journal)
            except apsw.Error:
                failures += 1
            disk.crash()
            assert survivors(disk, journal=journal)[: len(committed)] == committed

    assert failures > 50


def test_sqlite_overlooks_a_failed_sync_of_its_folder_so_the_store_syncs_it_too():
    lost = 0
    for seed in range(20):
        with fresh(seed) as disk:
            committed = []
            disk.fail("sync_dir", errno.EIO)
            workload(disk, committed)
            disk.crash()
            lost += survivors(disk) != committed

    assert lost > 3


# --- SQLite's own needs ---------------------------------------------------------------------------


def test_the_database_lies_beside_the_other_files():
    with fresh() as disk:
        connection = connect(disk)
        insert(connection, 1)
        assert disk.list("/state") == ["db", "db-wal"]

        connection.close()
        assert disk.list("/state") == ["db"]
        assert disk.files()["/state/db"].startswith(b"SQLite format 3\0")


def test_the_disk_promises_sqlite_what_a_real_one_does(tmp_path):
    flags = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE
    real = apsw.VFSFile("unix", str(tmp_path / "db"), [flags, 0])
    with fresh() as disk:
        twin = DiskVfs(disk).xOpen("/state/db", [flags, 0])

        assert twin.xSectorSize() == real.xSectorSize()
        assert twin.xDeviceCharacteristics() & real.xDeviceCharacteristics() == apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
    real.xClose()


def test_an_empty_file_is_none_to_sqlite_and_a_missing_one_is_not_worth_an_error(tmp_path):
    with fresh() as disk:
        disk.create("/state/empty", 0)
        vfs = DiskVfs(disk)

        assert not vfs.xAccess("/state/empty", apsw.SQLITE_ACCESS_EXISTS)
        with pytest.raises(apsw.IOError) as caught:
            vfs.xDelete("/state/missing", False)
        assert caught.value.extendedresult == apsw.SQLITE_IOERR_DELETE_NOENT


def test_what_does_not_fit_in_memory_goes_to_temporary_files():
    with fresh() as disk:
        connection = connect(disk)
        connection.execute("PRAGMA temp_store = file; PRAGMA cache_size = 10").fetchall()
        insert(connection, *range(2000))

        rows = connection.execute("SELECT value, filler FROM number ORDER BY filler, value DESC").fetchall()

        assert [value for value, _ in rows] == list(reversed(range(2000)))
        connection.close()


def test_the_same_seed_and_calls_leave_the_same_rows():
    first, second = ([survivors(disk) for _, disk in lives(range(1), synchronous="normal")] for _ in range(2))

    assert first == second
