"""Reading over holes, over losses, and while records change."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.redis import RedisStorage
from service.domain.errors import StoreError
from tests.adapters.redis.laid import META, body_of
from tests.clocks import FakeClock
from tests.contract.steps import SCHEMA, everything, keyed, load, positions
from tests.servers.redis import RedisServer


async def test_a_long_run_of_holes_is_jumped(storage: RedisStorage, server: RedisServer) -> None:
    """Where more positions are gone than are looked at together, the next record is found at once."""
    count, gone = 140_000, range(256, 256 * 530)
    await load(storage, [b"%d" % number for number in range(count)])
    body = f"aerolite:{{d}}:{body_of(server)}"
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for bucket in range(1, 530):  # what removals come to, but many at a time
            pipeline.unlink(f"{body}:r:{bucket}")
            pipeline.rpush(f"{body}:r:{bucket}", *[""] * 256)
        pipeline.setrange(f"{body}:holes", gone.start // 8, b"\xff" * (len(gone) // 8))
        pipeline.hset(f"{body}:groups", mapping={0: 65_280, 1: 65_536, 2: len(gone) - 130_816})
        for field, change in (("count", -len(gone)), ("edits", 1), ("revision", 1)):
            pipeline.hincrby(META, field, change)
        pipeline.execute()
    live = [*range(256), *range(gone.stop, count)]
    for start in (0, 10, 255, 256, 257, 1000):
        found = await storage.datasets.slice("d", rank=start, limit=50)
        assert list(found.positions) == live[start : start + 50]
    for after in (-2, -1, 0, 254, 255, 256, 5000, 66_000, gone.stop - 2, gone.stop - 1, gone.stop):
        found = await storage.datasets.slice("d", after=after, limit=5)
        expected = [position for position in live if position > after]
        assert list(found.positions) == expected[:5]
        assert found.start == len(live) - len(expected)
    assert await positions(storage) == live


async def test_records_that_redis_lost_are_told(storage: RedisStorage, server: RedisServer) -> None:
    """Where Redis threw records away there is an error, never others in their place or a short answer."""
    await load(storage, keyed(range(1000)))
    server.execute("DEL", f"aerolite:{{d}}:{body_of(server)}:r:2")
    assert len((await storage.datasets.slice("d", limit=512)).records) == 512
    for attempt in (
        lambda: storage.datasets.slice("d", limit=513),
        lambda: storage.datasets.slice("d", rank=700, limit=1),
        lambda: storage.datasets.record("d", position=600),
        lambda: storage.datasets.record("d", key="600"),
        lambda: everything(storage),
    ):
        with pytest.raises(StoreError, match="has lost records"):
            await attempt()
    server.execute("HINCRBY", META, "count", 24)
    with pytest.raises(StoreError, match="has lost records"):
        await storage.datasets.slice("d", rank=1000, limit=1)


async def test_a_slice_in_parts_is_of_one_revision(storage: RedisStorage, clock: FakeClock) -> None:
    """A slice of several mebibytes is consistent, and ends, while its records change all the time."""
    content = [b'{"v": 0, "n": %d, "fill": "%s"}' % (n, b"f" * 1000) for n in range(4000)]
    await load(storage, content)
    done = asyncio.Event()

    async def change() -> None:
        value = 0
        while not done.is_set():
            value += 1
            for position in (0, 3999):  # the first is never behind the last
                changed = content[position].replace(b'"v": 0', b'"v": %d' % value)
                await storage.datasets.put_record("d", position, changed, key=None, schema=SCHEMA)

    writer = asyncio.create_task(change())
    for _ in range(15):
        found = await storage.datasets.slice("d", limit=10_000)
        first, last = (int(found.records[at].split(b",")[0][6:]) for at in (0, -1))
        assert first - last in {0, 1}
        assert found.dataset.edits == 2 * last + (first - last)
        assert list(found.records[1:-1]) == content[1:-1]
    done.set()
    await writer
