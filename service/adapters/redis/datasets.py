"""Datasets in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.adapters import commits
from service.adapters.ranks import BUCKET
from service.adapters.redis.appending import Append
from service.adapters.redis.heads import Heads
from service.adapters.redis.layout import (
    Entry,
    forget_entry,
    group_of,
    index_entry,
    pack_row,
    unpack_row,
    write_entry,
)
from service.adapters.redis.loading import Replacement, replacement, retire
from service.adapters.redis.placing import owners
from service.adapters.redis.reading import Reader, RedisSnapshot, View
from service.adapters.redis.scripts import Command
from service.adapters.redis.spool import Spool
from service.adapters.redis.writing import ANY_TOKEN, Change, Committer
from service.domain.datasets import Dataset, Schema
from service.ports.storage import (
    NO_GUARD,
    Commit,
    Guard,
    OnConflict,
    Remembered,
    Slice,
    StoredRecord,
)


class RedisDatasets:
    """Datasets and their records in Redis."""

    def __init__(self, heads: Heads, reader: Reader, committer: Committer, names_key: str) -> None:
        self._heads = heads
        self._reader = reader
        self._committer = committer
        self._wire = committer.wire
        self._names_key = names_key

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision's metadata, or None."""
        return (await self._heads.fresh(name)).head.dataset

    async def datasets(self) -> list[Dataset]:
        """Return all datasets, sorted by name."""
        entries = await self._heads.look_at_all(await self.names())
        return [entry.head.dataset for entry in entries if entry.head.dataset is not None]

    async def names(self) -> list[str]:
        """Return every name that ever had a dataset."""
        return sorted(name.decode() for name in await self._wire.call("SMEMBERS", self._names_key))

    async def last_revision(self, name: str) -> int:
        """Return the newest revision the name ever had."""
        return (await self._heads.fresh(name)).head.revision

    async def slice(self, name: str, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return some records of the current revision."""
        return await self._reader.slice(name, limit=limit, rank=rank, after=after)

    async def record(self, name: str, *, key: str | None = None, position: int | None = None) -> StoredRecord:
        """Return the record with that key or position."""
        if key is None and position is None:
            raise ValueError("Give a key or a position.")
        return await self._reader.record(name, key, position or 0)

    @asynccontextmanager
    async def snapshot(self, name: str) -> AsyncIterator[RedisSnapshot]:
        """Hold the current revision for reading, until one of its records is changed or removed."""
        view = View.of(await self._heads.fresh(name), held=True)
        yield RedisSnapshot(self._reader, view)

    @asynccontextmanager
    async def replace(self, name: str, origin: Dataset | None = None) -> AsyncIterator[Replacement]:
        """Stage a whole new generation."""
        async with replacement(self._committer, name, origin) as writer:
            yield writer

    @asynccontextmanager
    async def append(self, name: str, on_conflict: OnConflict = OnConflict.FAIL) -> AsyncIterator[Append]:
        """Stage records to stand behind those there are."""
        commits.present((await self._heads.fresh(name)).head)
        async with Spool() as spool:
            yield Append(self._committer, name, on_conflict, spool)

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
        keys = self._heads.keys(name)

        async def change(entry: Entry) -> Change:
            before = await self._at(entry, position, guard)
            end = entry.head.dataset.next_position if entry.head.dataset is not None else 0
            if key is not None:
                owner = (await owners(self._wire, keys, entry.body, end, [key])).get(key)
                if owner is not None and owner.position != position:
                    raise commits.duplicate_key(key)
            now = self._committer.now()
            commit = commits.record_put(entry.head, schema, now, position, before=before, after=record)
            hint = None if key is None else index_entry(key)
            commands: list[Command] = [
                *write_entry(keys, entry, commit.dataset, entry.body),
                ("LSET", keys.bucket(entry.body, position), position % BUCKET, pack_row(record, hint)),
            ]
            if hint is not None:
                commands.append(("HSET", keys.index(entry.body, hint), hint, position))
            return Change(commit, commands)

        return await self._committer.commit(name, guard, change)

    async def delete_record(self, name: str, position: int, guard: Guard = NO_GUARD) -> Commit:
        """Remove the record at a position."""
        keys = self._heads.keys(name)

        async def change(entry: Entry) -> Change:
            before = await self._at(entry, position, guard)
            commit = commits.record_removed(entry.head, self._committer.now(), position, before=before)
            commands: list[Command] = [
                # First what takes no memory: Redis then runs the rest, too, where its memory is full.
                ("LTRIM", keys.bucket(entry.body, position), 0, -1),
                ("LSET", keys.bucket(entry.body, position), position % BUCKET, ""),
                ("SETBIT", keys.holes(entry.body), position, 1),
                ("HINCRBY", keys.groups(entry.body), group_of(position), 1),
                *write_entry(keys, entry, commit.dataset, entry.body),
            ]
            return Change(commit, commands)

        return await self._committer.commit(name, guard, change)

    async def put_schema(self, name: str, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Store another schema under a new revision."""
        keys = self._heads.keys(name)

        async def change(entry: Entry) -> Change:
            commit = commits.schema_put(entry.head, schema, self._committer.now())
            return Change(commit, write_entry(keys, entry, commit.dataset, entry.body))

        return await self._committer.commit(name, guard, change)

    async def delete(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove the dataset; its records stay for the snapshots that read them, until they are swept."""
        keys = self._heads.keys(name)
        await self._committer.litter(name)

        async def change(entry: Entry) -> Change:
            commit = commits.deleted(entry.head)
            commands = [*forget_entry(keys, entry, commit.dataset), *retire(self._committer, keys, entry)]
            return Change(commit, commands)

        return await self._committer.commit(name, guard, change, token=ANY_TOKEN)

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed."""
        return await self._committer.recall(name, idempotency_key)

    async def _at(self, entry: Entry, position: int, guard: Guard) -> bytes:
        """Return the record at a position. Raises `RecordNotFound`, and what the guard says of it."""
        name, row = entry.head.name, None
        if position < commits.present(entry.head).next_position:
            bucket = self._heads.keys(name).bucket(entry.body, position)
            row = await self._wire.call("LINDEX", bucket, position % BUCKET)
        if not row:
            raise commits.position_not_found(name, position)
        record, _ = unpack_row(row)
        commits.check_record(record, guard)
        return record
