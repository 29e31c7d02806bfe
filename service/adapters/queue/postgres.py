"""The doorbell on PostgreSQL: a table of rings, each taken by one listener, and NOTIFY so that none waits.

The table is UNLOGGED: a doorbell may be forgotten in a crash, and a ring then costs no write to the log.
Behind a PgBouncer that pools transactions no notification comes; listeners then look every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from service.adapters.queue.pool import TIMEOUT_S, Pool

LOOK_S = 1.0

_MAKE = """
CREATE SCHEMA IF NOT EXISTS aerolite_jobs;
CREATE UNLOGGED TABLE IF NOT EXISTS aerolite_jobs.rings (
    job text PRIMARY KEY,
    rung bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX IF NOT EXISTS rings_rung ON aerolite_jobs.rings (rung);
"""
_RING = """
WITH rung AS (INSERT INTO aerolite_jobs.rings (job) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING)
SELECT pg_notify('aerolite_jobs', '')
"""
_HEAR = """
DELETE FROM aerolite_jobs.rings WHERE job IN (
    SELECT job FROM aerolite_jobs.rings ORDER BY rung LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING job, rung
"""


class PostgresQueue:
    """Rings in the PostgreSQL at `url`, which counts as gone where it says nothing for `timeout_s`."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._pool = Pool(url, "QUEUE_URL", last="aerolite_jobs.rings_rung", make=_MAKE, timeout_s=timeout_s)
        self._listener: Any = None
        self._listening = asyncio.Lock()
        self._rung = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Make ready to connect."""
        await self._pool.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        if self._listener is not None:
            self._listener.terminate()
        self._pool.close()

    async def ring(self, *jobs: str) -> None:
        """Ring for jobs."""
        async with self._pool.connection() as connection:
            await connection.execute(_RING, list(jobs))

    async def hear(self, limit: int, timeout_s: float) -> Sequence[str]:
        """Return the jobs that were rung for first."""
        await self._listen()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            self._rung.clear()
            async with self._pool.connection() as connection:
                rows = await connection.fetch(_HEAR, limit)
            left_s = deadline - loop.time()
            if rows or left_s <= 0:
                return [row["job"] for row in sorted(rows, key=lambda row: row["rung"])]
            try:
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    await self._rung.wait()
            except TimeoutError:
                continue

    async def _listen(self) -> None:
        """Keep one connection that is notified; it is made anew where it was lost."""
        async with self._listening:
            if self._listener is None or self._listener.is_closed():
                self._listener = await self._pool.listener("aerolite_jobs", self._rung.set)
