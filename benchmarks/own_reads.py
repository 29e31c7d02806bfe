"""The floor under a page: what a client of each store takes to read its records, doing nothing with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import redis.asyncio

from benchmarks.stores import Store

Read = Callable[[int, int], Awaitable[object]]
"""Reads so many records from a position on, of the only dataset that the store has."""

_BUCKET = 256


async def of_sqlite(store: Store, stack: AsyncExitStack) -> Read:
    """Read by the primary key, in this thread."""
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    stack.callback(connection.close)
    (first,) = connection.execute("SELECT min(id) FROM records").fetchone()

    async def read(start: int, count: int) -> object:
        query = "SELECT record FROM records WHERE id >= ? ORDER BY id LIMIT ?"
        return connection.execute(query, (first + start, count)).fetchall()

    return read


async def of_redis(store: Store, stack: AsyncExitStack) -> Read:
    """Read from the list where the records stand; they do not reach into the next one."""
    client = await stack.enter_async_context(redis.asyncio.Redis.from_url(store.url))
    keys = [key async for key in client.scan_iter("*:r:*", count=1000)]
    lists = {int(key.rpartition(b":")[2]): key for key in keys}

    async def read(start: int, count: int) -> object:
        number, inside = divmod(start, _BUCKET)
        return await client.lrange(lists[number], inside, inside + count - 1)

    return read


async def of_postgres(store: Store, stack: AsyncExitStack) -> Read:
    """Read by the primary key."""
    connection = await asyncpg.connect(store.url)
    stack.push_async_callback(connection.close)
    lot = await connection.fetchval("SELECT lot FROM aerolite.datasets WHERE lot <> 0")
    query = await connection.prepare(
        "SELECT record FROM aerolite.records WHERE lot = $1 AND position >= $2 ORDER BY position LIMIT $3"
    )

    async def read(start: int, count: int) -> object:
        return await query.fetch(lot, start, count)

    return read


OWN_READS = {"SQLite": of_sqlite, "Redis": of_redis, "PostgreSQL": of_postgres}
