"""A server that goes away, stands still or is full, while clients' statements run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.adapters.postgres_sql import PostgresDatabase
from service.domain.errors import Busy, OutcomeUnknown, OutOfSpace, QueryFailed, StoreUnavailable
from tests.adapters.postgres.proxy import Cut, Proxy, proxied
from tests.servers.postgres import PostgresServer, postgres_server

from .conftest import BOUNDS, Client

ANSWER_S = 3.0
"""The two seconds of the port, and one for a busy machine."""


@pytest.fixture
async def kept(client: Client) -> Client:
    """Give the client with a table of one row."""
    await client.run("create table kept as select 1 as a")
    return client


async def test_a_server_that_stands_still_counts_as_gone(kept: Client, server: PostgresServer) -> None:
    """Neither a statement that runs nor one that comes waits longer than two seconds, and later all go on."""
    running = asyncio.create_task(kept.run("select pg_sleep(4)"))
    await asyncio.sleep(0.5)
    with server.paused():
        started = time.monotonic()
        found = await asyncio.gather(running, kept.run("select 1"), return_exceptions=True)
        assert [type(each) for each in found] == [StoreUnavailable, StoreUnavailable]
        assert time.monotonic() - started < ANSWER_S + 1.6  # the running session is to be ended, too
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_server_that_is_gone_is_named(kept: Client, server: PostgresServer) -> None:
    """The error says which server does not answer, without its password."""
    await asyncio.to_thread(server.stop)
    try:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="nothing listens") as caught:
            await kept.run("select 1")
        assert time.monotonic() - started < ANSWER_S
        assert "s3cret" not in caught.value.detail
    finally:
        await asyncio.to_thread(server.start)
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_server_that_is_killed_has_written_nothing(kept: Client, server: PostgresServer) -> None:
    """A statement that was under way fails as unavailable, and left nothing."""
    task = asyncio.create_task(kept.run("insert into kept select 2 from pg_sleep(60)"))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.kill)
    with pytest.raises(StoreUnavailable):
        await task
    await asyncio.to_thread(server.start)
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_session_that_an_operator_ends_is_unavailable(
    kept: Client, superuser: asyncpg.Connection
) -> None:
    """What the server does is told from what the statement does wrong."""
    task = asyncio.create_task(kept.run("select pg_sleep(60)"))
    end = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'"
    while not await superuser.fetch(end):
        assert not task.done()
    with pytest.raises(StoreUnavailable, match="administrator command"):
        await task


@pytest.fixture
async def cut(url: str, kept: Client) -> AsyncIterator[tuple[PostgresDatabase, Proxy]]:
    """Give the same database through a network that can be cut."""
    async with (
        proxied(url) as (proxy, address),
        PostgresDatabase(address, BOUNDS, shows_datasets=False) as database,
    ):
        await Client(database).read("select 1")
        yield database, proxy


@pytest.mark.parametrize(("where", "written"), [(Cut.AFTER, 1), (Cut.BEFORE, 0), (Cut.SILENCE, 0)])
async def test_a_commit_without_an_answer_is_in_doubt(
    kept: Client, cut: tuple[PostgresDatabase, Proxy], where: Cut, written: int
) -> None:
    """Whether the commit arrived or not, the error says that nobody knows."""
    database, proxy = cut
    proxy.cut, proxy.word = where, b"COMMIT\0"
    with pytest.raises(OutcomeUnknown):
        await Client(database).run("insert into kept values (2)")
    async with asyncio.timeout(5):
        while await kept.one("select count(*) from kept") != 1 + written:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("where", [Cut.BEFORE, Cut.SILENCE])
async def test_a_session_that_is_lost_at_its_beginning_is_unavailable(
    cut: tuple[PostgresDatabase, Proxy], where: Cut
) -> None:
    """A network that fails before the statement has begun is no fault of the statement."""
    database, proxy = cut
    proxy.cut, proxy.word = where, b"BEGIN ISOLATION"
    with pytest.raises(StoreUnavailable, match=r"does not (begin a transaction|answer)"):
        await Client(database).run("select 1")


async def test_a_full_disk_is_told() -> None:
    """Where the server has no room the error says so, and nothing was written."""
    async with postgres_server(wal_segment_mib=1) as server:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start, max_file_bytes=2 << 20)
        async with PostgresDatabase(server.url, BOUNDS, shows_datasets=False) as database:
            client = Client(database)
            await client.run("create table kept as select 1 as a")
            with pytest.raises(OutOfSpace):
                await client.run("insert into kept select generate_series(1, 200000)")
            with pytest.raises(QueryFailed, match="File too large"):
                await client.run(
                    "do $$ begin raise exception 'File too large' using errcode = '53100'; end $$"
                )
            assert await client.read("select * from kept") == [(1,)]


async def test_a_lock_that_is_not_had_is_busy(kept: Client, superuser: asyncpg.Connection) -> None:
    """Who waits in vain for another's transaction is told to come again."""
    async with superuser.transaction():
        await superuser.execute("lock table sql.kept in access exclusive mode")
        with pytest.raises(Busy, match="lock timeout"):
            await kept.run("do $$ begin set local lock_timeout = '100ms'; perform from kept; end $$")
    assert await kept.read("select * from kept") == [(1,)]


async def test_writes_that_exclude_each_other_are_busy(kept: Client) -> None:
    """A deadlock ends by one statement's giving way."""
    await kept.run("create table pair as select i as a from generate_series(1, 2) i")
    await kept.run("""
        create procedure cross_over(first int, second int) language plpgsql as $$ begin
            perform from pair where a = first for update;
            perform pg_sleep(0.3);
            perform from pair where a = second for update;
        end $$""")
    calls = (kept.run("call cross_over(1, 2)"), kept.run("call cross_over(2, 1)"))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["Busy", "NoneType"]


async def test_a_server_that_only_reads_refuses_writers(kept: Client, superuser: asyncpg.Connection) -> None:
    """Who may write is told apart from who may not, where the error is the same."""
    await superuser.execute("alter system set default_transaction_read_only = on")
    await superuser.execute("select pg_reload_conf()")
    try:
        assert await kept.read("select * from kept") == [(1,)]
        await kept.run("insert into kept values (2)")  # a default, which a writing statement overrides
        assert await kept.one("select count(*) from kept") == 2
    finally:
        await superuser.execute("set default_transaction_read_only = off")
        await superuser.execute("alter system reset default_transaction_read_only")
        await superuser.execute("select pg_reload_conf()")
