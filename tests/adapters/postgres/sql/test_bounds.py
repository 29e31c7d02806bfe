"""What a statement takes is bounded, and it ends when it should, whatever it does against it."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from service.adapters.postgres_sql import PostgresDatabase
from service.domain.errors import Busy, QueryFailed
from service.ports.database import Rows
from tests.waiting import PATIENCE_S, patience

from .conftest import BOUNDS, Client, sessions_end, sleeping

SHORT = replace(BOUNDS, timeout_s=0.5)
SMALL = replace(BOUNDS, max_rows=10, max_bytes=100_000)

ENDLESS = {
    "sleep": "select pg_sleep(1000)",
    "cross join": "select count(*) from generate_series(1, 10000000) a, generate_series(1, 10000000) b",
    "recursion": "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
    "loop": "do $$ begin loop null; end loop; end $$",
    "a loop that catches the cancelling": """
        do $$ begin loop
            begin perform pg_sleep(1000); exception when query_canceled then null; end;
        end loop; end $$""",
    "a time limit taken away": "select set_config('statement_timeout', '0', false), pg_sleep(1000)",
    "a time limit taken away by what is folded": "select unbound() + length(pg_sleep(1000)::text)",
    "sleeping at the commit": "insert into deferred values (1)",
}


@pytest.fixture
async def short(url: str, client: Client) -> AsyncIterator[Client]:
    """Give a client whose statements have half a second, with functions that would have more."""
    await client.run("""
        create function unbound() returns int language plpgsql immutable as $$ begin
            perform set_config('statement_timeout', '0', false),
                set_config('client_connection_check_interval', '0', false);
            return 1;
        end $$""")
    await client.run("create table deferred (a int)")
    await client.run("""
        create function dawdle() returns trigger language plpgsql as $$ begin
            perform pg_sleep(1000); return null;
        end $$""")
    await client.run("""
        create constraint trigger dawdle after insert on deferred deferrable initially deferred
        for each row execute function dawdle()""")
    async with PostgresDatabase(url, SHORT, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        yield Client(database)


@pytest.fixture
async def small(url: str) -> AsyncIterator[Client]:
    """Give a client who is answered ten rows, or 100,000 bytes."""
    async with PostgresDatabase(url, SMALL, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        yield Client(database)


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
async def test_the_time_limit_stops_the_work_in_the_server(
    short: Client, client: Client, superuser: asyncpg.Connection, endless: str
) -> None:
    """No statement outlives its time, and no session works on."""
    async with patience():
        with pytest.raises(QueryFailed, match=r"longer than 0\.5 s"):
            await short.run(endless)
    await sessions_end(superuser)
    assert await client.one("select count(*) from deferred") == 0


async def test_who_leaves_leaves_no_work_behind(client: Client, superuser: asyncpg.Connection) -> None:
    """A statement whose caller is cancelled ends in the server, even one that catches the cancelling."""
    task = asyncio.create_task(client.run(ENDLESS["a loop that catches the cancelling"]))
    await sleeping(superuser)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sessions_end(superuser)


async def test_a_database_that_is_closed_ends_what_is_under_way(
    url: str, superuser: asyncpg.Connection
) -> None:
    """Leaving does not wait for a statement that sleeps."""
    async with PostgresDatabase(url, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        task = asyncio.create_task(Client(database).run(ENDLESS["sleep"]))
        await sleeping(superuser)
    await asyncio.wait([task])
    assert task.exception() is not None
    await sessions_end(superuser)


@pytest.mark.parametrize("writing", [True, False])
async def test_rows_beyond_the_bound_are_cut(small: Client, writing: bool) -> None:
    """Of more rows than the bound the first are answered, before the last is made, and it says so."""
    found = await small.run("select generate_series(1, 1000000000000)", writing=writing)
    assert found == Rows(("generate_series",), [(number,) for number in range(1, 11)], truncated=True)
    ten = await small.run("select generate_series(1, 10)", writing=writing)
    assert ten is not None
    assert not ten.truncated


@pytest.mark.parametrize("writing", [True, False])
async def test_bytes_beyond_the_bound_are_cut(small: Client, writing: bool) -> None:
    """Of more bytes than the bound the first rows are answered, and it says so."""
    found = await small.run("select repeat('x', 30000) from generate_series(1, 9)", writing=writing)
    assert found is not None
    assert (len(found.rows), found.truncated) == (3, True)


HUGE = {
    "a text": "select repeat('x', 200000000)",
    "an error": "do $$ begin raise exception '%', repeat('x', 200000000); end $$",
    "notices": """
        do $$ begin
            perform set_config('client_min_messages', 'notice', false);
            loop raise notice '%', repeat('x', 1000000); end loop;
        end $$""",
    "small notices": """
        do $$ begin
            perform set_config('client_min_messages', 'notice', false);
            loop raise notice 'x'; end loop;
        end $$""",
    "many texts": "select repeat('x', 90000) from generate_series(1, 1000000)",
    "what was written": "insert into wide select repeat('x', 50000000) returning a",
}


@pytest.mark.parametrize("huge", HUGE.values(), ids=HUGE)
async def test_a_huge_answer_is_never_held(
    url: str, client: Client, superuser: asyncpg.Connection, huge: str
) -> None:
    """What is larger than the bounds takes no memory of the service."""
    await client.run("create table wide (a text)")
    bounds = replace(BOUNDS, timeout_s=5.0)  # which ends only who goes on after all was said
    async with PostgresDatabase(url, bounds, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        tracemalloc.start()
        try:
            (found,) = await asyncio.gather(Client(database).run(huge), return_exceptions=True)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(found, QueryFailed) or (isinstance(found, Rows) and found.truncated)
    assert peak_bytes < 32 << 20
    await sessions_end(superuser)
    assert await client.one("select count(*) from wide") == 0


async def test_what_is_written_is_kept_where_its_answer_is_cut(small: Client) -> None:
    """An INSERT whose RETURNING is cut has inserted all; a SELECT that writes while it answers, nothing."""
    await small.run("create table t (a int)")
    returned = await small.run("insert into t select generate_series(1, 1000) returning a")
    assert returned is not None
    assert (len(returned.rows), returned.truncated) == (10, True)
    assert await small.one("select count(*) from t") == 1000
    await small.run(
        "create function put(int) returns int language sql as 'insert into t values ($1) returning a'"
    )
    with pytest.raises(QueryFailed, match="nothing was written"):
        await small.run("select put(i) from generate_series(1, 1000) i")
    assert await small.one("select count(*) from t") == 1000
    assert await small.run("select put(i) from generate_series(1, 5) i") is not None
    assert await small.one("select count(*) from t") == 1005


async def test_very_many_at_once(client: Client, superuser: asyncpg.Connection) -> None:
    """Of 200 at once each is answered or told to come back, and the service keeps its own connections."""
    asked = [asyncio.create_task(client.read("select 1 from pg_sleep(1)")) for _ in range(200)]
    await asyncio.sleep(0)
    assert await superuser.fetchval("select 1") == 1
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in found} <= {list, Busy}
    assert found.count([(1,)]) >= 64
    await sessions_end(superuser)
    assert await client.one("select 1") == 1


async def test_spill_is_bounded(client: Client) -> None:
    """Temporary files of a statement have their limit, which the client cannot change."""
    assert await client.one("select current_setting('temp_file_limit')") == "1GB"
    with pytest.raises(QueryFailed, match="permission denied"):
        await client.run("do $$ begin set temp_file_limit = -1; end $$")
