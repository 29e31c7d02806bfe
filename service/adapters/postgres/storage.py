"""The PostgreSQL backend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from service.adapters.postgres.connections import Connections, Lane, Server
from service.adapters.postgres.datasets import PostgresDatasets
from service.adapters.postgres.documents import PostgresDocuments
from service.adapters.postgres.freshness import Freshness
from service.adapters.postgres.migrations import Migrations
from service.adapters.postgres.rows import Seen
from service.adapters.postgres.sweeping import sweep
from service.adapters.postgres.vigil import Vigil
from service.domain.errors import StoreUnavailable
from service.ports.clock import Clock

_TRIVIAL = """
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('transaction_read_only') AS read_only
"""


class PostgresStorage:
    """Storage in a PostgreSQL database, shared by any number of processes.

    `timeout_s`: a server that says nothing for so long counts as gone. `pool_size`: connections for reading
    pages; at most twice as many hold snapshots, half as many commit, as many load, and one more tells
    revisions, so a process has four times as many and one. Raises `StoreError` where the URL is none.
    """

    def __init__(self, url: str, *, clock: Clock, timeout_s: float = 2.0, pool_size: int = 8) -> None:
        server = Server(url, timeout_s=timeout_s * 0.8)
        seen = Seen()
        migrations = Migrations()
        self._place = server.place
        self._freshness = Freshness(server, seen, limit_s=timeout_s * 0.8)
        vigil = Vigil(self._freshness.idle, timeout_s=timeout_s)
        self._connections = Connections(server, migrations, vigil, timeout_s=timeout_s, pool_size=pool_size)
        self._warnings: tuple[str, ...] = ()
        self.datasets = PostgresDatasets(self._connections, self._freshness, migrations, seen, clock)
        self.documents = PostgresDocuments(self._connections, clock)

    async def __aenter__(self) -> Self:
        """Make the pool; nothing is connected to yet."""
        await self._connections.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        await self._freshness.close()
        await self._connections.close()

    async def ping(self) -> None:
        """Return if the server answers and can be written to; its tables are there then."""
        async with self._connections.link(Lane.READ) as link:
            row = await link.one(_TRIVIAL)
        if row["read_only"] == "on":
            raise StoreUnavailable(
                f"{self._place.text} is read-only (a standby?), and the service needs to write."
            )
        off = [setting for setting in ("fsync", "full_page_writes") if row[setting] == "off"]
        self._warnings = tuple(
            f"{self._place.text} runs with {setting}=off: a loss of power can cost acknowledged records."
            for setting in off
        )

    async def sweep(self, now: datetime) -> int:
        """Remove what nobody can reach any more."""
        return await sweep(self._connections, now)

    def warnings(self) -> Sequence[str]:
        """Say where the server is less durable than the service promises."""
        return self._warnings
