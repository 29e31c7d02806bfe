"""Datasets in SQLite, with what is known of each cached until anyone commits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.adapters import commits
from service.adapters.sqlite.committing import Committer
from service.adapters.sqlite.database import Database, Version
from service.adapters.sqlite.heads import (
    Stored,
    all_names,
    count_hole,
    first_id,
    is_current,
    key_bytes,
    load,
    load_all,
)
from service.adapters.sqlite.reading import (
    SqliteSnapshot,
    find_record,
    position_of,
    record_at,
    slice_records,
)
from service.adapters.sqlite.writing import SqliteWriter
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

CACHED_NAMES = 1_000


class SqliteDatasets:
    """Datasets; `leases` is the set of shelves that this process is staging on."""

    def __init__(self, database: Database, clock: Clock, leases: set[int]) -> None:
        self._database = database
        self._clock = clock
        self._committer = Committer(database, clock)
        self._leases = leases
        self._seen: dict[str, tuple[Version, Stored]] = {}

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision's metadata, or None."""
        return (await self._stored(name)).head.dataset

    async def datasets(self) -> list[Dataset]:
        """Return all datasets, sorted by name."""
        version = self._database.version() or await self._database.opened_version()
        known = {name: stored for name, (_, stored) in self._seen.items()}
        found = await self._database.read(lambda connection: load_all(connection, known))
        for stored in found:
            self._see(stored.head.name, version, stored)
        return [commits.present(stored.head) for stored in found]

    async def names(self) -> list[str]:
        """Return every name that ever had a dataset."""
        return await self._database.read(all_names)

    async def last_revision(self, name: str) -> int:
        """Return the newest revision the name ever had."""
        return (await self._stored(name)).head.revision

    async def _stored(self, name: str) -> Stored:
        """Return what is stored under a name: what was seen, unless somebody has committed since."""
        # The version is taken before the read: what is committed in between makes another one.
        version = self._database.version()
        seen, known = self._seen.get(name, (None, None))
        if known is not None and seen == version:
            return known
        if version is not None and known is not None and self._is_current(name, known):
            self._see(name, version, known)
            return known
        version = await self._database.opened_version()
        stored = await self._database.read(lambda connection: load(connection, name, known))
        self._see(name, version, stored)
        return stored

    def _is_current(self, name: str, known: Stored) -> bool:
        """Return whether the commits since were of other names, or of documents."""
        return self._database.glance(lambda connection: is_current(connection, name, known)) is True

    def _known(self, name: str) -> Stored | None:
        """Return what was last seen of a name, fresh or not."""
        seen = self._seen.get(name)
        return None if seen is None else seen[1]

    def _see(self, name: str, version: Version, stored: Stored) -> None:
        self._seen.pop(name, None)
        self._seen[name] = (version, stored)
        if len(self._seen) > CACHED_NAMES:
            del self._seen[next(iter(self._seen))]

    async def slice(self, name: str, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records of the current revision."""
        version = self._database.version() or await self._database.opened_version()
        known = self._known(name)

        def query(connection: sqlite3.Connection) -> tuple[Stored, Slice]:
            stored = load(connection, name, known)
            return stored, slice_records(connection, stored, limit=limit, rank=rank, after=after)

        stored, found = await self._database.read(query)
        self._see(name, version, stored)
        return found

    async def record(self, name: str, *, key: str | None = None, position: int | None = None) -> StoredRecord:
        """Return the record with that key or position."""
        known = self._known(name)
        return await self._database.read(
            lambda connection: find_record(connection, load(connection, name, known), key, position)
        )

    @asynccontextmanager
    async def snapshot(self, name: str) -> AsyncIterator[SqliteSnapshot]:
        """Hold the current revision for reading. Entering raises `Busy` where too many are held."""
        async with self._database.hold() as held:
            snapshot = SqliteSnapshot(held, await held.read(lambda connection: load(connection, name)))
            commits.present(snapshot.stored.head)
            yield snapshot

    @asynccontextmanager
    async def replace(self, name: str, origin: Dataset | None = None) -> AsyncIterator[SqliteWriter]:
        """Stage a whole new generation of the dataset."""
        writer = SqliteWriter(self._committer, self._leases, name, None, origin)
        try:
            yield writer
        finally:
            await writer.close()

    @asynccontextmanager
    async def append(
        self, name: str, on_conflict: OnConflict = OnConflict.FAIL
    ) -> AsyncIterator[SqliteWriter]:
        """Stage records to stand behind those there are at the time of the commit."""
        commits.present((await self._stored(name)).head)
        writer = SqliteWriter(self._committer, self._leases, name, on_conflict)
        try:
            yield writer
        finally:
            await writer.close()

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
        """Change the record at a position, its key too."""

        def change(connection: sqlite3.Connection, stored: Stored) -> tuple[Commit, int]:
            before = record_at(connection, stored, position)
            commits.check_record(before, guard)
            holder = None if key is None else position_of(connection, stored, key)
            if key is not None and holder not in {None, position}:
                raise commits.duplicate_key(key)
            connection.execute(
                "UPDATE records SET key = ?, record = ? WHERE id = ?",
                (None if key is None else key_bytes(key), record, first_id(stored.shelf) + position),
            )
            now = self._clock.now()
            commit = commits.record_put(stored.head, schema, now, position, before=before, after=record)
            return commit, stored.shelf

        return await self._committer.commit(name, guard, change)

    async def delete_record(self, name: str, position: int, guard: Guard = NO_GUARD) -> Commit:
        """Remove the record at a position."""

        def change(connection: sqlite3.Connection, stored: Stored) -> tuple[Commit, int]:
            before = record_at(connection, stored, position)
            commits.check_record(before, guard)
            id_ = first_id(stored.shelf) + position
            connection.execute("DELETE FROM records WHERE id = ?", (id_,))
            count_hole(connection, stored.shelf, position)
            commit = commits.record_removed(stored.head, self._clock.now(), position, before=before)
            return commit, stored.shelf

        return await self._committer.commit(name, guard, change)

    async def put_schema(self, name: str, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Store another schema under a new revision."""

        def change(_: sqlite3.Connection, stored: Stored) -> tuple[Commit, int]:
            return commits.schema_put(stored.head, schema, self._clock.now()), stored.shelf

        return await self._committer.commit(name, guard, change)

    async def delete(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove the dataset."""

        def change(_: sqlite3.Connection, stored: Stored) -> tuple[Commit, int]:
            return commits.deleted(stored.head), 0

        return await self._committer.commit(name, guard, change)

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed to this dataset."""
        return await self._committer.recall(name, idempotency_key)
