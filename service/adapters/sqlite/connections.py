"""Connections to one file: how each is set up, the thread that each has, and pools of them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiosqlite

from service.adapters.sqlite.failures import committing
from service.domain.errors import AeroliteError, Busy, StoreError, StoreUnavailable

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""A function of a connection: what one thread hop (60 microseconds) carries, however many statements it has.

It runs to its end whatever happens to the task that waits for it, so a cancelled task leaves no open
transaction.
"""

CACHE_KIB = 16 << 10
CHECKPOINT_PAGES = 4_000
"""About 16 MiB of log before it is written back; SQLite's own 4 MiB would halt a load several times."""

JOURNAL_BYTES = 64 << 20
"""What the log file keeps of its size once it was written back."""


class Worker(aiosqlite.Connection):
    """A connection with a thread of its own that runs whole functions."""

    async def call(self, work: Work[T]) -> T:
        """Run `work` in the thread and return what it returns."""
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


def connect(path: Path, *, create: bool = False, timeout_s: float = 0.0) -> sqlite3.Connection:
    """Open the file; it is created only where `create` says so."""
    mode = "rwc" if create else "rw"
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,  # transactions are opened by name, below
        check_same_thread=False,
    )


def connect_writer(
    path: Path, *, create: bool, timeout_s: float, max_bytes: int | None
) -> sqlite3.Connection:
    """Open the one connection that writes."""
    connection = connect(path, create=create, timeout_s=timeout_s)
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


def connect_gate(path: Path) -> sqlite3.Connection:
    """Open what those who write take turns at."""
    return connect(path.with_name(path.name + "-gate"), create=True)


def enter_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to the write-ahead log; SQLite does not wait for others who switch at the same time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if mode != "wal":
        raise StoreError("The file system cannot keep a write-ahead log. Put the database on a local disk.")


def reading(query: Work[T]) -> Work[T]:
    """Return the query within a transaction: it sees one state of the database."""

    def work(connection: sqlite3.Connection) -> T:
        connection.execute("BEGIN")
        try:
            return query(connection)
        finally:
            connection.execute("ROLLBACK")

    return work


def writing(change: Work[T], gate: sqlite3.Connection, deadline: float) -> Work[T]:
    """Return the change within a transaction that waits for its turn until the monotonic `deadline`.

    Whoever writes holds the gate, an empty database beside the file, from before the transaction until the
    log was written back after it. SQLite would do without; but before 3.51.3 a process that writes the log
    back while another one begins it anew can lose a commit (https://sqlite.org/wal.html#walresetbug).
    """

    def work(connection: sqlite3.Connection) -> T:
        _begin(gate, "EXCLUSIVE", deadline)
        try:
            _begin(connection, "IMMEDIATE", deadline)
            try:
                result = change(connection)
                with committing():
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            gate.execute("ROLLBACK")
        return result

    return work


def _begin(connection: sqlite3.Connection, kind: str, deadline: float) -> None:
    timeout_ms = max(1, int((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
    connection.execute(f"BEGIN {kind}")


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
