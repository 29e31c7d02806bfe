"""A database for clients' SQL in each test, and a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import pytest

from service.adapters.postgres_sql import PostgresDatabase
from service.domain.errors import Busy
from service.ports.database import Bounds, Rows, Statement, Table
from tests.waiting import PATIENCE_S, patience

T = TypeVar("T")

BOUNDS = Bounds(timeout_s=600.0, max_rows=1000, max_bytes=1 << 20)
"""Nothing that a test waits for ends by its time."""


class Client:
    """Sends statements to a database, with these datasets beside it."""

    def __init__(self, database: PostgresDatabase, *tables: Table) -> None:
        self.database = database
        self.shown = list(tables)

    async def run(self, sql: str, *parameters: Any, writing: bool = True) -> Rows | None:
        """Run a statement that may write."""
        return await self.database.run(Statement(sql, parameters, writing), self._tables)

    async def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that may not write."""
        rows = await self.run(sql, *parameters, writing=False)
        assert rows is not None
        return list(rows.rows)

    async def one(self, sql: str, *parameters: Any) -> Any:
        """Return the only value that a statement answers."""
        ((value,),) = await self.read(sql, *parameters)
        return value

    async def aliases(self) -> Any:
        """Return which names are others."""
        return await self.database.aliases(self._tables)

    async def _tables(self) -> Sequence[Table]:
        return self.shown


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    """Give a client of the database, which shows no datasets."""
    async with PostgresDatabase(url, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        yield Client(database)


@pytest.fixture
async def superuser(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection as the superuser."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def sleeping(superuser: asyncpg.Connection) -> None:
    """Wait until a client's statement sleeps."""
    found = "select from pg_stat_activity where application_name = 'aerolite-sql' and wait_event = 'PgSleep'"
    async with patience():
        while not await superuser.fetch(found):
            await asyncio.sleep(0.01)


async def sessions_end(superuser: asyncpg.Connection) -> None:
    """Wait until the server works for no client any more."""
    count = "select count(*) from pg_stat_activity where application_name = 'aerolite-sql'"
    async with patience():
        while await superuser.fetchval(count):
            await asyncio.sleep(0.01)


async def in_turn(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the other replicas let one in: on a slow machine who waits for them is told to come back."""
    async with patience():
        while True:
            with suppress(Busy):
                return await ask()
