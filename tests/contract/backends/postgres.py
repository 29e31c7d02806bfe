"""The PostgreSQL backend, on one real server with a database for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import asyncpg

from service.adapters.postgres import PostgresStorage
from service.ports.clock import Clock
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.postgres import PostgresServer, run_postgres
from tests.waiting import PATIENCE_S

from .base import ServerBackend

TABLES = ("datasets", "records", "holes", "retired", "remembered", "documents")


def run_server() -> AbstractContextManager[PostgresServer]:
    """Run a server whose write-ahead log, too, is in files small enough for the limit of `full`."""
    return run_postgres(wal_segment_mib=1)


def connect(address: str, clock: Clock, *, timeout_s: float = PATIENCE_S) -> Storage:
    """Open the store at an address."""
    return PostgresStorage(address, clock=clock, timeout_s=timeout_s)


class PostgresBackend(ServerBackend):
    """A database."""

    def __init__(self, server: PostgresServer, address: str, clock: FakeClock) -> None:
        self.address = address
        self._server = server
        self._clock = clock

    def open(self, *, timeout_s: float = PATIENCE_S) -> Storage:
        """Return another replica."""
        return connect(self.address, self._clock, timeout_s=timeout_s)

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
        """Run the server with a limit of 2 MiB on each of its files, as under a quota."""
        await self.stop()
        await asyncio.to_thread(self._server.start, max_file_bytes=2 << 20)
        try:
            yield self.open()
        finally:
            await self.stop()
            await self.start()

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
    server = await asyncio.to_thread(servers.get, run_server)
    if not server.running:  # a test that failed in between has left it so
        server.start()
    async with server.database() as address:
        yield PostgresBackend(server, address, clock)
