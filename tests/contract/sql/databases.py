"""The databases that the suite runs over: add a line to `DATABASES`, and the whole suite runs over one more.

A database says in its `Dialect` how statements are spelled and what it cannot do; in its `make` how it is
opened with datasets beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.adapters.duckdb import DuckdbEngine
from service.adapters.duckdb_sql import DuckdbDatabase
from service.adapters.memory import MemoryStorage
from service.adapters.postgres import PostgresStorage
from service.adapters.postgres_sql import PostgresDatabase
from service.adapters.sqlite import SqliteStorage
from service.adapters.sqlite_sql import SqliteDatabase
from service.ports.database import Bounds, Database
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.contract.backends.postgres import run_server
from tests.servers import Servers
from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class Dialect:
    """What the suite must know of a database.

    `writes`: it takes writing statements at all. `datasets`: it shows datasets. `place` is the placeholder
    of the first parameter by place, `named` that of the parameter called `name` (None: it knows no names).
    `endless` would run for ever, `huge` would answer one value of 2 GB. `refused` are attacks by name, each
    of which a guard refuses with `QueryFailed`, whether it may write or not. `true` is what it has for a
    boolean of a dataset, `columns` is how many of a dataset it shows.
    """

    writes: bool
    datasets: bool
    place: str
    named: str | None
    endless: str
    huge: str
    refused: Mapping[str, str] = field(default_factory=dict)
    true: bool | int = True
    columns: int = 2000


@dataclass(frozen=True)
class Rig:
    """A database to be opened with bounds (any number of times), and the open storage beside it."""

    open: Callable[[Bounds], Database]
    storage: Storage


@dataclass(frozen=True)
class Entry:
    """A database: its dialect, and `make(clock, tmp_path, servers)`, which gives it empty."""

    dialect: Dialect
    make: Callable[[FakeClock, Path, Servers], AbstractAsyncContextManager[Rig]]


@asynccontextmanager
async def make_sqlite(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Rig]:
    """Give an SQLite file beside an SQLite storage."""
    path = tmp_path / "odd name?%41#.db"
    async with SqliteStorage(path, clock=clock) as storage:
        yield Rig(lambda bounds: SqliteDatabase(tmp_path / "sql?%41#.db", path, bounds), storage)


SQLITE = Dialect(
    writes=True,
    datasets=True,
    place="?1",
    named=":name",
    endless="with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
    huge="select zeroblob(2000000000)",
    true=1,
    refused={
        "a comment that hides a statement": "select 1 /* ; */ ; -- x\n drop table t",
        "attach": "attach database '/tmp/aerolite-attack.db' as other",
        "detach": "detach database main",
        "pragma": "pragma writable_schema = 1",
        "pragma as a table": "select * from pragma_database_list",
        "vacuum into": "vacuum into '/tmp/aerolite-attack.db'",
        "load_extension": "select load_extension('/tmp/aerolite-attack.so')",
        "fts3_tokenizer": "select fts3_tokenizer('simple', x'4141414141414141')",
        "a virtual table": "create virtual table v using fts5(a)",
        "begin": "begin",
        "commit": "commit",
        "savepoint": "savepoint s",
        "a temporary table": "create temp table t (a)",
        "the schema": "insert into sqlite_master values ('table', 'x', 'x', 2, 'create table x (a)')",
        "the storage's keys": "select * from documents",
        "the storage's records": "select * from records",
        "the storage's records, counted": "select count(*) from records",
        "the storage's records, counted beside a dataset": "select count(*) from records, landings",
        "the storage's keys, counted beside a dataset": "select count(*) from documents, landings",
        "the storage's keys beside a dataset": "select body from documents, landings",
        "the storage's records by a name of a view": (
            "with landings as (select * from records) select * from landings"
        ),
        "the views' text": "select sql from sqlite_temp_master",
        "pages of the file": "select * from dbstat",
        "a needle that cannot be interrupted": (
            "select instr(printf('%.*c', 30000000, 'a'), printf('%.*c', 15000000, 'a') || 'b')"
        ),
        "a text that cannot be interrupted": "select printf('%.*c', 2000000000, 'x')",
        "memory": (
            "with recursive r(x) as (select randomblob(1000000) union all select randomblob(1000000) from r)"
            " select count(*) from (select x from r order by 1)"
        ),
        "memory in one row": "select " + ", ".join(["randomblob(30000000)"] * 50),
    },
)


@asynccontextmanager
async def make_duckdb(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Rig]:
    """Give the reader of datasets beside a storage in memory."""
    engine = DuckdbEngine(tmp_path, memory_bytes=256 << 20, spill_bytes=256 << 20, timeout_s=600.0)
    async with MemoryStorage(clock=clock) as storage, engine:
        yield Rig(lambda bounds: DuckdbDatabase(engine, storage.datasets, tmp_path, bounds, 2), storage)


DUCKDB = Dialect(
    writes=False,
    datasets=True,
    place="$1",
    named="$name",
    endless="with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
    huge="select repeat('x', 2000000000)",
    refused={
        "attach": "attach '/tmp/aerolite-attack.db' as other",
        "pragma": "pragma database_list",
        "copy": "copy landings to '/tmp/aerolite-attack.csv'",
        "copy in a common table expression": (
            "with a as (copy (select 1) to '/tmp/aerolite-attack.csv') select 1"
        ),
        "an extension": "install httpfs",
        "a file": "select * from read_csv('/etc/passwd')",
        "a file as a table": "select * from '/etc/passwd'",
        "a directory": "select * from glob('/*')",
        "the environment": "select getenv('ADMIN_KEY')",
        "the settings": "select * from duckdb_settings()",
        "SQL in SQL": "select * from query('select 1')",
        "a list beyond the memory limit": "select len(range(200000000))",
        "what cannot be interrupted": "select max(len(repeat('x', 100000000))) from range(1000000)",
    },
)


@asynccontextmanager
async def make_postgres(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Rig]:
    """Give a database that the storage is in, too."""
    server = await asyncio.to_thread(servers.get, run_server)
    async with server.database() as url, PostgresStorage(url, clock=clock, timeout_s=PATIENCE_S) as storage:
        yield Rig(
            lambda bounds: PostgresDatabase(url, bounds, shows_datasets=True, timeout_s=PATIENCE_S), storage
        )


POSTGRES = Dialect(
    writes=True,
    datasets=True,
    place="$1",
    named=None,
    endless="with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
    huge="select repeat('x', 2000000000)",
    columns=1600,
    refused={
        "a comment that hides a statement": "select 1 /* ; */ ; -- x\n drop table t",
        "copy": "copy landings to '/tmp/aerolite-attack.csv'",
        "copy to a program": "copy (select 1) to program 'id'",
        "a file": "select pg_read_file('/etc/passwd')",
        "a directory": "select pg_ls_dir('/')",
        "an extension": "create extension dblink",
        "another role": "set role aerolite",
        "begin": "begin",
        "the settings": "alter system set fsync = off",
        "the storage's keys": "select * from aerolite.documents",
        "the storage's records": "select * from aerolite.records",
        "a sleep": "select pg_sleep(1000)",
        "a sleep that catches its cancelling": (
            "do $$ begin loop begin perform pg_sleep(1000);"
            " exception when query_canceled then null; end; end loop; end $$"
        ),
    },
)

DATABASES: dict[str, Entry] = {
    "sqlite": Entry(SQLITE, make_sqlite),
    "duckdb": Entry(DUCKDB, make_duckdb),
    "postgres": Entry(POSTGRES, make_postgres),
}
