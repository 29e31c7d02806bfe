"""Datasets and their records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from service.adapters import commits
from service.adapters.postgres import transactions
from service.adapters.postgres.connections import Connections, Lane, Link, Row
from service.adapters.postgres.errors import DigestTaken
from service.adapters.postgres.freshness import Freshness
from service.adapters.postgres.migrations import Migrations
from service.adapters.postgres.rows import COLUMNS, COUNTERS, Seen, Stored, dataset_of, digest
from service.adapters.postgres.snapshots import FAR, PostgresSnapshot, slice_of
from service.adapters.postgres.writers import AppendWriter, ReplaceWriter
from service.adapters.ranks import BUCKET, GROUP
from service.domain.datasets import Dataset, Schema
from service.ports.clock import Clock
from service.ports.storage import (
    NO_GUARD,
    Commit,
    Guard,
    OnConflict,
    Remembered,
    Slice,
    StoredRecord,
)

_ALL = f"SELECT {COLUMNS} FROM aerolite.datasets AS d WHERE d.lot <> 0 ORDER BY d.name"  # noqa: S608 - constants

_ONE = f"SELECT {COLUMNS} FROM aerolite.datasets AS d WHERE d.name = $1 AND d.lot <> 0"  # noqa: S608 - constants

_NAMES = "SELECT name FROM aerolite.datasets ORDER BY name"

_LAST_REVISION = "SELECT revision FROM aerolite.datasets WHERE name = $1"

# The schema is left out where the revision is the one that was seen last ($2).
_META = f"{COUNTERS}, CASE WHEN d.revision IS DISTINCT FROM $2 THEN d.schema END AS schema"

_SLICE = f"""
SELECT {_META}, s.start, s.positions, s.records
FROM aerolite.datasets AS d,
    aerolite.slice(d.lot, d.count, d.next_position, $3, $4, $5, NULL) AS s
