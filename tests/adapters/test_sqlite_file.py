"""The SQLite file: made, refused, locked, taken away and put back."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStorage
from service.adapters.sqlite.connections import work_on
from service.adapters.sqlite.failures import translated
from service.adapters.sqlite.tables import APPLICATION_ID
from service.adapters.sqlite_file import connect, connect_gate, enter_wal
from service.domain.errors import StoreError, StoreUnavailable
from tests.clocks import FakeClock
from tests.contract.steps import append, everything, load, records
from tests.waiting import PATIENCE_S


def storage_at(path: Path, *, timeout_s: float = PATIENCE_S) -> SqliteStorage:
    """Return a replica on the file, which waits so long for others."""
    return SqliteStorage(path, clock=FakeClock(), timeout_s=timeout_s)


async def refusal(path: Path) -> str:
    """Return why the file cannot be opened."""
    with pytest.raises(StoreError) as caught:
        async with storage_at(path):
            pytest.fail("entering should have raised")
    assert type(caught.value) is StoreError
    assert caught.value.detail.endswith((".", ")."))
    return caught.value.detail


async def test_the_file_and_its_directory_are_made(tmp_path: Path) -> None:
    """A path into directories that are not there yet is made, marked as ours, with a write-ahead log."""
    path = tmp_path / "a" / "b" / "c.db"
    async with storage_at(path) as storage:
        await load(storage, records([1]))
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_relative_path_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sqlite:///var/aerolite.db` names a file below the working directory."""
    monkeypatch.chdir(tmp_path)
    async with storage_at(Path("var/aerolite.db")) as storage:
        await load(storage, records([1]))
    assert (tmp_path / "var" / "aerolite.db").stat().st_size > 0


async def test_nothing_is_opened_by_the_constructor(tmp_path: Path) -> None:
    """A storage that is never entered makes no file, and closing it is no error."""
    storage = storage_at(tmp_path / "a.db")
    await storage.__aexit__(None, None, None)
    assert list(tmp_path.iterdir()) == []
    assert storage.warnings() == ()


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    """Closing and opening again finds the same revision; closing leaves no log beside the file."""
    path = tmp_path / "a.db"
    async with storage_at(path) as storage:
        commit = await load(storage, records(range(5)))
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.db", "a.db-gate"}
    assert (tmp_path / "a.db-gate").stat().st_size == 0
    async with storage_at(path) as storage:
        assert await storage.datasets.dataset("d") == commit.dataset
        assert await everything(storage) == records(range(5))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Whatever else stands at the path is left as it is, and said to be no database."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"name,id\n" * 1000)
    assert "is not an SQLite database" in await refusal(path)
    assert path.read_bytes() == b"name,id\n" * 1000


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Tables of somebody else are not mixed with ours."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE records (id)")
    assert "belongs to another program" in await refusal(path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)


