"""The databases that the suite runs over: add a line to `DATABASES`, and the whole suite runs over one more.

A database says in its `Dialect` how statements are spelled and what it cannot do; in its `make` how it is
opened with datasets beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.adapters.sqlite import SqliteStorage
from service.adapters.sqlite_sql import SqliteDatabase
from service.ports.database import Bounds, Database
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers


@dataclass(frozen=True)
class Dialect:
    """What the suite must know of a database.

    `writes`: it takes writing statements at all. `datasets`: it shows datasets. `place` is the placeholder
    of the first parameter by place, `named` that of the parameter called `name` (None: it knows no names).
    `endless` would run for ever, `huge` would answer one value of 2 GB. `refused` are attacks by name, each
    of which a guard refuses with `QueryFailed`, whether it may write or not. `true` is what it has for a
    boolean of a dataset.
    """

    writes: bool
    datasets: bool
    place: str
    named: str | None
    endless: str
    huge: str
    refused: Mapping[str, str] = field(default_factory=dict)
    true: bool | int = True


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

DATABASES: dict[str, Entry] = {
    "sqlite": Entry(SQLITE, make_sqlite),
}
