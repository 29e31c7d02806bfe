"""What a statement may take: time, memory, rows and bytes; what is over it is cut, and says so."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from service.domain.errors import AeroliteError, QueryFailed
from service.ports.database import Statement
from tests.waiting import patience

from .conftest import BOUNDS, Ask, Shelf, served
from .databases import Dialect, Rig

MANY = " union all ".join(f"select {number} as a" for number in range(20))
SHORT = replace(BOUNDS, timeout_s=1.0)


async def test_rows_beyond_the_bound_are_cut_and_said_to_be(rig: Rig, shelf: Shelf) -> None:
    """As many rows as are let through come, and `truncated` tells of more."""
    async with rig.open(replace(BOUNDS, max_rows=19)) as database:
        found = await database.run(Statement(MANY), shelf.tables)
    assert found is not None
    assert (len(found.rows), found.truncated) == (19, True)


async def test_exactly_as_many_rows_as_the_bound_are_whole(rig: Rig, shelf: Shelf) -> None:
    """An answer that just fits is not said to be cut."""
    async with rig.open(replace(BOUNDS, max_rows=20)) as database:
        found = await database.run(Statement(MANY), shelf.tables)
    assert found is not None
    assert (len(found.rows), found.truncated) == (20, False)


async def test_bytes_beyond_the_bound_are_cut_and_said_to_be(rig: Rig, shelf: Shelf) -> None:
    """Whole rows come, as many as have room."""
    texts = " union all ".join(f"select '{'x' * 1000}{number}' as a" for number in range(20))
    async with rig.open(replace(BOUNDS, max_bytes=10_000)) as database:
        found = await database.run(Statement(texts), shelf.tables)
    assert found is not None
    assert found.truncated
    assert 5 <= len(found.rows) < 12


async def test_a_row_that_is_too_large_by_itself_is_refused(rig: Rig, shelf: Shelf) -> None:
    """A row is never cut in its middle."""
    async with rig.open(replace(BOUNDS, max_bytes=10_000)) as database:
        with pytest.raises(QueryFailed):
            await database.run(Statement(f"select '{'x' * 20_000}' as a"), shelf.tables)


async def test_a_huge_value_is_refused(ask: Ask, dialect: Dialect) -> None:
    """A value of 2 GB is refused, and the next statement served."""
    with pytest.raises(QueryFailed):
        await ask(dialect.huge)
    assert await ask("select 1 as a") is not None


async def test_what_would_never_end_is_stopped(rig: Rig, shelf: Shelf, dialect: Dialect) -> None:
    """The time limit ends the work, and the next statement is served."""
    async with rig.open(SHORT) as database:
        assert await served(database, shelf, "select 1 as a") is not None
        async with patience():
            with pytest.raises(QueryFailed) as stopped:
                await database.run(Statement(dialect.endless), shelf.tables)
        assert "1 s" in stopped.value.detail
        assert await served(database, shelf, "select 1 as a") is not None


async def test_who_is_cancelled_does_not_wait(ask: Ask, dialect: Dialect) -> None:
    """A cancelled call ends long before its time limit, and the next statement is served."""
    assert await ask("select 1 as a") is not None
    task = asyncio.ensure_future(ask(dialect.endless))
    await asyncio.wait({task}, timeout=0.5)
    assert not task.done()
    task.cancel()
    async with patience():
        await asyncio.wait({task})
    assert task.cancelled()
    assert await ask("select 1 as a") is not None


async def test_many_at_once_get_each_its_own(ask: Ask, dialect: Dialect) -> None:
    """Answers do not get mixed up."""
    sql = f"select 1 + {dialect.place} as a"
    found = await asyncio.gather(*(ask(sql, [number]) for number in range(20)))
    assert [each.rows[0][0] for each in found if each is not None] == list(range(1, 21))


async def test_to_close_it_ends_what_is_under_way(rig: Rig, shelf: Shelf, dialect: Dialect) -> None:
    """Leaving does not wait for a statement; whoever waits for that is told."""
    async with rig.open(BOUNDS) as database:
        assert await database.run(Statement("select 1 as a"), shelf.tables) is not None
        task = asyncio.ensure_future(database.run(Statement(dialect.endless), shelf.tables))
        await asyncio.wait({task}, timeout=0.5)
    async with patience():
        with pytest.raises(AeroliteError):
            await task