async def test_the_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    """A format from the future is not guessed at."""
    path = tmp_path / "a.db"
    async with storage_at(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    assert "format 99" in await refusal(path)


async def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    """An empty file, as `touch` or a volume mount makes it, becomes a database."""
    path = tmp_path / "a.db"
    path.touch()
    async with storage_at(path) as storage:
        await load(storage, records([1]))


async def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A directory, a path through a file, and a directory that takes no files are refused with the cause."""
    assert "cannot be opened" in await refusal(tmp_path)
    (tmp_path / "file").touch()
    assert "file" in await refusal(tmp_path / "file" / "a.db")
    assert "a.db" in await refusal(Path("/proc/aerolite/a.db"))


async def test_a_file_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    """What SQLite says of a read-only file becomes a sentence about it."""
    path = tmp_path / "a.db"
    async with storage_at(path):
        pass
    path.chmod(stat.S_IRUSR)
    only_read = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with closing(only_read), pytest.raises(StoreUnavailable, match="is read-only"), translated(path):
        only_read.execute("DELETE FROM documents")


def test_a_file_system_without_a_log_is_refused() -> None:
    """Where SQLite cannot keep a write-ahead log, readers would stop writers: it is said at the start."""
    with closing(sqlite3.connect(":memory:")) as memory, pytest.raises(StoreError, match="local disk"):
        enter_wal(memory, 0.1)


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """Pages that were overwritten raise an error that names the file and a backup."""
    path = tmp_path / "a.db"
    async with storage_at(path) as storage:
        await load(storage, [b"x" * 1000] * 1000)
    content = bytearray(path.read_bytes())
    content[20_000:-20_000] = b"\xff" * (len(content) - 40_000)
    path.write_bytes(content)
    async with storage_at(path) as storage:
        with pytest.raises(StoreError, match="Restore it from a backup"):
            await everything(storage)


async def test_any_other_complaint_is_told_too(tmp_path: Path) -> None:
    """What has no sentence of its own keeps SQLite's."""
    with (
        closing(connect(tmp_path / "a.db", mode="rwc")) as connection,
        pytest.raises(StoreError, match="no such table"),
        translated(tmp_path / "a.db"),
    ):
        connection.execute("SELECT * FROM absent")


async def test_a_locked_file_can_be_waited_for(tmp_path: Path) -> None:
    """A service starts while another process holds a new file locked, and works once it lets go."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with storage_at(path, timeout_s=0.2) as storage:
            with pytest.raises(StoreUnavailable, match="Another process"):
                await storage.ping()
            other.execute("ROLLBACK")
            await storage.ping()
            await load(storage, records([1]))
            assert await everything(storage) == records([1])


async def test_those_who_write_take_turns(tmp_path: Path) -> None:
    """While another process is at the gate, it may be writing the log back: nobody begins to write."""
    path = tmp_path / "a.db"
    async with storage_at(path, timeout_s=0.2) as storage:
        await load(storage, records([1]))
        with closing(connect_gate(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreUnavailable, match="Another process"):
                await append(storage, records([2]))
            assert await everything(storage) == records([1])
        await append(storage, records([3]))
        assert await everything(storage) == records([1, 3])


async def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """A deleted file takes no more writes, which would be lost; nobody puts an empty one in its place."""
    path = tmp_path / "a.db"
    async with storage_at(path) as storage:
        commit = await load(storage, records([1]))
        assert await storage.datasets.dataset("d") == commit.dataset
        away = path.rename(tmp_path / "away.db")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="is gone"):
                await storage.datasets.dataset("d")
            with pytest.raises(StoreUnavailable, match="is gone"):
                await append(storage, records([2]))
        assert not path.exists()
        away.rename(path)
        assert await storage.datasets.dataset("d") == commit.dataset


async def test_a_backup_that_is_put_in_place_is_read(tmp_path: Path) -> None:
    """Another file at the path is opened at the next call, and nothing of the old one is remembered."""
    path, backup = tmp_path / "a.db", tmp_path / "b.db"
    async with storage_at(backup) as other:
        await load(other, records([7, 8, 9]))
    async with storage_at(path) as storage:
        await load(storage, records([1]))
        assert await everything(storage) == records([1])
        async with storage.datasets.snapshot("d") as snapshot:
            for leftover in (tmp_path / "a.db-wal", tmp_path / "a.db-shm"):
                leftover.unlink()
            backup.replace(path)
            dataset = await storage.datasets.dataset("d")
            assert dataset is not None
            assert dataset.count == 3
            assert list((await storage.datasets.slice("d", limit=9)).records) == records([7, 8, 9])
            await append(storage, records([10]))
            assert list((await snapshot.slice(limit=9)).records) == records([1])
    async with storage_at(path) as storage:
        assert await everything(storage) == records([7, 8, 9, 10])


async def test_a_write_that_waited_while_the_file_was_replaced_is_refused(tmp_path: Path) -> None:
    """Writes meant for the file that was there do not go to the one put in its place."""
    path, backup = tmp_path / "a.db", tmp_path / "b.db"
    async with storage_at(backup) as other:
        await load(other, records([7]))
    async with storage_at(path, timeout_s=3.0) as storage:
        await load(storage, records([1]))
        await storage.datasets.dataset("d")
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            writes = [asyncio.create_task(append(storage, records([n]))) for n in range(3)]
            await asyncio.sleep(0)  # each has gone as far as the write lock
            for leftover in (tmp_path / "a.db-wal", tmp_path / "a.db-shm"):
                leftover.unlink()
            backup.replace(path)
            reads = await asyncio.gather(*(everything(storage) for _ in range(5)))
            assert reads == [records([7])] * 5
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert all(isinstance(one, StoreUnavailable) for one in outcomes)
        await append(storage, records([8]))
        assert await everything(storage) == records([7, 8])


async def test_a_connection_that_was_closed_is_told(tmp_path: Path) -> None:
    """Whoever still waits for a connection to a replaced file is told so."""
    worker = await work_on(partial(connect, tmp_path / "a.db", mode="rwc"))
    await worker.close()
    with pytest.raises(StoreUnavailable, match="was replaced"):
        await worker.call(lambda connection: connection.execute("SELECT 1"))


async def test_a_file_that_is_swapped_for_a_bad_one_is_not_made_anew(tmp_path: Path) -> None:
    """Once a file was there, its place is never filled with an empty database."""
    path = tmp_path / "a.db"
    async with storage_at(path) as storage:
        await load(storage, records([1]))
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreUnavailable):
            await storage.ping()
        path.rmdir()
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await storage.ping()
        assert not path.exists()


MAKER = """
import asyncio, sys
from functools import partial
from pathlib import Path
from service.adapters.clock import SystemClock
from service.adapters.sqlite import SqliteStorage
async def main():
    async with SqliteStorage(Path(sys.argv[1]), clock=SystemClock(), timeout_s=60.0) as storage:
        await storage.ping()
        await storage.documents.add("usage", "day", {"n": 1})
sys.stdin.readline()
asyncio.run(main())
"""


async def test_several_processes_may_make_the_file_at_once(tmp_path: Path) -> None:
    """Processes that start at the same time on no file make one database, and all work with it."""
    path = tmp_path / "a.db"
    root = Path(__file__).parents[2]
    makers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAKER, str(path)), cwd=root, stdin=asyncio.subprocess.PIPE
        )
        for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write(b"\n")
        maker.stdin.close()
    assert await asyncio.gather(*(maker.wait() for maker in makers)) == [0] * 6
    async with storage_at(path) as storage:
        counted = await storage.documents.get("usage", "day")
        assert counted is not None
        assert counted.body == {"n": 6}


async def test_what_others_commit_is_seen_in_the_next_turn(tmp_path: Path) -> None:
    """Reads of one turn of the event loop ask the file once; those of the next see what came meanwhile."""
    path = tmp_path / "a.db"
    async with storage_at(path) as mine, storage_at(path) as other:
        for count in range(1, 20):
            await append(other, records([count])) if count > 1 else await load(other, records([count]))
            found = await asyncio.gather(*(mine.datasets.dataset("d") for _ in range(5)))
            assert [dataset.revision for dataset in found if dataset is not None] == [count] * 5
