"""One database file: opened when it is there, watched for commits, read and written in whole transactions."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from service.adapters.sqlite.connections import (
    Pool,
    Turns,
    Worker,
    connect_writer,
    reading,
    work_on,
)
from service.adapters.sqlite.failures import Locked, translated
from service.adapters.sqlite.tables import migrate
from service.adapters.sqlite_file import Work, connect, connect_gate, writing
from service.domain.errors import StoreError, StoreUnavailable

T = TypeVar("T")

SNAPSHOTS = 64
"""Snapshots at the same time; each has a connection, a thread and up to 2 MiB of cache."""

Version = tuple[int, int]
"""Changes with every commit that anyone makes: the opening of the file, and SQLite's `data_version`."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """The connections to the file that stood at the path when it was opened."""

    number: int
    identity: tuple[int, int]
    writer: Worker
    gate: sqlite3.Connection
    watch: sqlite3.Connection
    readers: Pool
    snapshots: Pool
    turn: Turns

    def version(self) -> Version:
        return self.number, self.watch.execute("PRAGMA data_version").fetchone()[0]

    async def close(self) -> None:
        await self.readers.close()
        await self.snapshots.close()
        self.watch.close()
        await self.writer.close()
        self.gate.close()


class Database:
    """The file at `path`.

    `timeout_s` is how long a write waits for those before it, in this process and others. `max_bytes`
    bounds the file (None: the disk does).
    """

    def __init__(self, path: Path, *, readers: int, timeout_s: float, max_bytes: int | None) -> None:
        self._path = path
        self._file = str(path)
        self._readers = readers
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._asked: Version | None = None
        self._opening = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._opened: _Opened | None = None
        self._closed = True
        self._seen = False  # a file that was there once is never made anew, empty

    async def open(self) -> None:
        """Open the file, and create it if it is absent.

        Raises `StoreError` where waiting cannot help; a file that others keep locked is opened later.
        """
        try:
            with translated(self._path):
                await asyncio.to_thread(self._path.parent.mkdir, parents=True, exist_ok=True)
                self._opened = await self._open()
        except Locked:
            pass
        except StoreUnavailable as error:
            raise StoreError(error.detail) from error
        self._closed = False

    async def close(self) -> None:
        """Close all connections; who comes later gets none."""
        self._closed = True
        async with self._opening:  # else what is being opened would stay open
            await self._leave()

    async def _leave(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            with translated(self._path):
                await opened.close()

    async def read(self, query: Work[T]) -> T:
        """Run a query in one read transaction on a pooled connection."""
        opened = await self._current()
        with translated(self._path):
            async with opened.readers.take() as worker:
                return await worker.call(reading(query))

    async def write(self, change: Work[T]) -> T:
        """Run a change in one write transaction: it is durable when this returns, or undone if it raises."""
        deadline = time.monotonic() + self._timeout_s
        opened = await self._current()
        with translated(self._path):
            async with opened.turn.take():
                return await opened.writer.call(writing(change, opened.gate, deadline))

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Held]:
        """Keep one state of the database for reading. Raises `Busy` where too many are kept."""
        opened = await self._current()
        async with opened.snapshots.take() as worker:
            held = Held(worker, self._path)
            try:
                await held.read(_begin)
                yield held
            finally:
                await held.read(_end)

    def version(self) -> Version | None:
        """Return what changes with each commit of anyone, or None where the file must be opened first.

        Cheap (about 5 microseconds) and called on the event loop; its connection never writes, so it sees
        the commits of this process as it sees those of others. Asked once for all who ask in the same turn of
        the loop: what they read for had arrived before the turn began. Raises `StoreUnavailable`.
        """
        if self._asked is None:
            self._asked = self._ask()
            asyncio.get_running_loop().call_soon(self._forget)
        return self._asked

    def _forget(self) -> None:
        self._asked = None

    def _ask(self) -> Version | None:
        opened = self._opened
        try:
            if opened is None or opened.identity != self._identity():
                return None
            return opened.version()
        except (sqlite3.Error, OSError) as error:
            # Translated only here: to enter the context manager would cost as much as the question.
            with translated(self._path):
                raise error from None

    def glance(self, query: Work[T]) -> T | None:
        """Answer a query of a row or two on the event loop, like `version`; None where that cannot be.

        A thread would answer in 300 microseconds what takes 15 here.
        """
        try:
            return None if self._opened is None else query(self._opened.watch)
        except sqlite3.Error:
            return None

    async def opened_version(self) -> Version:
        """Return `version`, having opened the file if need be."""
        opened = await self._current()
        with translated(self._path):
            return opened.version()

    async def _current(self) -> _Opened:
        """Return the connections to the file that stands at the path now."""
        with translated(self._path):
            if self._opened is not None and self._opened.identity == self._identity():
                return self._opened
            async with self._opening:
                if self._closed:
                    raise StoreUnavailable(f"The database {self._path} is closed.")
                opened = self._opened
                if opened is None or opened.identity != self._identity():
                    await self._leave()
                    opened = self._opened = await self._open()
                return opened

    def _identity(self) -> tuple[int, int]:
        """Return what tells the file from another at the same path, put there meanwhile."""
        try:
            status = os.stat(self._file)  # noqa: PTH116 - half the price of Path.stat, on every read
        except FileNotFoundError:
            raise StoreUnavailable(f"The database file {self._path} is gone. Put it back.") from None
        return status.st_dev, status.st_ino

    async def _open(self) -> _Opened:
        timeout_s = self._timeout_s
        connect_reader = partial(connect, self._path, timeout_s=timeout_s)
        writer = await work_on(
            partial(
                connect_writer,
                self._path,
                create=not self._seen,
                timeout_s=timeout_s,
                max_bytes=self._max_bytes,
            )
        )
        try:
            gate, watch, identity = await writer.call(self._prepare)
        except BaseException:
            await writer.close()
            raise
        self._seen = True
        return _Opened(
            number=next(self._numbers),
            identity=identity,
            writer=writer,
            gate=gate,
            watch=watch,
            readers=Pool(connect_reader, self._readers, self._readers, timeout_s),
            snapshots=Pool(connect_reader, SNAPSHOTS, self._readers, wait_s=0.0),
            turn=Turns(1, timeout_s, _too_many_writers),
        )

    def _prepare(
        self, writer: sqlite3.Connection
    ) -> tuple[sqlite3.Connection, sqlite3.Connection, tuple[int, int]]:
        """Make the tables, open the gate and the watch, and tell which file it is."""
        gate = connect_gate(self._path)
        try:
            migrate(writer, gate, time.monotonic() + self._timeout_s)
            identity = self._identity()
            return gate, connect(self._path), identity
        except BaseException:
            gate.close()
            raise


def _too_many_writers() -> Locked:
    return Locked("Too many writes wait for their turn. Try again.")


class Held:
    """One state of the database."""

    def __init__(self, worker: Worker, path: Path) -> None:
        self._worker = worker
        self._path = path

    async def read(self, query: Work[T]) -> T:
        """Run a query on it."""
        with translated(self._path):
            return await self._worker.call(query)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")


def _end(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
