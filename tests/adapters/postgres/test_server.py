"""What the server is asked to be, and what is made in its database."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest

from service.adapters.postgres import PostgresStorage
from service.adapters.postgres.connections import Lane
from service.adapters.postgres.migrations import Migrations
from service.domain.errors import Busy, StoreUnavailable
from service.domain.records import Batch
from tests.clocks import FakeClock
from tests.contract.steps import append, everything, keyed, load, records
from tests.contract.test_failures import works
from tests.servers.postgres import PostgresServer, postgres_server
from tests.waiting import PATIENCE_S


async def run(url: str, statement: str) -> list[tuple[object, ...]]:
    """Return what a statement finds."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_a_durable_server_is_not_warned_about(storage: PostgresStorage) -> None:
    """A server with its defaults keeps what it acknowledges."""
    assert storage.warnings() == ()


async def test_a_process_has_no_more_connections_than_are_documented(url: str) -> None:
    """All that reads, streams, commits and loads at the same time makes 33; who comes then waits."""
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
        async with AsyncExitStack() as stack:
            await storage.ping()
            await storage.datasets.dataset("d")
            connections = storage._connections
            for lane in Lane:
                for _ in range(lane.size(8)):
                    await stack.enter_async_context(connections.link(lane))
            own = "application_name = 'aerolite' AND datname = current_database()"
            assert await run(url, f"SELECT count(*) FROM pg_stat_activity WHERE {own}") == [(33,)]
            waiting = asyncio.create_task(storage.documents.get("key", "k"))
            await asyncio.wait({waiting}, timeout=0.1)
            assert not waiting.done()
        assert await waiting is None


async def test_who_waits_too_long_for_a_connection_is_told(storage: PostgresStorage, url: str) -> None:
    """A call is told to come back where all connections for it stay in use."""
    async with PostgresStorage(url, clock=FakeClock(), pool_size=1, timeout_s=2.0) as hurried:
        await works(hurried)
        async with hurried._connections.link(Lane.READ):
            with pytest.raises(Busy, match="in use"):
                await hurried.documents.get("key", "k")


