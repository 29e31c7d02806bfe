"""Connections to one file: how each is set up, the thread that each has, and pools of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiosqlite

from service.adapters.sqlite_file import Work, connect, enter_wal
from service.domain.errors import AeroliteError, Busy, StoreUnavailable

T = TypeVar("T")

CACHE_KIB = 16 << 10
CHECKPOINT_PAGES = 4_000
"""About 16 MiB of log before it is written back; SQLite's own 4 MiB would halt a load several times."""

JOURNAL_BYTES = 64 << 20
"""What the log file keeps of its size once it was written back."""


class Worker(aiosqlite.Connection):
    """A connection with a thread of its own that runs whole functions."""

    async def call(self, work: Work[T]) -> T:
        """Run `work` in the thread and return what it returns.

        One thread hop (60 microseconds) carries the whole function, however many statements it has. It runs
        to its end whatever happens to the task that waits for it, so a cancelled task leaves no open
        transaction.
        """
        if self._connection is None:
            raise StoreUnavailable("The database file was replaced while it was used. Try again.")
        # Its only way to run a function; protected, and without annotations.
        result: T = await self._execute(work, self._connection)  # type: ignore[no-untyped-call]
        return result


async def work_on(connect: Callable[[], sqlite3.Connection]) -> Worker:
    """Open a connection in a thread of its own."""
    worker = Worker(connect, iter_chunk_size=64)
    await worker
    return worker


def connect_writer(
    path: Path, *, create: bool, timeout_s: float, max_bytes: int | None
) -> sqlite3.Connection:
    """Open the one connection that writes."""
    connection = connect(path, mode="rwc" if create else "rw", timeout_s=timeout_s)
    try:
        enter_wal(connection, timeout_s)
        # In WAL mode FULL syncs the log at each commit: what was acknowledged survives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        if max_bytes is not None:
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {max_bytes // page_bytes}")
    except BaseException:
        connection.close()
        raise
    return connection


def reading(query: Work[T]) -> Work[T]:
    """Return the query within a transaction: it sees one state of the database."""

    def work(connection: sqlite3.Connection) -> T:
        connection.execute("BEGIN")
        try:
            return query(connection)
        finally:
            connection.execute("ROLLBACK")

    return work


class Turns:
    """Lets at most `size` tasks in; the others wait in a row, and `refusal` is raised after `wait_s`."""

    def __init__(self, size: int, wait_s: float, refusal: Callable[[], AeroliteError]) -> None:
        self._free = asyncio.Semaphore(size)
        self._wait_s = wait_s
        self._refusal = refusal

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn and have it."""
        if self._free.locked():
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._free.acquire()
            except TimeoutError:
                raise self._refusal() from None
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


def _too_many_readers() -> Busy:
    return Busy("Too many readers are at work on the database. Try again.")


class Pool:
    """At most `size` workers, opened when needed; `keep` of them stay open when they are not."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], size: int, keep: int, wait_s: float
    ) -> None:
        self._connect = connect
        self._keep = keep
        self._turns = Turns(size, wait_s, _too_many_readers)
        self._idle: list[Worker] = []
        self._closed = False

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Worker]:
        """Give a worker to one task. Raises `Busy` where none gets free in time."""
        async with self._turns.take():
            worker = self._idle.pop() if self._idle else await work_on(self._connect)
            try:
                yield worker
            finally:
                await self._put_back(worker)

    async def _put_back(self, worker: Worker) -> None:
        if self._closed or len(self._idle) >= self._keep:
            await worker.close()
        else:
            self._idle.append(worker)

    async def close(self) -> None:
        """Close the workers, those that are taken when they are put back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
