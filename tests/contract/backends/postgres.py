"""The PostgreSQL backend, on one real server with a database for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from service.adapters.postgres import PostgresStorage
from service.ports.clock import Clock
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.postgres import PostgresServer, postgres_server, run_postgres

from .base import ServerBackend

TABLES = ("datasets", "records", "holes", "retired", "remembered", "documents")


def connect(address: str, clock: Clock) -> Storage:
    """Open the store at an address."""
    return PostgresStorage(address, clock=clock)


class PostgresBackend(ServerBackend):
    """A database."""

    def __init__(self, server: PostgresServer, address: str, clock: FakeClock) -> None:
        self.address = address
        self._server = server
        self._clock = clock

    def open(self) -> Storage:
        """Return another replica."""
        return connect(self.address, self._clock)

    async def stop(self) -> None:
        """Shut the server down."""
        await asyncio.to_thread(self._server.stop)

    async def start(self) -> None:
        """Start it again."""
        await asyncio.to_thread(self._server.start)

    async def kill(self) -> None:
        """Kill all processes of the server."""
        await asyncio.to_thread(self._server.kill)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Freeze all processes of the server."""
        with self._server.paused():
            yield

    @asynccontextmanager
    async def full(self) -> AsyncIterator[Storage]:
        """Give a database on a server whose files may not grow beyond 2 MiB, as under a quota."""
        async with postgres_server(wal_segment_mib=1) as server, server.database() as address:
            server.limit_files((2 << 20) + 4096)
            yield connect(address, self._clock)

    async def pieces(self) -> int:
        """Count the rows of all tables."""
        connection = await asyncpg.connect(self.address)
        try:
            counts = [await connection.fetchval(f"SELECT count(*) FROM aerolite.{table}") for table in TABLES]
        finally:
            await connection.close()
        return sum(counts)


@asynccontextmanager
async def make(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[ServerBackend]:
    """Give an empty database."""
    server = await asyncio.to_thread(servers.get, run_postgres)
    async with server.database() as address:
        yield PostgresBackend(server, address, clock)