async def test_a_server_that_forgets_is_warned_about() -> None:
    """Settings that a session cannot change, and that cost records, are told after the first contact."""
    async with (
        postgres_server({"fsync": "off", "full_page_writes": "off"}) as server,
        PostgresStorage(server.url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage,
    ):
        assert storage.warnings() == ()
        await storage.ping()
        warnings = storage.warnings()
    assert [setting for one in warnings for setting in one.split() if "=off" in setting] == [
        "fsync=off:",
        "full_page_writes=off:",
    ]


async def test_what_is_acknowledged_survives_where_commits_are_asynchronous() -> None:
    """The server's default may be to acknowledge what it has not written: our commits are on the disk."""
    lazy = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    async with (
        postgres_server(lazy) as server,
        PostgresStorage(server.url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage,
    ):
        await load(storage, records([0]))
        for number in range(1, 6):
            await append(storage, records([number]))
        await storage.documents.create("key", "k", {"n": 1})
        server.kill()
        server.start()
        async with PostgresStorage(server.url, clock=FakeClock(), timeout_s=PATIENCE_S) as after:
            assert await everything(after) == records(range(6))
            assert await after.documents.get("key", "k") is not None


async def test_a_read_only_server_is_told(server: PostgresServer, url: str) -> None:
    """A standby or a server that refuses writes is not ready, whether the tables are there or not."""
    name = url.rpartition("/")[2]
    await server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
        with pytest.raises(StoreUnavailable, match=r"is read-only \(a standby\?\)"):
            await storage.ping()
    await server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
        await load(storage, records([0]))
    await server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
        with pytest.raises(StoreUnavailable, match=r"is read-only \(a standby\?\)"):
            await storage.ping()
        with pytest.raises(StoreUnavailable, match=r"is read-only \(a standby\?\)"):
            await append(storage, records([1]))
        assert await everything(storage) == records([0])


async def test_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    """Each waits for the one that makes them; none fails."""
    storages = [PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) for _ in range(6)]
    for storage in storages:
        await storage.__aenter__()
    await asyncio.gather(*(storage.ping() for storage in storages))
    assert await run(url, "SELECT number FROM aerolite.migrations ORDER BY number") == [(1,), (2,)]
    for storage in storages:
        await storage.__aexit__(None, None, None)


async def test_a_newer_database_is_left_as_it_is(storage: PostgresStorage, url: str) -> None:
    """During a rolling update the older release goes on."""
    await run(url, "INSERT INTO aerolite.migrations (number) VALUES (999)")
    connection = await asyncpg.connect(url)
    migrations = Migrations()
    await migrations.apply(connection)
    await connection.close()
    assert migrations.done
    assert (await run(url, "SELECT max(number) FROM aerolite.migrations")) == [(999,)]


async def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    """Where something is in the way, all of it is undone, and works once it is gone."""
    await run(url, "CREATE SCHEMA aerolite")
    await run(url, "CREATE TABLE aerolite.records ()")
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage:
        with pytest.raises(Exception, match="already exists"):
            await storage.ping()
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'aerolite'"
        assert await run(url, tables) == [("records",)]
        await run(url, "DROP TABLE aerolite.records")
        await storage.ping()


async def test_other_roles_do_not_reach_the_tables(
    storage: PostgresStorage, server: PostgresServer, url: str
) -> None:
    """A role of the same database, such as that of the clients' SQL, sees no record and calls no function."""
    await load(storage, records([0]))
    await server.execute("DROP ROLE IF EXISTS client")
    await server.execute("CREATE ROLE client LOGIN PASSWORD 'client'")
    host = url.rpartition("@")[2]
    for statement in ("SELECT * FROM aerolite.records", "SELECT aerolite.rank_of(1, 1)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(f"postgresql://client:client@{host}", statement)


async def test_keys_of_any_length_are_unique(storage: PostgresStorage) -> None:
    """A key longer than an index entry may be is told from one that differs in its last character."""
    keys = ["k" * 1_000_000 + last for last in "abc"]
    await load(storage, Batch(records(range(3)), keys))
    for number, key in enumerate(keys):
        assert (await storage.datasets.record("d", key=key)).position == number


async def test_questions_that_come_together_are_one_lookup() -> None:
    """A hundred requests at once cost two lookups at most: the one under way, and the one for all others."""
    async with (
        postgres_server({"log_statement": "all"}) as server,
        PostgresStorage(server.url, clock=FakeClock(), timeout_s=PATIENCE_S) as storage,
    ):
        await load(storage, keyed(range(3)))
        await storage.datasets.dataset("d")
        before = server.log().count("unnest($1::text[], $2::bigint[])")
        found = await asyncio.gather(*(storage.datasets.dataset("d") for _ in range(100)))
        lookups = server.log().count("unnest($1::text[], $2::bigint[])") - before
    assert len({id(one) for one in found}) == 1
    assert lookups in {1, 2}


async def test_a_database_that_was_put_in_the_place_of_another_is_noticed(
    storage: PostgresStorage, url: str
) -> None:
    """A dataset that was seen and is no more, without a deletion of ours, is not remembered."""
    await load(storage, records([0]))
    assert await storage.datasets.dataset("d") is not None
    await run(url, "TRUNCATE aerolite.datasets")
    assert await storage.datasets.dataset("d") is None
    assert await storage.datasets.last_revision("d") == 0


async def test_a_large_lot_is_swept_in_steps(storage: PostgresStorage, url: str) -> None:
    """What was replaced is removed by thousands, the last step with its holes."""
    await load(storage, [b"{}"] * 12_000)
    await storage.datasets.delete_record("d", 11_000)
    await load(storage, records([1]))
    clock = FakeClock()
    later = clock.move(minutes=11)
    assert await storage.sweep(later) == 1
    for table, left in (("records", 1), ("holes", 0), ("retired", 0)):
        assert await run(url, f"SELECT count(*) FROM aerolite.{table}") == [(left,)]
