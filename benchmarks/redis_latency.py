"""Rows about what a large dataset costs everyone else on the same Redis.

While a million records are loaded, replaced, swept, appended to and deleted, another process asks the server
a trivial question every millisecond, as somebody else's client.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

import redis

from benchmarks.serving import MILLION
from benchmarks.table import Row
from service.adapters.clock import SystemClock
from service.adapters.redis import RedisStorage
from service.domain.datasets import Schema
from service.domain.records import Batch
from service.ports.storage import OnConflict
from tests.servers.redis import PASSWORD, RedisServer, durable_redis

BAR_MS = 50.0
ASK_EVERY_S = 0.001
PER_BATCH = 5_000
SCHEMA = Schema(key="id")


async def latency() -> list[Row]:
    """Measure the answers to another client, with what Aerolite ships: a log synced at each commit."""
    with durable_redis() as server:
        async with RedisStorage(server.url, clock=SystemClock()) as storage:
            await storage.ping()
            return [await _beside(server, what, work) for what, work in _works(storage)]


def _works(storage: RedisStorage) -> Iterable[tuple[str, Callable[[], Awaitable[object]]]]:
    async def load() -> None:
        async with storage.datasets.replace("d") as writer:
            for batch in _batches(range(MILLION)):
                await writer.add(batch)
            await writer.commit(SCHEMA)

    async def append(on_conflict: OnConflict, numbers: range) -> None:
        async with storage.datasets.append("d", on_conflict) as writer:
            for batch in _batches(numbers):
                await writer.add(batch)
            await writer.commit(SCHEMA)

    async def sweep() -> None:
        await storage.sweep(SystemClock().now() + timedelta(minutes=11))

    async def delete() -> None:
        await storage.datasets.delete("d")
        await sweep()

    behind = range(MILLION, MILLION + MILLION // 10)
    amid = range(MILLION // 2, MILLION // 2 + MILLION // 20)
    return (
        ("nothing happens", lambda: asyncio.sleep(5)),
        (f"{MILLION:,} records are loaded", load),
        ("they are replaced", load),
        ("the old ones are swept", sweep),
        ("a tenth is appended", lambda: append(OnConflict.FAIL, behind)),
        ("a twentieth is upserted", lambda: append(OnConflict.REPLACE, amid)),
        ("all are deleted and swept", delete),
    )


async def _beside(server: RedisServer, what: str, work: Callable[[], Awaitable[object]]) -> Row:
    async with _asking(server.port) as answers:
        await work()
    ranked = sorted(await answers())
    p99_ms, longest_ms = ranked[int(len(ranked) * 0.99)] * 1000, ranked[-1] * 1000
    return Row(f"another client's p99 on Redis while {what}", f"{p99_ms:.2f} ms (longest {longest_ms:.0f})",
               f"{BAR_MS:.0f} ms", p99_ms / BAR_MS, 1.0)  # fmt: skip


@asynccontextmanager
async def _asking(port: int) -> AsyncIterator[Callable[[], Awaitable[Sequence[float]]]]:
    """Ask from another process for as long as the block lasts; then the answers' times can be had."""
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_ask_steadily, args=(port, done, sender))
    process.start()
    sender.close()  # so that a process that dies is noticed
    await asyncio.to_thread(receiver.recv)  # it has begun
    try:
        yield lambda: asyncio.to_thread(receiver.recv)
    finally:
        done.set()
        await asyncio.to_thread(process.join, 0)


def _ask_steadily(port: int, done: Event, sender: Connection) -> None:
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
