"""Seen Fibonacci indexes in a PostgreSQL beside the storage: a table of numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Self

from service.adapters.queue.pool import Pool

_AT_ONCE = 10_000

_MAKE = """
CREATE SCHEMA IF NOT EXISTS aerolite_jobs;
CREATE TABLE IF NOT EXISTS aerolite_jobs.seen (index integer PRIMARY KEY);
"""
_ADD = "INSERT INTO aerolite_jobs.seen VALUES ($1) ON CONFLICT DO NOTHING"
_LIST = "SELECT index FROM aerolite_jobs.seen WHERE index > $1 ORDER BY index LIMIT $2"


class PostgresSeen:
    """Indexes in the PostgreSQL at `url`."""

    def __init__(self, url: str) -> None:
        self._pool = Pool(url, "DATABASE_URL", last="aerolite_jobs.seen", make=_MAKE)

    async def __aenter__(self) -> Self:
        """Make ready to connect."""
        await self._pool.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        self._pool.close()

    async def add(self, index: int) -> None:
        """Note an index."""
        async with self._pool.connection() as connection:
            await connection.execute(_ADD, index)

    async def all(self) -> AsyncIterator[Sequence[int]]:
        """Yield all indexes."""
        after = -1
        while True:
            async with self._pool.connection() as connection:
                rows = await connection.fetch(_LIST, after, _AT_ONCE)
            if not rows:
                return
            found = [row["index"] for row in rows]
            yield found
            after = found[-1]
