"""SQLite's file for clients: what happens to it, and to the processes that ask it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.adapters.sqlite import SqliteStorage
from service.adapters.sqlite_sql import SqliteDatabase
from service.domain.datasets import Dataset, Schema
from service.domain.errors import OutOfSpace, QueryFailed, StoreError, StoreUnavailable
from service.ports.database import Bounds, Rows, Statement, Table
from tests.clocks import FakeClock
from tests.contract.sql.databases import SQLITE
from tests.waiting import patience, until

BOUNDS = Bounds(timeout_s=600.0, max_rows=1000, max_bytes=1 << 20)
SHORT = Bounds(timeout_s=0.5, max_rows=1000, max_bytes=1 << 20)
ENDLESS = SQLITE.endless


async def no_tables() -> Sequence[Table]:
    """Tell of no datasets."""
    return []


async def ask(database: SqliteDatabase, sql: str, *parameters: Any) -> Rows | None:
    """Run a statement that may write."""
    return await database.run(Statement(sql, parameters, writing=True), no_tables)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file, which is not there yet, in a directory that is not there yet."""
    return tmp_path / "some where" / "sql?#%41.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    """Give the database without datasets."""
    async with SqliteDatabase(path, None, BOUNDS) as opened:
        yield opened


def children() -> list[psutil.Process]:
    """Return the living processes of this test's databases."""
    return [child for child in psutil.Process().children() if "sqlite_child" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


async def test_the_file_is_made_by_the_first_statement(database: SqliteDatabase, path: Path) -> None:
    """Also its directory; and not before."""
    assert not path.parent.exists()
    assert await ask(database, "create table t (a)") is None
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("select name from sqlite_schema").fetchall() == [("t",)]


async def test_a_statement_that_reads_makes_it_too(database: SqliteDatabase, path: Path) -> None:
    """There is then an empty database to read."""
    found = await database.run(Statement("select count(*) from sqlite_schema"), no_tables)
    assert found is not None
    assert list(found.rows) == [(0,)]
    assert path.exists()


async def test_what_is_answered_survives_a_kill(database: SqliteDatabase) -> None:
    """SIGKILL to every process of SQLite takes nothing that was acknowledged."""
    await ask(database, "create table t (a)")
    await ask(database, "insert into t values (1)")
    for child in children():
        child.kill()
        await until(lambda child=child: not child.is_running())  # type: ignore[misc]  # bound at once
    found = await ask(database, "select a from t")
    assert found is not None
    assert list(found.rows) == [(1,)]


async def test_a_process_that_dies_under_a_statement_is_told(database: SqliteDatabase) -> None:
    """Nothing was written, and the next statement is served by another process."""
    await ask(database, "create table t (a)")
    (child,) = children()
    used_s = child.cpu_times().user  # for its start; more than a moment on top is for the statement
    task = asyncio.ensure_future(ask(database, f"insert into t {ENDLESS}"))
    await until(lambda: child.cpu_times().user > used_s + 1 and not task.done())
    child.send_signal(signal.SIGSEGV)
    with pytest.raises(QueryFailed, match="brought SQLite's process down; nothing was written"):
        await task
    found = await ask(database, "select count(*) from t")
    assert found is not None
    assert list(found.rows) == [(0,)]


async def test_a_cancelled_statement_stops_working(database: SqliteDatabase) -> None:
    """Its process is gone, not left to burn a processor."""
    await ask(database, "select 1")
    task = asyncio.ensure_future(ask(database, ENDLESS))
    await asyncio.wait({task}, timeout=0.3)
    task.cancel()
    await asyncio.wait({task})
    await until(lambda: not children())


async def test_no_process_outlives_the_database(path: Path) -> None:
    """Leaving ends those that wait and those that work."""
    async with SqliteDatabase(path, None, BOUNDS) as database:
        await ask(database, "select 1")
        tasks = [asyncio.ensure_future(ask(database, ENDLESS)) for _ in range(2)]
        await until(lambda: len(children()) == 2)
        await asyncio.wait(tasks, timeout=0.3)
    assert not children()
    await asyncio.wait(tasks)


async def test_one_file_is_left(path: Path) -> None:
    """The log is written back when the database is closed, so a copy of the file is whole."""
    async with SqliteDatabase(path, None, BOUNDS) as database:
        await ask(database, "create table t (a)")
        assert path.with_name(path.name + "-wal").stat().st_size
    assert not path.with_name(path.name + "-wal").exists()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("select * from t").fetchall() == []


async def test_a_process_knows_no_secret_of_the_service(database: SqliteDatabase) -> None:
    """Its environment has nothing but the way to its code."""
    await ask(database, "select 1")
    (child,) = children()
    assert set(child.environ()) <= {"PYTHONPATH", "LC_CTYPE"}


async def test_what_cannot_be_interrupted_ends_with_its_process(path: Path) -> None:
    """The process has set a clock that ends it, whatever it does, and also if nobody waits any more."""
    async with SqliteDatabase(path, None, SHORT) as database, patience():
        needle = "select instr(printf('%.*c', 30000000, 'a'), printf('%.*c', 15000000, 'a') || 'b')"
        with pytest.raises(QueryFailed, match=r"more than 0\.5 s"):
            await ask(database, needle)


async def test_memory_is_bounded(database: SqliteDatabase) -> None:
    """What asks for gigabytes is refused, and its process never had them."""
    await ask(database, "select 1")
    (child,) = children()
    for sql in (
        SQLITE.refused["memory"],
        "select " + ", ".join(["randomblob(30000000)"] * 50),
        "select group_concat(x) from (select hex(zeroblob(10000000)) as x from (values (1), (2), (3)))",
        "select json_group_array(x) from (select hex(zeroblob(10000000)) as x from (values (1), (2), (3)))",
    ):
        with pytest.raises(QueryFailed):
            await ask(database, sql)
    with open(f"/proc/{child.pid}/status") as status:  # noqa: PTH123 - a file that is none
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak_kib < 400 << 10


async def test_a_full_file_is_told_apart(path: Path) -> None:
    """507 for the client; what was there stays, and deleting makes room."""
    async with SqliteDatabase(path, None, BOUNDS, file_bytes=1 << 20) as database:
        await ask(database, "create table t (a)")
        await ask(database, "insert into t values (zeroblob(500000))")
        with pytest.raises(OutOfSpace):
            await ask(database, "insert into t values (zeroblob(600000))")
        await ask(database, "delete from t")
        await ask(database, "insert into t values (zeroblob(600000))")


async def test_a_file_that_is_no_database_is_told(path: Path, database: SqliteDatabase) -> None:
    """With what to do about it."""
    path.parent.mkdir()
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreUnavailable, match="DATABASE_URL"):
        await ask(database, "select * from t")


