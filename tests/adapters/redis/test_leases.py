"""The lease of a large append: who waits for it, what its loss costs, and what a dead holder leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from service.adapters.redis import RedisStorage
from service.domain.errors import Busy, StoreUnavailable
from service.ports.storage import Commit, OnConflict
from tests.adapters.redis.laid import META, body_of, fill, leased, put_behind, until
from tests.clocks import FakeClock
from tests.contract.steps import KEYED, SCHEMA, append, everything, keyed, load, records
from tests.servers.redis import RedisServer
from tests.waiting import PATIENCE_S


async def test_writers_wait_for_a_large_append(server: RedisServer, clock: FakeClock) -> None:
    """While another process appends, writes of records wait, for a bounded time; replace and delete do not."""
    async with (
        RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S, wait_s=0.3) as storage,
        RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S, wait_s=PATIENCE_S) as patient,
    ):
        await load(storage, keyed(range(3)))
        writes: list[Callable[[], Any]] = [
            lambda: append(storage, keyed([5])),
            lambda: append(storage, fill(10, 2000)),
            lambda: storage.datasets.put_record("d", 0, b"{}", key="0", schema=KEYED),
            lambda: storage.datasets.delete_record("d", 0),
            lambda: storage.datasets.put_schema("d", replace(KEYED, title="T")),
        ]
        with leased(server):
            for write in writes:
                with pytest.raises(Busy):
                    await write()
            assert await everything(storage) == records(range(3))
            await load(storage, keyed(range(4)))
            waiting = asyncio.create_task(append(patient, keyed([7])))
            await asyncio.sleep(0.05)
        assert (await waiting).first_position == 4
        with leased(server):
            await storage.datasets.delete("d")


async def test_writers_of_one_process_wait_for_one_another_for_a_bounded_time(
    server: RedisServer, clock: FakeClock
) -> None:
    """Who stands in the queue of a dataset for too long is told so."""
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S, wait_s=0.2) as storage:
        await load(storage, records([1]))
        with leased(server):
            outcomes = await asyncio.gather(
                *(append(storage, records([2])) for _ in range(5)), return_exceptions=True
            )
        assert all(isinstance(one, Busy) for one in outcomes)


@pytest.mark.parametrize("count", [0, 3, 256, 300])
async def test_what_a_dead_appender_left_is_never_seen(
    storage: RedisStorage, server: RedisServer, count: int
) -> None:
    """Rows behind the last position are not read, and the next append, small or large, stands in their place."""
    await load(storage, [b"%d" % number for number in range(count)])
    expected = [b"%d" % number for number in range(count)]
    for large in (False, True):
        put_behind(server, [b"left"] * 600, len(expected))
        assert await everything(storage) == expected
        found = await storage.datasets.slice("d", limit=9, after=len(expected) - 2)
        assert list(found.records) == expected[-1:]
        added = list(fill(0, 1200, keys=False).records) if large else records(range(3))
        assert (await append(storage, added)).first_position == len(expected)
        expected += added
        assert await everything(storage) == expected


async def test_what_a_dead_appender_left_is_swept(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """A sweep removes rows behind the last position with their keys, unless their writer lives."""
    await load(storage, keyed(range(3)))
    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter() if b":names" not in key}
    put_behind(server, [b"left\x00k1", b"left\x00k2"], 3)
    for key in ("k1", "k2"):
        part = storage._heads.keys("d").index(body_of(server), key.encode())
        server.execute("HSET", part, key, 3)
    server.execute("ZADD", "aerolite:garbage", 1, "d")
    with leased(server):
        assert await storage.sweep(clock.now()) == 0
    assert await storage.sweep(clock.now()) == 1
    assert await storage.sweep(clock.now()) == 0
    with server.client() as client:
        after = {key: client.dump(key) for key in client.scan_iter() if b":names" not in key}
    assert set(after) == set(before) - {b"aerolite:garbage"}
    assert (await append(storage, keyed([9]))).first_position == 3


async def test_a_large_append_whose_lease_was_lost_commits_nothing(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A process that stood still for too long is fenced off: its steps and its commit come to nothing."""
    await load(storage, records(range(3)))

    async def grow() -> Commit:
        async with storage.datasets.append("d") as writer:
            for number in range(20):
                await writer.add(fill(number * 1000, 1000, keys=False))
            return await writer.commit(SCHEMA)

    growing = asyncio.create_task(grow())
    await until(lambda: int(server.execute("HGET", META, "staged") or 0) > 3)
    server.execute("SET", "aerolite:{d}:lease", "another")
    with pytest.raises(StoreUnavailable, match="stood still"):
        await growing
    server.execute("DEL", "aerolite:{d}:lease")
    assert await everything(storage) == records(range(3))
    assert (await append(storage, records([3]))).first_position == 3
    assert await everything(storage) == records(range(4))


@pytest.mark.parametrize("on_conflict", [OnConflict.FAIL, OnConflict.REPLACE])
async def test_a_large_append_of_which_redis_lost_steps_commits_nothing(
    storage: RedisStorage, server: RedisServer, on_conflict: OnConflict
) -> None:
    """Where a crash took steps that were acknowledged, the commit does not find the note of the last one."""
    await load(storage, keyed(range(10**6, 10**6 + 3)))
    fenced = ("HGET", META, "staged") if on_conflict is OnConflict.FAIL else ("HLEN", "aerolite:{d}:staged")
    growing = asyncio.create_task(append(storage, fill(0, 9000), on_conflict=on_conflict))
    await until(lambda: server.execute(*fenced))
    while not growing.done():  # as if Redis had gone back to before
        if server.execute("HEXISTS", META, "staged"):
            server.execute("HSET", META, "staged", 4)
        with server.client() as client:
            for body in client.hkeys("aerolite:{d}:staged"):
                client.hset("aerolite:{d}:staged", body, "1 3 done")
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="stood still"):
        await growing
    assert await everything(storage) == records(range(10**6, 10**6 + 3))