WHERE d.name = $1 AND d.lot <> 0
"""  # noqa: S608 - constants

_RECORD = f"""
SELECT {_META}, r.position, r.record
FROM aerolite.datasets AS d LEFT JOIN aerolite.records AS r ON r.lot = d.lot AND {{condition}}
WHERE d.name = $1 AND d.lot <> 0
"""  # noqa: S608 - constants
_BY_KEY = _RECORD.format(condition="r.key = $3")
_BY_POSITION = _RECORD.format(condition="r.position = $3")

_AT = "SELECT record FROM aerolite.records WHERE lot = $1 AND position = $2"
_PUT = "UPDATE aerolite.records SET record = $3, key = $4 WHERE lot = $1 AND position = $2"
_REMOVE = "DELETE FROM aerolite.records WHERE lot = $1 AND position = $2"
_COUNT_HOLE = f"""
INSERT INTO aerolite.holes (lot, size, segment, gone)
VALUES ($1, {BUCKET}, $2::bigint / {BUCKET}, 1), ($1, {GROUP}, $2::bigint / {GROUP}, 1)
ON CONFLICT (lot, size, segment) DO UPDATE SET gone = holes.gone + 1
"""  # noqa: S608 - constants

Change = Callable[[Link, Stored], Awaitable[tuple[Commit, int]]]
"""Does a change to a locked name: returns the commit, and the lot where its records are then."""


class PostgresDatasets:
    """Datasets in PostgreSQL."""

    def __init__(
        self,
        connections: Connections,
        freshness: Freshness,
        migrations: Migrations,
        seen: Seen,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._freshness = freshness
        self._migrations = migrations
        self._seen = seen
        self._clock = clock

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision's metadata, or None."""
        if not self._migrations.done:
            async with self._connections.link(Lane.READ):
                pass  # a first connection makes the tables
        return await self._freshness.dataset(name)

    async def datasets(self) -> list[Dataset]:
        """Return all datasets, sorted by name."""
        async with self._connections.link(Lane.READ) as link:
            rows = await link.fetch(_ALL)
        found = (dataset_of(row, self._seen.get(row["name"])) for row in rows)
        return [dataset for dataset in found if dataset is not None]

    async def names(self) -> list[str]:
        """Return every name that ever had a dataset."""
        async with self._connections.link(Lane.READ) as link:
            return [row["name"] for row in await link.fetch(_NAMES)]

    async def last_revision(self, name: str) -> int:
        """Return the newest revision the name ever had."""
        async with self._connections.link(Lane.READ) as link:
            row = await link.fetchrow(_LAST_REVISION, name)
        return 0 if row is None else int(row["revision"])

    async def slice(self, name: str, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return some records of the current revision."""
        dataset, row = await self._read(_SLICE, name, min(rank, FAR), after, limit)
        return slice_of(dataset, row, rank, after)

    async def record(self, name: str, *, key: str | None = None, position: int | None = None) -> StoredRecord:
        """Return the record with that key or position."""
        if key is not None:
            dataset, row = await self._read(_BY_KEY, name, digest(key))
            if row["record"] is None:
                raise commits.key_not_found(name, key)
        elif position is not None:
            dataset, row = await self._read(_BY_POSITION, name, position)
            if row["record"] is None:
                raise commits.position_not_found(name, position)
        else:
            raise ValueError("Give a key or a position.")
        return StoredRecord(dataset, row["position"], row["record"])

    @asynccontextmanager
    async def snapshot(self, name: str) -> AsyncIterator[PostgresSnapshot]:
        """Hold the current revision for reading."""
        async with self._connections.link(Lane.SNAPSHOT) as link:
            await link.execute(transactions.BEGIN_SNAPSHOT)
            row = await link.fetchrow(_ONE, name)
            dataset = None if row is None else dataset_of(row, self._seen.get(name))
            if row is None or dataset is None:
                raise commits.dataset_not_found(name)
            yield PostgresSnapshot(link, dataset, row["lot"])

    @asynccontextmanager
    async def replace(self, name: str, origin: Dataset | None = None) -> AsyncIterator[ReplaceWriter]:
        """Stage a whole new generation."""
        async with AsyncExitStack() as stack:
            yield ReplaceWriter(self._connections, self._clock, name, stack, origin)

    @asynccontextmanager
    async def append(
        self, name: str, on_conflict: OnConflict = OnConflict.FAIL
    ) -> AsyncIterator[AppendWriter]:
        """Stage records to stand behind those there are."""
        if await self.dataset(name) is None:
            raise commits.dataset_not_found(name)
        async with AsyncExitStack() as stack:
            yield AppendWriter(self._connections, self._clock, name, stack, on_conflict)

    async def put_record(
        self,
        name: str,
        position: int,
        record: bytes,
        *,
        key: str | None,
        schema: Schema,
        guard: Guard = NO_GUARD,
    ) -> Commit:
        """Change the record at a position."""

        async def change(link: Link, stored: Stored) -> tuple[Commit, int]:
            before = await self._at(link, stored, position, guard)
            try:
                await link.execute(_PUT, stored.lot, position, record, None if key is None else digest(key))
            except DigestTaken:
                raise commits.duplicate_key(key or "") from None
            now = self._clock.now()
            commit = commits.record_put(stored.head, schema, now, position, before=before, after=record)
            return commit, stored.lot

        return await self._commit(name, guard, change)

    async def delete_record(self, name: str, position: int, guard: Guard = NO_GUARD) -> Commit:
        """Remove the record at a position."""

        async def change(link: Link, stored: Stored) -> tuple[Commit, int]:
            before = await self._at(link, stored, position, guard)
            await link.execute(_REMOVE, stored.lot, position)
            await link.execute(_COUNT_HOLE, stored.lot, position)
            commit = commits.record_removed(stored.head, self._clock.now(), position, before=before)
            return commit, stored.lot

        return await self._commit(name, guard, change)

    async def put_schema(self, name: str, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Store another schema under a new revision."""

        async def change(_: Link, stored: Stored) -> tuple[Commit, int]:
            return commits.schema_put(stored.head, schema, self._clock.now()), stored.lot

        return await self._commit(name, guard, change)

    async def delete(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove the dataset."""

        async def change(_: Link, stored: Stored) -> tuple[Commit, int]:
            return commits.deleted(stored.head), 0

        return await self._commit(name, guard, change)

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed."""
        async with self._connections.link(Lane.READ) as link:
            return await transactions.recall(link, name, idempotency_key, self._clock.now())

    async def _read(self, query: str, name: str, *arguments: object) -> tuple[Dataset, Row]:
        """Return the dataset and what the query finds of it, both of one revision, in one round trip."""
        known = self._seen.get(name)
        revision = None if known is None else known.revision
        async with self._connections.link(Lane.READ) as link:
            row = await link.fetchrow(query, name, revision, *arguments)
        dataset = None if row is None else dataset_of(row, known)
        if dataset is None:
            raise commits.dataset_not_found(name)
        self._seen.put(name, dataset)
        return dataset, row

    async def _commit(self, name: str, guard: Guard, change: Change) -> Commit:
        async with self._connections.link(Lane.WRITE) as link:
            await link.execute(transactions.BEGIN)
            now = self._clock.now()
            stored = await transactions.lock(link, name, guard, now)
            commit, lot = await change(link, stored)
            return await transactions.store(link, stored, commit, lot, guard, now)

    async def _at(self, link: Link, stored: Stored, position: int, guard: Guard) -> bytes:
        row = await link.fetchrow(_AT, stored.lot, position)
        if row is None:
            raise commits.position_not_found(stored.head.name, position)
        before: bytes = row["record"]
        commits.check_record(before, guard)
        return before