async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A directory stands in its place."""
    async with SqliteDatabase(tmp_path, None, BOUNDS) as database:
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await ask(database, "select 1")


async def test_who_waits_for_a_writer_too_long_is_told(path: Path) -> None:
    """Another program that holds the file is waited for within the time limit."""
    async with SqliteDatabase(path, None, BOUNDS) as database, SqliteDatabase(path, None, SHORT) as hurried:
        await ask(database, "create table t (a)")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin immediate")
            async with patience():
                with pytest.raises((StoreUnavailable, QueryFailed)):
                    await ask(hurried, "insert into t values (1)")
            other.execute("rollback")
        await ask(database, "insert into t values (2)")
        found = await ask(database, "select a from t")
    assert found is not None
    assert list(found.rows) == [(2,)]


async def test_a_storage_is_never_a_database(tmp_path: Path) -> None:
    """Not by its path, not by a link, and not that of another service."""
    storage = tmp_path / "storage.db"
    async with SqliteStorage(storage, clock=FakeClock()) as opened:
        await opened.ping()
    linked, other = tmp_path / "linked.db", tmp_path / "hard.db"
    linked.symlink_to(storage)
    os.link(storage, other)
    for path, beside in ((storage, storage), (linked, storage), (other, storage), (storage, None)):
        with pytest.raises(StoreError, match="DATABASE_URL names"):
            async with SqliteDatabase(path, beside, BOUNDS):
                pass


async def test_columns_that_change_all_the_time_are_told(tmp_path: Path, path: Path) -> None:
    """What is listed is never what is there: after some attempts that is said."""
    async with SqliteStorage(tmp_path / "storage.db", clock=FakeClock()) as storage:
        await storage.ping()

        async def moved() -> Sequence[Table]:
            schema = Schema.from_document(
                {"columns": [{"name": "a", "type": "integer", "textual": False}], "key": None, "title": None,
                 "changes": []}, version=7,
            )  # fmt: skip
            return [Table(Dataset("gone", schema=schema))]

        async with SqliteDatabase(path, tmp_path / "storage.db", BOUNDS) as database:
            with pytest.raises(StoreUnavailable, match="change all the time"):
                await database.run(Statement("select * from gone"), moved)


async def test_no_state_is_left_to_the_next_statement(database: SqliteDatabase) -> None:
    """The counters of the last statement are of no other."""
    await ask(database, "create table t (a integer primary key)")
    await ask(database, "insert into t values (41)")
    found = await ask(database, "select last_insert_rowid(), changes(), total_changes()")
    assert found is not None
    assert list(found.rows) == [(0, 0, 0)]


async def test_views_and_triggers_of_clients_have_no_more_than_clients(database: SqliteDatabase) -> None:
    """What is refused to a statement is refused to what it fires."""
    await ask(database, "create table t (a)")
    await ask(database, "create table d (a text default (load_extension('x')), b)")
    with pytest.raises(QueryFailed, match="load_extension"):
        await ask(database, "insert into d (b) values (1)")
    await ask(database, "create trigger g after insert on t begin select load_extension('x'); end")
    with pytest.raises(QueryFailed, match="load_extension"):
        await ask(database, "insert into t values (1)")
    with pytest.raises(QueryFailed, match="no such table"):
        await ask(database, "create view v as select * from nowhere")


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("selec 1", 1),
        ("select a, a from from b", 18),
        ("select 1 as t union select 2 t t", 32),
        ("select nope from (select 1 as a)", 8),
        ("select no_such(1)", 8),
        ("create table t (id serial primary key, id serial2 x y z z)", None),
        ("create table t (id serial primary key,, a)", 39),
        ("select 1 +", None),
    ],
)
async def test_the_place_of_a_mistake_is_told(
    database: SqliteDatabase, sql: str, position: int | None
) -> None:
    """As a character of what was sent, where it can be known."""
    with pytest.raises(QueryFailed) as refused:
        await ask(database, sql)
    assert refused.value.members.get("position") == position or position is None
