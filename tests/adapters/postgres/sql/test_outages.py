"""A server that goes away, stands still or is full, while clients' statements run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from service.adapters.postgres_sql import PostgresDatabase
from service.domain.errors import Busy, OutcomeUnknown, OutOfSpace, QueryFailed, StoreUnavailable
from tests.adapters.postgres.proxy import Cut, Proxy, proxied
from tests.servers.postgres import PostgresServer, postgres_server
from tests.waiting import PATIENCE_S, patience

from .conftest import BOUNDS, Client, sleeping

ANSWER_S = 4.0
"""What says nothing for so long counts as gone: long enough for a slow machine to say something."""

HANGING_S = 30.0
"""An answer that is this late has waited for something else."""


@pytest.fixture
async def kept(client: Client) -> Client:
    """Give the client with a table of one row."""
    await client.run("create table kept as select 1 as a")
    return client


async def test_a_server_that_stands_still_counts_as_gone(
    kept: Client, url: str, server: PostgresServer, superuser: asyncpg.Connection
) -> None:
    """Neither a statement that runs nor one that comes waits for it, and later all go on."""
    async with PostgresDatabase(url, BOUNDS, shows_datasets=False, timeout_s=ANSWER_S) as database:
        hurried = Client(database)
        running = asyncio.create_task(hurried.run("select pg_sleep(1000)"))
        await sleeping(superuser)
        with server.paused():
            async with asyncio.timeout(HANGING_S):
                found = await asyncio.gather(running, hurried.run("select 1"), return_exceptions=True)
        assert [type(each) for each in found] == [StoreUnavailable, StoreUnavailable]
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_server_that_is_gone_is_named(kept: Client, server: PostgresServer) -> None:
    """The error says which server does not answer, without its password."""
    await asyncio.to_thread(server.stop)
    try:
        async with asyncio.timeout(HANGING_S):
            with pytest.raises(StoreUnavailable, match="nothing listens") as caught:
                await kept.run("select 1")
        assert "s3cret" not in caught.value.detail
    finally:
        await asyncio.to_thread(server.start)
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_server_that_is_killed_has_written_nothing(
    kept: Client, server: PostgresServer, superuser: asyncpg.Connection
) -> None:
    """A statement that was under way fails as unavailable, and left nothing."""
    task = asyncio.create_task(kept.run("insert into kept select 2 from pg_sleep(1000)"))
    await sleeping(superuser)
    await asyncio.to_thread(server.kill)
    with pytest.raises(StoreUnavailable):
        await task
    await asyncio.to_thread(server.start)
    assert await kept.read("select * from kept") == [(1,)]


async def test_a_session_that_an_operator_ends_is_unavailable(
    kept: Client, superuser: asyncpg.Connection
) -> None:
    """What the server does is told from what the statement does wrong."""
    task = asyncio.create_task(kept.run("select pg_sleep(1000)"))
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
        # Where the network is silent, a statement is given up when its time is over.
        PostgresDatabase(
            address, replace(BOUNDS, timeout_s=5.0), shows_datasets=False, timeout_s=ANSWER_S
        ) as database,
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
    async with patience():
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
        async with PostgresDatabase(
            server.url, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S
        ) as database:
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
            loop  -- until the other has its first, too
                begin
                    perform from pair where a = second for update nowait;
                    raise exception 'which lets go of it';
                exception
                    when lock_not_available then exit;
                    when raise_exception then perform pg_sleep(0.01);
                end;
            end loop;
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
