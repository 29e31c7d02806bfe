"""The SQLite backend: a file in a directory of the test's own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from service.adapters.sqlite import SqliteStorage
from service.ports.clock import Clock
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.waiting import PATIENCE_S

from .base import Backend, ProcessBackend

TABLES = ("records", "staged", "holes", "shelves", "documents", "remembered", "datasets", "schemas")


class SqliteBackend(ProcessBackend):
    """A file; it is gone while a directory stands in its place."""

    waits_at_start = False

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self._path = path
        self._away = path.with_name("away.db")
        self._clock = clock
        self.address = str(path)

    def open(self, *, timeout_s: float = PATIENCE_S) -> Storage:
        """Return another replica."""
        return SqliteStorage(self._path, clock=self._clock, timeout_s=timeout_s)

    async def stop(self) -> None:
        """Take the file away."""
        if self._path.exists():
            self._path.rename(self._away)
        self._path.mkdir()

    async def start(self) -> None:
        """Put it back."""
        self._path.rmdir()
        if self._away.exists():
            self._away.rename(self._path)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Hold the write lock as another process would."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @asynccontextmanager
    async def full(self) -> AsyncIterator[Storage]:
        """Give a replica that may let the file grow by 1 MiB."""
        max_bytes = self._path.stat().st_size + (1 << 20)
        yield SqliteStorage(self._path, clock=self._clock, max_bytes=max_bytes)

    async def pieces(self) -> int:
        """Count the rows of all tables."""
        with closing(sqlite3.connect(self._path)) as other:
            counts = (other.execute(f"SELECT count(*) FROM {table}") for table in TABLES)
            return sum(count.fetchone()[0] for count in counts)


def connect(address: str, clock: Clock, *, timeout_s: float = PATIENCE_S) -> Storage:
    """Open the store in another process."""
    return SqliteStorage(Path(address), clock=clock, timeout_s=timeout_s)


@asynccontextmanager
async def make(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Backend]:
    """Give an empty store."""
    yield SqliteBackend(tmp_path / "odd name?%41#.db", clock)
