"""Servers that go away, stand still, or are only slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres import PostgresStorage
from service.domain.errors import Busy, OutcomeUnknown, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import AlreadyCommitted, Guard, Idempotency
from tests.clocks import FakeClock
from tests.contract.steps import SCHEMA, append, everything, load, records
from tests.contract.test_failures import works
from tests.servers.postgres import PostgresServer
from tests.waiting import patience

from .proxy import Cut, proxied

ANSWER_S = 4.0
"""What says nothing for so long counts as gone: long enough for a slow machine to say something."""

HANGING_S = 30.0
"""An answer that is this late has waited for something else."""


@pytest.fixture
async def hurried(url: str, storage: PostgresStorage) -> AsyncIterator[PostgresStorage]:
    """Give a replica that does not wait for ever, beside one that does."""
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=ANSWER_S) as opened:
        await works(opened)
        yield opened


async def terminate_all(url: str) -> None:
    """End every other session on the database, as a restart behind a proxy does; return when they are gone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    connection = await asyncpg.connect(url)
    await connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
    async with patience():
        while await connection.fetch(f"SELECT {others}"):
            await asyncio.sleep(0.01)
    await connection.close()


async def test_connections_that_the_server_closed_are_made_anew(storage: PostgresStorage, url: str) -> None:
    """All idle connections may be gone: the next calls do not notice."""
    await load(storage, records(range(3)))
    await asyncio.gather(*(storage.datasets.slice("d", limit=1) for _ in range(8)))
    await terminate_all(url)
    async with patience():
        while True:  # until the news has come
            try:
                await storage.datasets.dataset("d")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.01)
    await asyncio.gather(*(storage.datasets.slice("d", limit=1) for _ in range(8)))
    await append(storage, records([3]))
    assert await everything(storage) == records(range(4))


async def test_a_write_that_is_only_slow_is_not_given_up(
    storage: PostgresStorage, hurried: PostgresStorage, url: str
) -> None:
    """A commit that waits for another writer longer than a dead server is waited for still commits."""
    await load(storage, records([0]))
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM aerolite.datasets WHERE name = 'd' FOR UPDATE")
    waiting = asyncio.create_task(append(hurried, records([1])))
    done, _ = await asyncio.wait([waiting], timeout=ANSWER_S + 1)
    assert not done
    await transaction.rollback()
    await connection.close()
    assert (await waiting).added == 1


async def test_all_who_wait_are_told(
    storage: PostgresStorage, hurried: PostgresStorage, server: PostgresServer
) -> None:
    """Many more calls than there are connections: none waits for the time-outs of others."""
    await load(storage, records(range(3)))
    with server.paused():
        calls = [hurried.datasets.slice("d", limit=1) for _ in range(50)]
        looks = [hurried.datasets.dataset("d") for _ in range(50)]
        async with asyncio.timeout(HANGING_S):
            outcomes = await asyncio.gather(*calls, *looks, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}


async def test_a_copy_that_waits_for_a_server_that_restarted_ends(
    storage: PostgresStorage, hurried: PostgresStorage, server: PostgresServer
) -> None:
    """The driver would wait for ever for room in a socket that is closed; the writer is told."""
    await load(storage, records([0]))
    huge = Batch([b'{"fill": "%s"}' % (b"f" * (4 << 20))] * 8)
    async with hurried.datasets.replace("d") as writer:
        await writer.add(Batch(records([1])))
        with server.paused():
            adding = asyncio.create_task(writer.add(huge))
            await asyncio.sleep(0.05)
            server.kill()
        server.start()
        with pytest.raises(StoreUnavailable):
            await adding
        with pytest.raises(StoreUnavailable):
            await writer.commit(SCHEMA)
    async with patience():
        while True:
            try:
                assert await everything(storage) == records([0])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("cut", Cut)
async def test_a_connection_lost_in_a_commit_is_told_and_settled(
    storage: PostgresStorage, url: str, cut: Cut
) -> None:
    """The outcome is unknown; the same Idempotency-Key finds it, or makes the commit."""
    clock = FakeClock()
    once = Guard(idempotency=Idempotency("k", "f", clock.now() + timedelta(days=1)))
    async with (
        proxied(url) as (proxy, address),
        PostgresStorage(address, clock=clock, timeout_s=ANSWER_S) as hurried,
    ):
        await load(storage, records([0]))
        await works(hurried)
        proxy.cut = cut
        async with asyncio.timeout(HANGING_S):
            with pytest.raises(OutcomeUnknown, match="Idempotency-Key"):
                await append(hurried, records([1]), guard=once)
        proxy.cut = None
        if cut is Cut.AFTER:
            with pytest.raises(AlreadyCommitted) as caught:
                await append(storage, records([1]), guard=once)
            assert caught.value.remembered.commit.added == 1
        else:
            assert (await append(storage, records([1]), guard=once)).added == 1
        assert await everything(storage) == records([0, 1])


async def test_a_connection_lost_before_a_commit_has_written_nothing(
    storage: PostgresStorage, url: str
) -> None:
    """Then the store was unavailable, which is no doubt."""
    async with (
        proxied(url) as (proxy, address),
        PostgresStorage(address, clock=FakeClock(), timeout_s=ANSWER_S) as hurried,
    ):
        await load(storage, records([0]))
        for cut in (Cut.BEFORE, Cut.AFTER):
            proxy.cut, proxy.word = cut, b"BEGIN"
            with pytest.raises(StoreUnavailable):
                await append(hurried, records([1]))
        proxy.cut = None
        assert await everything(storage) == records([0])


async def test_snapshots_leave_room_for_pages(storage: PostgresStorage, url: str) -> None:
    """Who holds all snapshots there may be keeps others from theirs, not from reading and writing."""
    await load(storage, records(range(3)))
    async with PostgresStorage(url, clock=FakeClock(), pool_size=1, timeout_s=ANSWER_S) as small:
        await works(small)
        async with small.datasets.snapshot("d"), small.datasets.snapshot("d"):
            with pytest.raises(Busy, match="in use"):
                async with small.datasets.snapshot("d"):
                    pytest.fail("there should be no third")
            await append(small, records([3]))
            assert (await small.datasets.slice("d", limit=1)).dataset.count == 4
        assert await everything(small) == records(range(4))


async def test_leaving_tells_who_waits(storage: PostgresStorage, url: str, server: PostgresServer) -> None:
    """A storage that is closed while calls wait for a silent server does not leave them waiting."""
    await load(storage, records([0]))
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=ANSWER_S) as leaving:
        await works(leaving)
        with server.paused():
            looking = [asyncio.create_task(leaving.datasets.dataset("d")) for _ in range(3)]
            await asyncio.sleep(0.05)
            await leaving.__aexit__(None, None, None)
            outcomes = await asyncio.gather(*looking, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert "is being left" in str(outcomes[0])
