"""Which database a statement goes to, what its sender may do there, and how many run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Self

import pytest

from service.adapters.memory import MemoryStorage
from service.domain.access import Caller, Scope
from service.domain.errors import Busy, Forbidden, InvalidContent, Unauthenticated, WriteRefused
from service.ports.database import Rows, Statement, Tables
from service.usecases.queries import MAX_WAITING, Order, Queries
from service.usecases.views import Views
from tests.clocks import FakeClock

READER = Caller("key", frozenset({Scope.SQL_READ}))
WRITER = Caller("key", frozenset({Scope.SQL_READ, Scope.SQL_WRITE}))
ADMIN = Caller("key", frozenset({Scope.ADMIN}))
NOBODY = Caller(None, frozenset({Scope.SQL_READ}))


class FakeDatabase:
    """Remembers statements; one that is `write` writes, `wait` waits until it is let go."""

    def __init__(self) -> None:
        self.entered = 0
        self.statements: list[Statement] = []
        self.free = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Count."""
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Count back."""
        self.entered -= 1

    async def run(self, statement: Statement, tables: Tables) -> Rows | None:
        """Do as the statement says."""
        self.statements.append(statement)
        await tables()
        if statement.sql == "wait":
            await self.free.wait()
        if statement.sql == "write":
            if not statement.writing:
                raise WriteRefused("The statement would write.")
            return None
        return Rows(("a",), [(1,)])

    async def aliases(self, tables: Tables) -> Mapping[str, Mapping[str, str]]:
        """Return some."""
        return {"": {"b": "B"}, "B": {"x_2": "X"}, "C": {}}


@pytest.fixture
def database() -> FakeDatabase:
    """Give the configured database."""
    return FakeDatabase()


@pytest.fixture
def reader() -> FakeDatabase:
    """Give the reader of datasets."""
    return FakeDatabase()


@pytest.fixture
async def queries(database: FakeDatabase, reader: FakeDatabase) -> AsyncIterator[Queries]:
    """Give the use case with two places, on a storage without datasets."""
    async with MemoryStorage(clock=FakeClock()) as storage:
        made = Queries(database, reader, storage.datasets, Views(), kind="sqlite", concurrency=2, wait_s=0.05)
        async with made:
            assert (database.entered, reader.entered) == (1, 1)
            yield made
        assert (database.entered, reader.entered) == (0, 0)


async def test_a_database_that_is_the_reader_is_opened_once(database: FakeDatabase) -> None:
    """As in a deployment whose storage speaks no SQL."""
    async with MemoryStorage(clock=FakeClock()) as storage:
        only = Queries(database, database, storage.datasets, Views(), kind="duckdb", concurrency=1)
        async with only:
            assert database.entered == 1
            with pytest.raises(WriteRefused):
                await only.run(ADMIN, None, Order("write"))


@pytest.mark.parametrize(("caller", "writing"), [(READER, False), (WRITER, True), (ADMIN, True)])
async def test_who_may_write_gets_a_statement_that_may(
    queries: Queries, database: FakeDatabase, caller: Caller, writing: bool
) -> None:
    """Others get one that only reads."""
    await queries.run(caller, None, Order("read", [1]))
    assert database.statements == [Statement("read", [1], writing)]


@pytest.mark.parametrize(("caller", "error"), [(READER, Forbidden), (NOBODY, Unauthenticated)])
async def test_a_write_by_who_may_not_names_the_scope(
    queries: Queries, caller: Caller, error: type[Exception]
) -> None:
    """Whoever has a key lacks the scope, whoever has none needs one."""
    with pytest.raises(error, match="sql:write"):
        await queries.run(caller, None, Order("write"))
    assert await queries.run(WRITER, None, Order("write")) is None


async def test_the_reader_is_chosen_by_its_name(queries: Queries, reader: FakeDatabase) -> None:
    """It never writes, and says so in its own words; there is no third database."""
    await queries.run(ADMIN, None, Order("read", database="datasets"))
    assert not reader.statements[0].writing
    with pytest.raises(WriteRefused):
        await queries.run(ADMIN, None, Order("write", database="datasets"))
    with pytest.raises(InvalidContent, match="other"):
        await queries.run(ADMIN, None, Order("read", database="other"))


async def test_one_too_many_is_told_after_a_while(queries: Queries, database: FakeDatabase) -> None:
    """Two run, the third waits its time; then there is room again."""
    running = [asyncio.ensure_future(queries.run(READER, None, Order("wait"))) for _ in range(2)]
    await asyncio.wait(running, timeout=0.01)
    with pytest.raises(Busy, match="2 SQL statements"):
        await queries.run(READER, None, Order("read"))
    database.free.set()
    await asyncio.gather(*running)
    assert await queries.run(READER, None, Order("read")) is not None


async def test_far_too_many_are_told_at_once(database: FakeDatabase, reader: FakeDatabase) -> None:
    """Nobody waits behind hundreds."""
    async with MemoryStorage(clock=FakeClock()) as storage:
        queries = Queries(
            database, reader, storage.datasets, Views(), kind="sqlite", concurrency=1, wait_s=3600
        )
        crowd = [
            asyncio.ensure_future(queries.run(READER, None, Order("wait"))) for _ in range(MAX_WAITING + 1)
        ]
        await asyncio.wait(crowd, timeout=0.05)
        with pytest.raises(Busy):
            await queries.run(READER, None, Order("read"))
        database.free.set()
        await asyncio.gather(*crowd)


async def test_who_is_cancelled_takes_no_place(queries: Queries, database: FakeDatabase) -> None:
    """Neither while it waits nor while it runs."""
    tasks = [asyncio.ensure_future(queries.run(READER, None, Order("wait"))) for _ in range(3)]
    await asyncio.wait(tasks, timeout=0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    both = await asyncio.gather(*(queries.run(READER, None, Order("read")) for _ in range(2)))
    assert len(both) == 2


async def test_what_is_shown_of_a_database(queries: Queries) -> None:
    """Its kind, whether the caller may write, and what is called otherwise there."""
    shown = await queries.shown(READER, None, None)
    assert (shown.kind, shown.writing, dict(shown.names)) == ("sqlite", False, {"B": "b"})
    assert shown.aliases["B"] == {"x_2": "X"}
    assert (await queries.shown(ADMIN, None, None)).writing
    shown = await queries.shown(ADMIN, None, "datasets")
    assert (shown.kind, shown.writing) == ("duckdb", False)
