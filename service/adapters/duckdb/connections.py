"""DuckDB in this process: locked down, off the event loop, within a time limit, a few questions at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import duckdb

from service.adapters.duckdb.threads import Threads, Work
from service.domain.errors import Busy, OutOfSpace, StoreUnavailable

T = TypeVar("T")

MAX_QUESTIONS = 4
MAX_STREAMS = 8
MAX_WAITING = 256

_MAX_PARSED = 64
_MAX_PARSED_CHARS = 4096
"""Statements kept in parsed form, and how long each may be; at 35 bytes a character, 9 MiB at most."""

_DISABLED_OPTIMIZERS = "common_subexpressions,common_subplan,join_order"
"""What our statements have no use for: a seventh of what it takes to plan and answer a page of few records.

The cost of the first is the square of the number of columns.
"""


class Database:
    """The one in-process database: `open` it, `run` work on it, `close` it.

    At most `MAX_QUESTIONS` run at a time and `MAX_WAITING` wait; streams and the building of snapshots have
    connections of their own.
    """

    def __init__(self, *, memory_bytes: int, temp_bytes: int, timeout_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._temp_bytes = temp_bytes
        self.timeout_s = timeout_s
        self._root: duckdb.DuckDBPyConnection | None = None
        self._free: list[duckdb.DuckDBPyConnection] = []
        self._slots = asyncio.Semaphore(MAX_QUESTIONS)
        self._waiting = 0
        self._streams = 0
        self._threads = Threads(MAX_QUESTIONS + MAX_STREAMS + 2)
        self._parsed = lru_cache(_MAX_PARSED)(self._parse)

    async def open(self, directory: Path) -> None:
        """Open it; the directory, and no other, may hold its files."""
        with translated(self.timeout_s):
            self._root = await self._threads.call(lambda: self._connect(directory))
        self._free = [self._root.cursor() for _ in range(MAX_QUESTIONS)]

    def _connect(self, directory: Path) -> duckdb.DuckDBPyConnection:
        root = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{self._memory_bytes}B",
                # Cores are for questions beside each other: within one, threads cost more than they give
                # on all but the longest, and sums would depend on who was first.
                "threads": "1",
                "temp_directory": str(directory / "temp"),
                "max_temp_directory_size": f"{self._temp_bytes}B",
                "preserve_insertion_order": "true",
                "disabled_optimizers": _DISABLED_OPTIMIZERS,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
            },
        )
        root.execute("SET GLOBAL TimeZone = 'UTC'")
        # These can be set on a running database only, in this order.
        root.execute(f"SET allowed_directories = [{literal(str(directory))}]")
        root.execute("SET enable_external_access = false")
        root.execute("SET lock_configuration = true")
        return root

    async def close(self) -> None:
        """Stop what is under way and close it."""
        root, self._root = self._root, None
        if root is None:
            return
        await self._threads.settle()
        self._parsed.cache_clear()
        for cursor in self._free:
            cursor.close()
        self._free = []
        await self._threads.call(root.close)
        self._threads.close()

    async def run(self, work: Work[T]) -> T:
        """Do a question's work on a connection of the pool. Raises `Busy`, `OutOfSpace`."""
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} questions are waiting; try again in a moment.")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        if self._root is None:  # it may have been closed meanwhile
            self._slots.release()
            raise _closed()
        cursor = self._free.pop()

        def give_back() -> None:
            self._free.append(cursor)
            self._slots.release()

        return await self.work_on(cursor, work, self.timeout_s, give_back)

    def execute(
        self, cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object]
    ) -> duckdb.DuckDBPyConnection:
        """Execute a statement, in a thread.

        One whose text was met before is not parsed again: a third of all that a page of few records takes.
        """
        return cursor.execute(self._parsed(sql) if len(sql) <= _MAX_PARSED_CHARS else sql, values)

    def _parse(self, sql: str) -> duckdb.Statement:
        if self._root is None:
            raise _closed()
        (statement,) = self._root.extract_statements(sql)
        return statement

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Lease]:
        """Lend a connection for as long as a stream takes. Raises `Busy`."""
        if self._streams >= MAX_STREAMS:
            raise Busy(f"{MAX_STREAMS} exports are under way; try again in a moment.")
        self._streams += 1
        try:
            async with self.lease() as lease:
                yield lease
        finally:
            self._streams -= 1

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Lend a connection without a time limit."""
        if self._root is None:
            raise _closed()
        cursor = self._root.cursor()
        lease = Lease(self, cursor)
        try:
            yield lease
        finally:
            await lease.settled()
            cursor.close()

    async def work_on(
        self,
        cursor: duckdb.DuckDBPyConnection,
        work: Work[T],
        timeout_s: float | None = None,
        give_back: Callable[[], None] | None = None,
    ) -> T:
        """Do work in a thread; when time is over, or nobody waits any more, it is interrupted."""
        if self._root is None:
            raise _closed()
        with translated(self.timeout_s):
            return await self._threads.run(cursor, work, timeout_s, give_back)

    async def settled(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Wait until nothing runs on a connection any more."""
        await self._threads.settled(cursor)


class Lease:
    """A connection of one's own, used by one task."""

    def __init__(self, database: Database, cursor: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._cursor = cursor

    async def run(self, work: Work[T]) -> T:
        """Do work on it; whoever is cancelled meanwhile interrupts it."""
        return await self._database.work_on(self._cursor, work)

    async def settled(self) -> None:
        """Wait until nothing runs on it any more."""
        await self._database.settled(self._cursor)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("The engine is not running.")


@contextmanager
def translated(timeout_s: float) -> Iterator[None]:
    """Turn DuckDB's errors into ours; what is a mistake in our SQL stays what it is."""
    try:
        yield
    except duckdb.InterruptException:
        raise Busy(f"The question took more than {timeout_s:g} s; narrow it by filters.") from None
    except duckdb.OutOfMemoryException:
        raise OutOfSpace(
            "The question needs more room than ENGINE_MEMORY_BYTES and ENGINE_SPILL_BYTES give; narrow it."
        ) from None
    except duckdb.IOException as error:
        raise OutOfSpace(f"The engine cannot write its files: {str(error).splitlines()[0][:200]}") from None


def literal(text: str) -> str:
    """Return text as an SQL literal: for our own paths and an owner's values; a client's are bound."""
    return "'" + text.replace("'", "''") + "'"
