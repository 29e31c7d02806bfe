"""What a large dataset costs everyone else on the same Redis, and a reader deep inside it.

`python -m benchmarks.redis_latency [records]` starts a server of its own with what Aerolite ships (AOF, fsync
always) and, while records are loaded, replaced, appended, deleted and swept, asks it a trivial question every
millisecond from another process. Then it reads pages at the start and deep inside, after a tenth of the
records were deleted at random.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event

import redis
import uvloop

from service.adapters.clock import SystemClock
from service.adapters.redis import RedisStorage
from service.domain.datasets import Schema
from service.domain.records import Batch
from service.ports.storage import OnConflict
from tests.servers.redis import PASSWORD, RedisServer, durable_redis

ASK_EVERY_S = 0.001
PAGE = 100
PER_BATCH = 5_000
SCHEMA = Schema(key="id")


def main() -> None:
    """Measure, and print a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with durable_redis() as server:
        uvloop.run(_measure(server, count))


async def _measure(server: RedisServer, count: int) -> None:
    async with RedisStorage(server.url, clock=SystemClock()) as storage:
        await storage.ping()

        async def load() -> None:
            async with storage.datasets.replace("d") as writer:
                for batch in _batches(range(count)):
                    await writer.add(batch)
                await writer.commit(SCHEMA)

        async def append(on_conflict: OnConflict, numbers: range) -> None:
            async with storage.datasets.append("d", on_conflict) as writer:
                for batch in _batches(numbers):
                    await writer.add(batch)
                await writer.commit(SCHEMA)

        async def sweep() -> None:
            await storage.sweep(SystemClock().now() + timedelta(minutes=11))

        print(f"{count:,} records, other clients' answers in ms")
        print(f"{'while':24}{'seconds':>9}{'p50':>8}{'p99':>8}{'max':>8}")
        await _beside(server, "nothing happens", lambda: asyncio.sleep(5))
        await _beside(server, "they are loaded", load)
        await _beside(server, "they are replaced", load)
        await _beside(server, "the old ones are swept", sweep)
        tenth = range(count, count + count // 10)
        await _beside(server, "a tenth is appended", lambda: append(OnConflict.FAIL, tenth))
        half = range(count // 2, count // 2 + count // 20)
        await _beside(server, "a twentieth is upserted", lambda: append(OnConflict.REPLACE, half))
        await _beside(server, "a tenth is deleted", lambda: _delete_tenth(storage, count))
        await _pages(storage, count)
        await _lookups(storage)

        async def delete() -> None:
            await storage.datasets.delete("d")
            await sweep()

        await _beside(server, "all is deleted and swept", delete)


async def _delete_tenth(storage: RedisStorage, count: int) -> None:
    for position in random.Random(1).sample(range(count), count // 10):
        await storage.datasets.delete_record("d", position)


async def _pages(storage: RedisStorage, count: int) -> None:
    """Compare pages at the start and at 80 %, in turns, so that both see the same machine."""
    times: dict[int, list[float]] = {0: [], count * 8 // 10: []}
    for turn in range(500):
        for rank, taken in times.items():
            start = time.perf_counter()
            await storage.datasets.slice("d", rank=rank + turn, limit=PAGE)
            taken.append(time.perf_counter() - start)
    first, deep = (statistics.median(taken) * 1000 for taken in times.values())
    print(f"a page at 0: {first:.3f} ms; at {count * 8 // 10:,}: {deep:.3f} ms, {deep / first:.2f} times")


async def _lookups(storage: RedisStorage) -> None:
    """Measure the question whether a dataset is fresh, which every request asks."""
    for clients in (1, 16):
        each = 20_000 // clients
        start = time.process_time()
        await asyncio.gather(*(_ask(storage, each) for _ in range(clients)))
        taken_us = (time.process_time() - start) / (each * clients) * 1e6
        print(f"dataset() with {clients} clients: {taken_us:.1f} us of CPU each")


async def _ask(storage: RedisStorage, times: int) -> None:
    for _ in range(times):
        await storage.datasets.dataset("d")


async def _beside(server: RedisServer, what: str, work: Callable[[], Awaitable[None]]) -> None:
    async with _asking(server.port) as answers:
        start = time.perf_counter()
        await work()
        seconds = time.perf_counter() - start
    ranked = sorted(await answers())
    p50, p99, most = (ranked[int(len(ranked) * part)] * 1000 for part in (0.5, 0.99, 1 - 1e-9))
    print(f"{what:24}{seconds:9.1f}{p50:8.2f}{p99:8.2f}{most:8.2f}", flush=True)


@asynccontextmanager
async def _asking(port: int) -> AsyncIterator[Callable[[], Awaitable[Sequence[float]]]]:
    """Ask from another process for as long as the block lasts; then the answers' times can be had."""
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_ask_steadily, args=(port, done, sender))
    process.start()
    await asyncio.to_thread(receiver.recv)  # it has begun
    try:
        yield lambda: asyncio.to_thread(receiver.recv)
    finally:
        done.set()
        await asyncio.to_thread(process.join, 0)


def _ask_steadily(port: int, done: Event, sender: multiprocessing.connection.Connection) -> None:
    client = redis.Redis(port=port, password=PASSWORD)
    client.set("somebody-elses", "value")
    sender.send(None)
    taken: list[float] = []
    while not done.is_set():
        start = time.perf_counter()
        client.get("somebody-elses")
        taken.append(time.perf_counter() - start)
        time.sleep(ASK_EVERY_S)
    sender.send(taken)
    client.close()


def _batches(numbers: range) -> Iterable[Batch]:
    for first in range(numbers.start, numbers.stop, PER_BATCH):
        some = range(first, min(first + PER_BATCH, numbers.stop))
        yield Batch([_record(number) for number in some], [str(number) for number in some])


def _record(number: int) -> bytes:
    return (
        b'{"name": "Stone %d", "id": "%d", "recclass": "H4", "mass (g)": "%d", "reclat": "-75.6691",'
        b' "reclong": "60.6936", "GeoLocation": "(-75.6691, 60.6936)", "fell": "Found", "year": "1998"}'
        % (number, number, number * 7)
    )


if __name__ == "__main__":
    main()
