"""Children end when they must, and never take anybody with them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from service.adapters.duckdb_sql import DuckdbDatabase
from service.domain.columns import ColumnType
from service.domain.errors import QueryFailed, StoreUnavailable
from service.ports.database import Rows
from tests.waiting import patience, until

from .conftest import Shop

ENDLESS = {
    "recursion": "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
    "a cross join": "select count(*) from range(1000000) a, range(1000000) b where hash(a.range, b.range) = 1",
    "what cannot be interrupted": "select sum(length(repeat(range::varchar, 2000))) from range(1000000000)",
    "sleep": "select sleep_ms(3600000)",
    "a pattern": "select count(*) from range(1000000) where regexp_matches(repeat('a', 9000) || range, '(a|aa)*b')",
}


async def _at_work(shop: Shop, reader: DuckdbDatabase, sql: str) -> asyncio.Task[Rows]:
    """Run a statement in the only child, and wait until it takes that child's time."""
    await shop.ask(reader, "select 1")
    (child,) = map(psutil.Process, reader.children)
    used_s = child.cpu_times().user  # for its start; more than a moment on top is for the statement
    task = asyncio.create_task(shop.ask(reader, sql))
    await until(lambda: child.cpu_times().user > used_s + 1)
    return task


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
async def test_what_runs_for_ever_is_stopped(shop: Shop, sql: str) -> None:
    """At the time limit the child is gone, and the next statement finds another one."""
    async with shop.reader(timeout_s=0.5) as reader:
        await shop.served(reader, "select 1")
        (first,) = reader.children
        async with patience():
            with pytest.raises(QueryFailed, match=r"more than 0.5 s"):
                await shop.ask(reader, sql)
        assert (await shop.served(reader, "select 1")).rows == [(1,)]
        assert first not in reader.children
        assert not psutil.pid_exists(first)


async def test_a_caller_who_leaves_takes_the_work_along(shop: Shop) -> None:
    """Cancelling ends the child at once; the next is started before anybody asks for it."""
    async with shop.reader(timeout_s=600) as reader:
        task = await _at_work(shop, reader, ENDLESS["a cross join"])
        (first,) = reader.children
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not psutil.pid_exists(first))
        await until(lambda: len(reader.children) == 1)
        assert (await shop.ask(reader, "select 1")).rows == [(1,)]


async def test_a_child_killed_midway_fails_its_statement_only(shop: Shop) -> None:
    """Whoever waits is told; another child answers the next."""
    async with shop.reader(timeout_s=600) as reader:
        task = await _at_work(shop, reader, ENDLESS["recursion"])
        for child in reader.children:
            os.kill(child, signal.SIGKILL)
        with pytest.raises(QueryFailed, match="died"):
            await task
        assert (await shop.ask(reader, "select 1")).rows == [(1,)]


async def test_a_child_killed_while_idle_is_nobodys_business(shop: Shop) -> None:
    """The next statement gets a new one."""
    async with shop.reader() as reader:
        await shop.ask(reader, "select 1")
        (child,) = reader.children
        os.kill(child, signal.SIGKILL)
        assert reader._children is not None
        (idle,) = reader._children._idle
        await until(lambda: idle.returncode is not None)  # which is told a moment after it has ended
        assert (await shop.ask(reader, "select 1")).rows == [(1,)]


async def test_200_at_once_share_few_children(shop: Shop) -> None:
    """All are answered, one after the other in each child."""
    await shop.load("data", [{"n": at} for at in range(1000)], {"n": ColumnType.INTEGER})
    async with shop.reader(concurrency=2) as reader:
        await asyncio.gather(*(shop.ask(reader, "select n from data") for _ in range(2)))
        found = await asyncio.gather(
            *(shop.ask(reader, f"select count(*) from data where n >= {at}") for at in range(200))
        )
        assert [rows.rows for rows in found] == [[(1000 - at,)] for at in range(200)]
        assert len(reader.children) <= 2


async def test_endless_statements_do_not_starve_the_others(shop: Shop) -> None:
    """With every place taken by attackers, an honest statement has its turn when their time is over."""
    async with shop.reader(timeout_s=1.0, concurrency=2) as reader:
        attacks = [asyncio.create_task(shop.ask(reader, ENDLESS["a cross join"])) for _ in range(4)]
        await asyncio.sleep(0)
        assert (await shop.served(reader, "select 1")).rows == [(1,)]
        failed = await asyncio.gather(*attacks, return_exceptions=True)
        assert all(isinstance(each, QueryFailed) for each in failed)


async def test_closing_leaves_neither_children_nor_files(shop: Shop) -> None:
    """Leaving ends what is under way and removes the directory; afterwards it says that it is closed."""
    await shop.load("data", [{"n": 1}], {"n": ColumnType.INTEGER})
    async with shop.reader(concurrency=2) as reader:
        await shop.ask(reader, "select n from data")
        assert list(shop.directory.glob("aerolite-sql-*/*.duckdb"))
        task = asyncio.create_task(shop.ask(reader, ENDLESS["recursion"]))
        await asyncio.sleep(0.1)
        children = reader.children
        assert children
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], QueryFailed | StoreUnavailable)
    assert not any(map(psutil.pid_exists, children))
    assert not list(shop.directory.glob("aerolite-sql-*"))
    with pytest.raises(StoreUnavailable):
        await shop.ask(reader, "select 1")


async def test_nothing_is_started_before_it_is_needed(shop: Shop) -> None:
    """A service that nobody asks by SQL has no child."""
    async with shop.reader() as reader:
        assert not reader.children
        assert shop.asked == 0
        await shop.ask(reader, "select 1")
        assert len(reader.children) == 1
        assert shop.asked == 0  # no table is named, so nobody is asked for tables


async def test_a_child_ends_with_the_service(shop: Shop) -> None:
    """A child whose service was killed reads the end of its input and goes."""
    async with shop.reader() as reader:
        await shop.ask(reader, "select 1")
        (child,) = reader.children
        assert "SigIgn" in Path(f"/proc/{child}/status").read_text()
        os.kill(child, signal.SIGINT)  # Ctrl-C is for the service
        assert (await shop.ask(reader, "select 1")).rows == [(1,)]
        assert reader.children == {child}
