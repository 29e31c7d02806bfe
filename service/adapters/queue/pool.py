"""A few connections to a PostgreSQL that may be another one than the storage's, and the tables kept there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from service.adapters.postgres.driver import asyncpg, no_reset
from service.adapters.postgres.errors import Place, translated

_CONNECTIONS = 4

TIMEOUT_S = 1.6
"""Who asks waits no longer than two seconds, his own answer included."""

# Two processes that make the same table at the same time would trip over each other.
_LOCK = "SELECT pg_advisory_xact_lock(71623840)"


class Pool:
    """Connections to the server at `url`; the first runs `make` where the relation `last` is missing."""

    def __init__(self, url: str, setting: str, *, last: str, make: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._last = last
        self._make = make
        self._timeout_s = timeout_s
        self.place = Place.of(url, setting)
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool, which connects to nothing yet. Raises `StoreError` where the URL is wrong."""
        with translated(self.place):
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=_CONNECTIONS,
                timeout=self._timeout_s,
                reset=no_reset,
                # None is kept: behind a pooler the next transaction may be on another session.
                statement_cache_size=0,
                init=self._prepare,
                server_settings={"application_name": "aerolite-jobs"},
            )

    def close(self) -> None:
        """Close all connections."""
        self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection for a few short statements. Raises `StoreUnavailable` after `timeout_s`."""
        with translated(self.place):
            async with asyncio.timeout(self._timeout_s), self._pool.acquire() as connection:
                try:
                    yield connection
                except asyncpg.PostgresError:
                    raise  # the server has answered: the connection is as good as before
                except BaseException:
                    connection.terminate()  # the driver would wait for the server to cancel
                    raise

    async def listener(self, channel: str, notified: Callable[[], None]) -> Any:
        """Return a connection outside the pool that hears a channel. Raises `StoreUnavailable`."""
        with translated(self.place):
            connection = await asyncpg.connect(self._url, timeout=self._timeout_s)
            try:
                await connection.add_listener(channel, lambda *_: notified())
            except BaseException:
                connection.terminate()
                raise
            return connection

    async def _prepare(self, connection: Any) -> None:
        if await connection.fetchval("SELECT to_regclass($1)", self._last) is None:
            async with connection.transaction():
                await connection.execute(_LOCK)
                await connection.execute(self._make)
