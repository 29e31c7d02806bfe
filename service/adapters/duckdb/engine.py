"""Which snapshots are kept: built once for all who wait, extended, and dropped when room is needed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

import duckdb

from service.adapters.duckdb.connections import Database, Lease
from service.adapters.duckdb.edits import Changes, Edits
from service.adapters.duckdb.parses import Parse, Parses
from service.adapters.duckdb.snapshot import DuckdbSnapshot
from service.adapters.duckdb.tables import Table, TooWide
from service.adapters.scratch import Scratch
from service.domain.datasets import Dataset
from service.domain.errors import Busy, OutOfSpace, SnapshotLost
from service.ports.engine import EngineSnapshot
from service.ports.storage import Commit, Slice, Snapshot

Source = Callable[[], AbstractAsyncContextManager[Snapshot]]
Fill = Callable[[Lease, Table], Awaitable[None]]

_ATTEMPTS = 4
_IDLE_S = 1.0
"""How long an edit waits for those who read what it changes, before the columns are built anew instead."""

_TOLD_S = 0.02
"""How long to wait for an edit to be told that everybody sees already: its maker is about to."""

_TEMP_SHARE = 4
"""A quarter of the disk is for sorts and groups that memory cannot hold, the rest for snapshots."""


class DuckdbEngine:
    """Columnar snapshots in DuckDB files, whose hot pages stay in `memory_bytes`.

    Files take at most `spill_bytes` of `directory` (None: the system's for temporary files). A question is
    interrupted after `timeout_s`; exports take as long as they take. An edit waits `idle_s` for those who
    read what it changes.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        memory_bytes: int,
        spill_bytes: int,
        timeout_s: float,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._scratch = Scratch("aerolite-engine-", directory)
        self._stack = AsyncExitStack()
        self._room_bytes = spill_bytes - spill_bytes // _TEMP_SHARE
        self._database = Database(
            memory_bytes=memory_bytes, temp_bytes=spill_bytes // _TEMP_SHARE, timeout_s=timeout_s
        )
        self._idle_s = idle_s
        self._directory = Path()
        self._open = False
        self._tables: list[Table] = []
        self._numbers = count(1)
        self._uses = count(1)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._building = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[Dataset]] = set()
        self._edits = Edits()
        self._parses = Parses()
        self._builds = 0

    async def __aenter__(self) -> Self:
        """Open the engine."""
        async with AsyncExitStack() as stack:
            self._directory = (await stack.enter_async_context(self._scratch)).path
            stack.push_async_callback(self._parses.aclose)
            stack.push_async_callback(self._database.close)
            await self._database.open(self._directory)
            self._stack = stack.pop_all()
        self._open = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close it and remove its files."""
        self._open = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._stack.aclose()
        self._tables = []

    @property
    def builds(self) -> int:
        """How many snapshots were built whole so far."""
        return self._builds

    @property
    def kept(self) -> list[str]:
        """The names of the datasets whose snapshots are kept, least recently used first."""
        return [table.name for table in sorted(self._tables, key=lambda table: table.used)]

    @asynccontextmanager
    async def snapshot(self, dataset: Dataset, source: Source) -> AsyncIterator[EngineSnapshot]:
        """Hold the columns of a revision, or of a newer one."""
        for _ in range(_ATTEMPTS):
            table = self._found(dataset)
            if table is not None:
                break
            dataset = await self._prepared(dataset, source)
        else:
            raise Busy("The dataset changes faster than it can be read; try again in a moment.")
        table.users += 1
        table.idle.clear()
        table.used = next(self._uses)
        try:
            yield DuckdbSnapshot(self._database, table, dataset, self._directory)
        finally:
            table.users -= 1
            if not table.users:
                table.idle.set()
            if table not in self._tables and not table.users:
                await self._drop(table)

    def recording(self) -> AbstractAsyncContextManager[Parse]:
        """Lend what takes down a load."""
        return self._parses.begin(self._directory if self._open else None, self._free_bytes)

    def _free_bytes(self) -> int:
        """Return how much more may be taken down: what columns leave, and no disk that the store may need."""
        left = self._room_bytes - sum(table.size_bytes for table in self._tables)
        return min(left, shutil.disk_usage(self._directory).free // 2) - self._parses.size_bytes

    def edited(self, commit: Commit, record: bytes | None) -> None:
        """Be told of a changed record: kept columns are then brought up to date instead of built anew."""
        name = commit.dataset.name
        if name in self._locks or name in self._parses or any(table.name == name for table in self._tables):
            self._edits.note(commit, record)

    def _found(self, dataset: Dataset) -> Table | None:
        """Return the table that shows a revision."""
        for table in self._tables:
            if table.name == dataset.name and table.shows(dataset):
                return table
        return None

    async def _prepared(self, dataset: Dataset, source: Source) -> Dataset:
        """Make the table of a revision or a newer one; it is finished even if this caller goes away."""
        task = asyncio.create_task(self._prepare(dataset, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _prepare(self, dataset: Dataset, source: Source) -> Dataset:
        lock = self._locks.setdefault(dataset.name, asyncio.Lock())
        async with lock:
            if self._found(dataset) is not None:
                return dataset
            if dataset.created is None:
                await self._build(dataset, None, frozenset())
                return dataset
            wide = await self._build_from_parse(dataset)
            if self._found(dataset) is not None:
                return dataset
            for _ in range(_ATTEMPTS):
                try:
                    async with source() as held:
                        return await self._catch_up(held, wide)
                except TooWide as error:
                    wide |= error.names
                except SnapshotLost:
                    continue
            raise Busy("The dataset changes faster than it can be read; try again in a moment.")

    async def _build_from_parse(self, dataset: Dataset) -> frozenset[str]:
        """Build columns from what the load has parsed, if that is kept; return which of them must be wide."""
        async with self._parses.take(dataset.name) as parse:
            parsed = None if parse is None else parse.dataset
            if parse is None or parsed is None or not self._leads_to(parsed, dataset):
                return frozenset()
            try:
                async with self._building:
                    await asyncio.to_thread(parse.write)
                    if parse.dataset is not None:  # else there was no room for it
                        await self._build(parsed, partial(self._fill_from, parse), frozenset())
            except TooWide as error:
                return error.names
            except OutOfSpace:  # the columns alone may fit
                return frozenset()
        return frozenset()

    def _leads_to(self, old: Dataset, new: Dataset) -> bool:
        """Return whether columns of a revision can be extended to those of another."""
        if old.generation != new.generation:
            return old.generation > new.generation  # the store has that now, too
        known = self._edits.between(old.name, old.generation, old.edits, new.edits)
        return known is not None and old.schema.columns == new.schema.columns

    async def _catch_up(self, held: Snapshot, wide: frozenset[str]) -> Dataset:
        """Bring the table of a held revision about: as it is, extended, or built."""
        dataset = held.dataset
        if self._found(dataset) is None:
            table = self._extensible(dataset)
            changes = None if table is None or wide - table.wide else await self._changes(table, dataset)
            if table is None or changes is None:
                known = frozenset().union(*(each.wide for each in self._tables if each.name == dataset.name))
                async with self._building:
                    await self._build(dataset, partial(self._fill, slices=held.scan()), wide | known)
            else:
                await self._extend(table, held, changes)
        return dataset

    async def _changes(self, table: Table, dataset: Dataset) -> Changes | None:
        """Return what was changed in a table's records since; None where that is not known, or it is held."""
        known = partial(self._edits.between, table.name, table.generation, table.edits, dataset.edits)
        changes = known()
        if changes is None:
            await asyncio.sleep(_TOLD_S)
            changes = known()
        if changes and table.users:
            table.closed = True  # to newcomers, who wait for the revision that is about to come
            try:
                async with asyncio.timeout(self._idle_s):
                    await table.idle.wait()
            except TimeoutError:
                return None
            finally:
                table.closed = False
        return changes

    def _extensible(self, dataset: Dataset) -> Table | None:
        for table in self._tables:
            same = table.name == dataset.name and table.generation == dataset.generation
            if same and table.edits <= dataset.edits and table.end <= dataset.next_position:
                return table if table.takes(dataset.schema.columns) else None
        return None

    async def _build(self, dataset: Dataset, fill: Fill | None, wide: frozenset[str]) -> None:
        table = Table(next(self._numbers), self._directory, dataset, wide)
        try:
            async with self._database.lease() as lease:
                await lease.run(lambda cursor: table.create(cursor, dataset.schema.columns))
                if fill is not None:
                    await lease.run(_begin)
                    await fill(lease, table)
                    await lease.run(_commit)
            self._builds += 1
        except BaseException:
            await asyncio.shield(self._drop(table))
            raise
        table.end, table.revision = dataset.next_position, dataset.revision
        table.measure()
        await self._replace(table)

    async def _extend(self, table: Table, held: Snapshot, changes: Changes) -> None:
        """Change what was changed and add what was appended since, or nothing of it."""
        dataset = held.dataset
        columns = dict(table.columns)
        table.growths += 1
        table.growing = True
        table.closed = bool(changes)
        there = {position: record for position, record in changes.items() if position < table.end}
        try:
            async with self._database.lease() as lease:
                await lease.run(_begin)
                await lease.run(lambda cursor: table.widen(cursor, dataset.schema.columns))
                await lease.run(lambda cursor: table.change(cursor, there))
                if table.end < dataset.next_position:
                    await self._fill(lease, table, held.scan(after=table.end - 1 if table.end else None))
                await lease.run(_commit)
        except BaseException:
            table.columns = columns
            raise
        finally:
            table.growing = table.closed = False
        table.end, table.revision, table.edits = dataset.next_position, dataset.revision, dataset.edits
        table.measure()

    async def _fill(self, lease: Lease, table: Table, slices: AsyncIterator[Slice]) -> None:
        """Insert slices, each while the next is read."""
        pending: asyncio.Task[None] | None = None
        try:
            async for found in slices:
                if pending is not None:
                    await pending
                await self._make_room(table)
                insert = partial(table.insert, positions=found.positions, records=found.records)
                pending = asyncio.create_task(lease.run(insert))
            if pending is not None:
                await pending
        finally:
            if pending is not None:
                await asyncio.wait({pending})
                pending.cancelled() or pending.exception()

    async def _fill_from(self, parse: Parse, lease: Lease, table: Table) -> None:
        """Insert what a load has parsed, and remove it."""
        for part in parse.parts:
            await self._make_room(table)
            await lease.run(partial(table.insert_lines, part=part))
            await asyncio.to_thread(parse.remove, part)

    async def _replace(self, table: Table) -> None:
        """Put a table in the place of those of its dataset."""
        old = [each for each in self._tables if each.name == table.name]
        table.used = next(self._uses)
        self._tables = [each for each in self._tables if each.name != table.name] + [table]
        for each in old:
            if not each.users:
                await self._drop(each)
        await self._make_room(table)

    async def _make_room(self, growing: Table) -> None:
        """Drop what was least recently used until all fit. Raises `OutOfSpace` where they never will."""
        growing.measure()
        while self._over_room(growing):
            if await self._parses.drop_oldest():
                continue
            idle = [table for table in self._tables if table is not growing and not table.users]
            if not idle:
                raise OutOfSpace("The dataset's columns do not fit in ENGINE_SPILL_BYTES; give it more room.")
            oldest = min(idle, key=lambda table: table.used)
            self._tables.remove(oldest)
            await self._drop(oldest)

    def _over_room(self, growing: Table) -> bool:
        tables = {growing, *self._tables}
        return sum(table.size_bytes for table in tables) + self._parses.size_bytes > self._room_bytes

    async def _drop(self, table: Table) -> None:
        if all(each.name != table.name for each in self._tables):
            self._edits.forget(table.name)
        async with self._database.lease() as lease:
            await lease.run(table.drop)


def _begin(cursor: duckdb.DuckDBPyConnection) -> None:
    cursor.execute("BEGIN")


def _commit(cursor: duckdb.DuckDBPyConnection) -> None:
    cursor.execute("COMMIT")
