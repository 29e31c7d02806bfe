"""What a process knows of datasets: asked once for all who wait, and bounded."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.redis import RedisStorage
from tests.adapters.redis.laid import META
from tests.clocks import FakeClock
from tests.contract.steps import load, records
from tests.servers.redis import RedisServer
from tests.waiting import PATIENCE_S


async def test_one_question_serves_all_who_wait(storage: RedisStorage, server: RedisServer) -> None:
    """Five hundred requests at once ask Redis a few times, and five hundred in turn each ask."""
    commit = await load(storage, records([1]))
    assert await storage.datasets.dataset("d") == commit.dataset
    server.execute("CONFIG", "RESETSTAT")
    found = await asyncio.gather(*(storage.datasets.dataset("d") for _ in range(500)))
    assert found == [commit.dataset] * 500
    assert server.execute("INFO", "commandstats")["cmdstat_hmget"]["calls"] <= 2
    for _ in range(500):
        await storage.datasets.dataset("d")
    assert server.execute("INFO", "commandstats")["cmdstat_hmget"]["calls"] >= 500


async def test_a_caller_that_goes_away_takes_nobody_along(storage: RedisStorage) -> None:
    """Requests that share a question are cancelled one by one."""
    commit = await load(storage, records([1]))
    tasks = [asyncio.create_task(storage.datasets.dataset("d")) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == [commit.dataset] * 10
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])


async def test_closing_ends_what_is_being_asked(server: RedisServer, clock: FakeClock) -> None:
    """Nobody waits for a storage that is closed."""
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as storage:
        await storage.ping()
        task = asyncio.create_task(storage.datasets.dataset("d"))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_more_datasets_than_are_kept_in_memory_work(storage: RedisStorage, server: RedisServer) -> None:
    """What a process knows of datasets is bounded; those that fell out are read anew."""
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        await load(storage, records([1]))
        meta = client.hgetall(META)
        for number in range(5000):
            pipeline.hset(f"aerolite:{{e{number}}}:meta", mapping=meta)
            pipeline.sadd("aerolite:names", f"e{number}")
        pipeline.execute()
    assert len(await storage.datasets.datasets()) == 5001
    assert len(storage._heads._known) == 4096
    found = await storage.datasets.dataset("e1")
    assert found is not None
    assert found.name == "e1"
