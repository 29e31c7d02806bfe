"""Writing: whole or not at all, durable, in turns, and only where it is allowed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from service.domain.errors import QueryFailed, WriteRefused
from service.ports.database import Statement
from tests.waiting import patience

from .conftest import BOUNDS, Ask, Shelf
from .databases import DATABASES, Dialect, Rig

WRITERS = [name for name, entry in DATABASES.items() if entry.dialect.writes]
READERS = [name for name in DATABASES if name not in WRITERS]
writers = pytest.mark.parametrize("entry", WRITERS, indirect=True)


@pytest.mark.parametrize("entry", READERS, indirect=True)
@pytest.mark.parametrize("sql", ["create table t (a integer)", "drop table landings", "delete from landings"])
async def test_a_reader_refuses_to_write(ask: Ask, shelf: Shelf, sql: str) -> None:
    """A database that only reads says so to whoever may write, too."""
    await shelf.csv("landings", "name,id\nAachen,1\n")
    with pytest.raises(WriteRefused):
        await ask(sql, writing=True)


@writers
async def test_a_table_is_made_filled_changed_and_dropped(ask: Ask) -> None:
    """A statement that has no rows answers None, and what it did is there."""
    assert await ask("create table t (a integer, b varchar(10))", writing=True) is None
    assert await ask("insert into t values (1, 'x'), (2, 'y')", writing=True) is None
    assert await ask("update t set b = 'z' where a = 2", writing=True) is None
    assert await ask("delete from t where a = 1", writing=True) is None
    found = await ask("select a, b from t")
    assert found is not None
    assert [tuple(row) for row in found.rows] == [(2, "z")]
    assert await ask("drop table t", writing=True) is None
    with pytest.raises(QueryFailed):
        await ask("select * from t")


@writers
async def test_serial_counts_by_itself(ask: Ask) -> None:
    """What users of a plain database start from works."""
    await ask(
        "create table account (id_user serial PRIMARY KEY, username VARCHAR(50) NOT NULL)", writing=True
    )
    await ask("insert into account (username) values ('ada')", writing=True)
    found = await ask("select * from account")
    assert found is not None
    assert (found.columns, [tuple(row) for row in found.rows]) == (("id_user", "username"), [(1, "ada")])


@writers
async def test_returning_answers_rows_of_what_was_written(ask: Ask) -> None:
    """A write may answer rows, and is done."""
    await ask("create table t (a integer)", writing=True)
    found = await ask("insert into t values (1), (2) returning a", writing=True)
    assert found is not None
    assert sorted(row[0] for row in found.rows) == [1, 2]
    counted = await ask("select count(*) as n from t")
    assert counted is not None
    assert counted.rows[0][0] == 2


@writers
async def test_who_may_write_may_read(ask: Ask) -> None:
    """A statement that only reads is run all the same."""
    found = await ask("select 1 as a", writing=True)
    assert found is not None
    assert found.rows[0][0] == 1


WRITES = (
    "insert into t values (2)",
    "update t set a = 2",
    "delete from t",
    "drop table t",
    "create table u (a integer)",
    "alter table t add column b integer",
    "create index i on t (a)",
    "create view v as select a from t",
    "with w as (select 2 as a) insert into t select a from w",
)


@writers
@pytest.mark.parametrize("sql", WRITES)
async def test_who_only_reads_cannot_write(ask: Ask, sql: str) -> None:
    """A write by a reader is refused as such, and nothing has changed."""
    await ask("create table t (a integer)", writing=True)
    await ask("insert into t values (1)", writing=True)
    with pytest.raises(WriteRefused):
        await ask(sql)
    found = await ask("select * from t")
    assert found is not None
    assert (found.columns, [tuple(row) for row in found.rows]) == (("a",), [(1,)])


@writers
async def test_a_failed_statement_has_written_nothing(ask: Ask) -> None:
    """Rows before the one that fails are not there."""
    await ask("create table t (a integer primary key)", writing=True)
    with pytest.raises(QueryFailed):
        await ask("insert into t values (1), (2), (1)", writing=True)
    found = await ask("select count(*) as n from t")
    assert found is not None
    assert found.rows[0][0] == 0


ENDLESS_WRITE = (
    "insert into t with recursive n(i) as (select 1 union all select i + 1 from n) select i % 10 from n"
)


@writers
async def test_what_was_stopped_has_written_nothing(rig: Rig, shelf: Shelf) -> None:
    """A write that the time limit ends leaves nothing, and the next writer need not wait for it."""
    async with rig.open(BOUNDS) as database, rig.open(replace(BOUNDS, timeout_s=1.0)) as short:
        await database.run(Statement("create table t (a integer)", writing=True), shelf.tables)
        with pytest.raises(QueryFailed):
            await short.run(Statement(ENDLESS_WRITE, writing=True), shelf.tables)
        await database.run(Statement("insert into t values (5)", writing=True), shelf.tables)
        found = await database.run(Statement("select a from t"), shelf.tables)
    assert found is not None
    assert [tuple(row) for row in found.rows] == [(5,)]


@writers
async def test_what_was_cancelled_has_written_nothing(ask: Ask) -> None:
    """A write that is called off leaves nothing, and the next writer is served."""
    await ask("create table t (a integer)", writing=True)
    task = asyncio.ensure_future(ask(ENDLESS_WRITE, writing=True))
    await asyncio.wait({task}, timeout=0.5)
    task.cancel()
    async with patience():
        await asyncio.wait({task})
    assert task.cancelled()
    await ask("insert into t values (5)", writing=True)
    found = await ask("select a from t")
    assert found is not None
    assert [tuple(row) for row in found.rows] == [(5,)]


@writers
async def test_writers_take_turns(ask: Ask, dialect: Dialect) -> None:
    """Writes at the same time are all done."""
    await ask("create table t (a integer)", writing=True)
    sql = f"insert into t values ({dialect.place})"
    await asyncio.gather(*(ask(sql, [number], writing=True) for number in range(20)))
    found = await ask("select a from t order by a")
    assert found is not None
    assert [row[0] for row in found.rows] == list(range(20))


@writers
async def test_a_slow_reader_does_not_hold_up_a_writer(rig: Rig, shelf: Shelf, dialect: Dialect) -> None:
    """A write is done while a statement reads."""
    async with rig.open(BOUNDS) as database:
        await database.run(Statement("create table t (a integer)", writing=True), shelf.tables)
        reading = asyncio.ensure_future(database.run(Statement(dialect.endless), shelf.tables))
        await asyncio.wait({reading}, timeout=0.3)
        await database.run(Statement("insert into t values (1)", writing=True), shelf.tables)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait({reading})


@writers
async def test_what_was_written_outlives_the_database(rig: Rig, shelf: Shelf) -> None:
    """It is there when the database is opened anew."""
    async with rig.open(BOUNDS) as database:
        await database.run(Statement("create table t (a integer)", writing=True), shelf.tables)
        await database.run(Statement("insert into t values (1)", writing=True), shelf.tables)
    async with rig.open(BOUNDS) as database:
        found = await database.run(Statement("select a from t"), shelf.tables)
    assert found is not None
    assert [tuple(row) for row in found.rows] == [(1,)]
