"""Statements are parsed once, and executed with other values each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from service.adapters.duckdb.connections import Database
from service.domain.errors import StoreUnavailable


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Give a database."""
    database = Database(memory_bytes=64 << 20, temp_bytes=1 << 20, timeout_s=3600)
    await database.open(tmp_path)
    yield database
    await database.close()


async def test_a_statement_takes_the_values_of_whoever_executes_it(database: Database) -> None:
    """Of many who execute one statement at once, each gets an answer to its own values, of any type."""

    async def ask(value: object) -> object:
        rows = await database.run(
            lambda cursor: database.execute(
                cursor, "SELECT $1, count(*) FROM range(1000)", [value]
            ).fetchall()
        )
        return rows[0][0]

    values = [*range(100), "a", None, 1.5, 1 << 40]
    assert await asyncio.gather(*map(ask, values)) == values


async def test_a_statement_outlives_the_table_that_it_was_first_executed_on(database: Database) -> None:
    """A statement means the table that has the name when it is executed."""

    def read(cursor: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
        return database.execute(cursor, "SELECT * FROM t", []).fetchall()

    await database.run(lambda cursor: cursor.execute("CREATE TABLE t AS SELECT 1 AS a"))
    assert await database.run(read) == [(1,)]
    await database.run(lambda cursor: cursor.execute("CREATE OR REPLACE TABLE t AS SELECT 'x' AS b, 2 AS c"))
    assert await database.run(read) == [("x", 2)]


async def test_a_long_statement_is_executed_like_a_short_one(database: Database) -> None:
    """A statement too long to be kept gives what it asks for."""
    numbers = ", ".join(f"${at}" for at in range(1, 5001))
    sql = f"SELECT count(*) FROM range(10000) WHERE range IN ({numbers})"
    rows = await database.run(lambda cursor: database.execute(cursor, sql, list(range(5000))).fetchall())
    assert rows == [(5000,)]


async def test_nothing_is_executed_once_the_database_is_closed(database: Database) -> None:
    """Who comes too late is told so."""
    await database.close()
    with duckdb.connect() as cursor, pytest.raises(StoreUnavailable):
        database.execute(cursor, "SELECT 1", [])
