"""Datasets in memory.

Every commit makes a new generation object and leaves the old one as it was, so a reader simply keeps what it
has. That costs a copy per commit, which is right for tests and wrong for anything large.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.adapters import commits
from service.adapters.codec import load_remembered
from service.adapters.memory.reading import MemorySnapshot
from service.adapters.memory.state import MemoryState, Name, Records
from service.adapters.memory.writing import MemoryWriter
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


class MemoryDatasets:
    """Datasets in memory."""

    def __init__(self, state: MemoryState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision's metadata, or None."""
        await self._state.reach()
        return self._state.name(name).head.dataset

    async def datasets(self) -> list[Dataset]:
        """Return all datasets, sorted by name."""
        await self._state.reach()
        heads = (self._state.names[name].head for name in sorted(self._state.names))
        return [head.dataset for head in heads if head.dataset is not None]

    async def names(self) -> list[str]:
        """Return every name that ever had a dataset."""
        await self._state.reach()
        return sorted(self._state.names)

    async def last_revision(self, name: str) -> int:
        """Return the newest revision the name ever had."""
        await self._state.reach()
        return self._state.name(name).head.revision

    async def slice(self, name: str, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return some records of the current revision."""
        await self._state.reach()
        return await self._held(name).slice(limit=limit, rank=rank, after=after)

    async def record(self, name: str, *, key: str | None = None, position: int | None = None) -> StoredRecord:
        """Return the record with that key or position."""
        await self._state.reach()
        entry = self._state.name(name)
        dataset = commits.present(entry.head)
        if key is not None:
            position = entry.records.keys.get(key)
            if position is None:
                raise commits.key_not_found(name, key)
        if position is None:
            raise ValueError("Give a key or a position.")
        return StoredRecord(dataset, position, _at(entry, position))

    @asynccontextmanager
    async def snapshot(self, name: str) -> AsyncIterator[MemorySnapshot]:
        """Hold the current revision for reading."""
        await self._state.reach()
        yield self._held(name)

    @asynccontextmanager
    async def replace(self, name: str, origin: Dataset | None = None) -> AsyncIterator[MemoryWriter]:
        """Stage a whole new generation."""
        await self._state.reach()
        yield MemoryWriter(self._state, self._clock, name, None, origin)

    @asynccontextmanager
    async def append(
        self, name: str, on_conflict: OnConflict = OnConflict.FAIL
    ) -> AsyncIterator[MemoryWriter]:
        """Stage records to stand behind those there are."""
        await self._state.reach()
        commits.present(self._state.name(name).head)
        yield MemoryWriter(self._state, self._clock, name, on_conflict)

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
        await self._state.reach()

        def change(entry: Name) -> Commit:
            before = _at(entry, position)
            commits.check_record(before, guard)
            if key is not None and entry.records.keys.get(key, position) != position:
                raise commits.duplicate_key(key)
            entry.records.forget_key(position)
            entry.records.records[position] = record
            if key is not None:
                entry.records.keys[key] = position
            now = self._clock.now()
            return commits.record_put(entry.head, schema, now, position, before=before, after=record)

        return self._commit(name, guard, change)

    async def delete_record(self, name: str, position: int, guard: Guard = NO_GUARD) -> Commit:
        """Remove the record at a position."""
        await self._state.reach()

        def change(entry: Name) -> Commit:
            before = _at(entry, position)
            commits.check_record(before, guard)
            entry.records.remove(position)
            return commits.record_removed(entry.head, self._clock.now(), position, before=before)

        return self._commit(name, guard, change)

    async def put_schema(self, name: str, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Store another schema under a new revision."""
        await self._state.reach()

        def change(entry: Name) -> Commit:
            return commits.schema_put(entry.head, schema, self._clock.now())

        return self._commit(name, guard, change)

    async def delete(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove the dataset."""
        await self._state.reach()

        def change(entry: Name) -> Commit:
            entry.records = Records()
            return commits.deleted(entry.head)

        return self._commit(name, guard, change)

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed."""
        await self._state.reach()
        kept = self._state.remembered.get((name, idempotency_key))
        if kept is None or not kept.live(self._clock.now()):
            return None
        return load_remembered(kept.value)

    def _commit(self, name: str, guard: Guard, change: Callable[[Name], Commit]) -> Commit:
        return self._state.commit(name, guard, change, self._clock.now())

    def _held(self, name: str) -> MemorySnapshot:
        entry = self._state.name(name)
        return MemorySnapshot(self._state, commits.present(entry.head), entry.records)


def _at(entry: Name, position: int) -> bytes:
    commits.present(entry.head)
    if position not in entry.records.records:
        raise commits.position_not_found(entry.head.name, position)
    return entry.records.records[position]
