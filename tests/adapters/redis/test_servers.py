"""Servers as they are: less durable, old, read-only, silent, or back without their data."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.redis import RedisStorage
from service.domain.errors import OutcomeUnknown, StoreError, StoreUnavailable
from tests.clocks import FakeClock
from tests.contract.steps import append, everything, keyed, load, records
from tests.contract.test_failures import works
from tests.servers.redis import PASSWORD, RedisServer, redis_server
from tests.waiting import PATIENCE_S, patience


async def test_what_is_missing_for_durability_is_warned_of(server: RedisServer, clock: FakeClock) -> None:
    """A durable server gives no warning; each setting that loses data gives one, as it is at the last ping."""
    cases = [
        ({}, []),
        ({"appendfsync": "everysec"}, ["appendfsync"]),
        ({"appendonly": "no"}, ["appendonly"]),
        ({"maxmemory-policy": "allkeys-lru"}, ["maxmemory-policy"]),
        ({"appendonly": "no", "maxmemory-policy": "volatile-ttl"}, ["appendonly", "maxmemory-policy"]),
    ]
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as storage:
        assert storage.warnings() == ()
        for settings, words in cases:
            for name, value in settings.items():
                server.execute("CONFIG", "SET", name, value)
            await storage.ping()
            found = storage.warnings()
            server.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
            server.execute("CONFIG", "SET", "appendfsync", "always")
            server.execute("CONFIG", "SET", "appendonly", "yes")
            assert len(found) == len(words)
            assert all(word in warning for word, warning in zip(words, found, strict=True))
            assert PASSWORD not in "".join(found)


async def test_an_old_server_is_refused(storage: RedisStorage) -> None:
    """Before 6.2 there is no COPY; a version that is not told is taken as it is."""
    with pytest.raises(StoreError, match=r"of version 6\.0\.16; Aerolite needs 6\.2"):
        storage._check("here", "# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\n")
    storage._check("here", "# Server\r\nredis_version:7.4.1\r\n")
    storage._check("here", "")


async def test_a_read_only_replica_refuses_writes(storage: RedisStorage, server: RedisServer) -> None:
    """What is not the primary is told as such; nothing is written."""
    await load(storage, records([1]))
    server.execute("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await append(storage, records([2]))
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await load(storage, records([2]), name="new")
    finally:
        server.execute("REPLICAOF", "NO", "ONE")
    assert await everything(storage) == records([1])


async def test_a_commit_that_was_sent_and_not_answered_is_unknown(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """On a connection that stands the write may be heard: its outcome is unknown, not refused."""
    async with RedisStorage(server.url, clock=clock, timeout_s=4) as hurried:
        await works(hurried)
        await hurried.documents.create("job", "a", {})
        with server.paused(), pytest.raises(OutcomeUnknown, match="whole or not there"):
            await hurried.documents.create("job", "b", {})
    async with patience():
        while await storage.documents.get("job", "b") is None:
            await asyncio.sleep(0.01)


async def test_scripts_that_the_server_forgot_are_sent_again(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A server that was restarted or flushed knows no scripts: every kind of call goes on."""
    for number in range(3):
        server.execute("SCRIPT", "FLUSH")
        await load(storage, keyed(range(5)))
        server.execute("SCRIPT", "FLUSH")
        await storage.datasets.delete_record("d", 1)
        server.execute("SCRIPT", "FLUSH")
        assert await everything(storage) == records([0, 2, 3, 4])
        server.execute("SCRIPT", "FLUSH")
        await storage.documents.add("usage", "a", {"n": 1})
        counted = await storage.documents.get("usage", "a")
        assert counted is not None
        assert counted.body == {"n": number + 1}


async def test_a_server_that_lost_its_data_is_believed(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """What is cached of a dataset goes when the store has it no more, or another of the same revision."""
    first = await load(storage, records([1]))
    assert await storage.datasets.dataset("d") == first.dataset
    server.execute("FLUSHALL")
    assert await storage.datasets.dataset("d") is None
    clock.move(hours=1)
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as other:
        second = await load(other, records([2, 3]))
    assert second.dataset.revision == first.dataset.revision
    assert await storage.datasets.dataset("d") == second.dataset
    assert await everything(storage) == records([2, 3])


async def test_a_server_without_a_log_loses_only_what_it_did_not_write(clock: FakeClock) -> None:
    """A server that keeps nothing comes back empty, and everything goes on from there."""
    with redis_server() as server:
        async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as storage:
            await load(storage, records([1]))
            server.kill()
            with pytest.raises(StoreUnavailable):
                await storage.datasets.dataset("d")
            server.start()
            assert await storage.datasets.dataset("d") is None
            assert (await load(storage, records([2]))).dataset.revision == 1
