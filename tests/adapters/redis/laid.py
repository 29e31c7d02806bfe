"""What a test lays into Redis, or looks for there, beside the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from service.domain.records import Batch
from tests.servers.redis import RedisServer
from tests.waiting import patience

META = "aerolite:{d}:meta"


def fill(start: int, count: int, *, keys: bool = True) -> Batch:
    """Return records with long bytes: a few thousand are more than one step."""
    numbers = range(start, start + count)
    content = [b'{"n": %d, "fill": "%s"}' % (number, b"f" * 400) for number in numbers]
    return Batch(content, [str(number) for number in numbers] if keys else None)


def body_of(server: RedisServer) -> str:
    """Return the name of the body that is read."""
    return str(server.execute("HGET", META, "body").decode())


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    async with patience():
        while not holds():
            await asyncio.sleep(0)


@contextmanager
def leased(server: RedisServer) -> Iterator[None]:
    """Hold the lease, as a large append of another process does."""
    server.execute("SET", "aerolite:{d}:lease", "another", "PX", 3_600_000)
    yield
    server.execute("DEL", "aerolite:{d}:lease")


def put_behind(server: RedisServer, rows: list[bytes], first: int) -> None:
    """Leave behind what a large append of a process that died did."""
    body = body_of(server)
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for position, row in enumerate(rows, first):
            pipeline.rpush(f"aerolite:{{d}}:{body}:r:{position // 256}", row)
        pipeline.hset(META, "staged", first + len(rows))
        pipeline.execute()
