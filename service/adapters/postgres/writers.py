"""Staged writes.

A write of one batch is held here until its commit, so its transaction is short. A longer one loads its
batches by COPY in one transaction from the second batch on: what it stages is seen by nobody, and gone when
its process dies, so nothing has to be swept. No dataset is locked before the commit.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count, repeat

from service.adapters import commits
from service.adapters.commits import Tally
from service.adapters.postgres import merging, transactions
from service.adapters.postgres.connections import Connections, Lane, Link
from service.adapters.postgres.errors import DigestTaken
from service.adapters.postgres.rows import digest
from service.adapters.ranks import BUCKET, GROUP, Gaps
from service.adapters.steps import Steps
from service.domain.datasets import Dataset, Schema
from service.domain.records import Batch
from service.ports.clock import Clock
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict


class PostgresWriter(ABC):
    """A staged write; `stack` lasts as long as it does, and gives its connection back."""

    def __init__(self, connections: Connections, clock: Clock, name: str, stack: AsyncExitStack) -> None:
        self._connections = connections
        self._clock = clock
        self._name = name
        self._stack = stack
        self._link: Link | None = None
        self._held: Batch | None = None
        self._count = 0
        self._size_bytes = 0
        self._steps = Steps()

    async def add(self, batch: Batch) -> None:
        """Stage records."""
        with self._steps.step():
            if self._count == 0:
                self._held = batch
            else:
                if self._link is None:
                    self._link = await self._begin(Lane.LOAD, transactions.BEGIN_STAGING)
                await self._stage_held(self._link)
                await self._stage(self._link, batch, self._count)
            self._count += len(batch.records)
            self._size_bytes += sum(map(len, batch.records))

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the new revision."""
        with self._steps.step(last=True):
            if self._link is None:
                return await self._commit(await self._begin(Lane.WRITE, transactions.BEGIN), schema, guard)
            await self._link.execute(transactions.STAGED)
            return await self._commit(self._link, schema, guard)

    @abstractmethod
    async def _stage(self, link: Link, batch: Batch, first: int) -> None:
        """Stage a batch behind `first` records."""

    @abstractmethod
    async def _commit(self, link: Link, schema: Schema, guard: Guard) -> Commit:
        """Make what was staged, or is held, the new revision."""

    async def _stage_held(self, link: Link) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            await self._stage(link, held, 0)

    async def _begin(self, lane: Lane, statement: str) -> Link:
        link = await self._stack.enter_async_context(self._connections.link(lane))
        await link.execute(statement)
        return link


class ReplaceWriter(PostgresWriter):
    """Fills a lot of its own, to which the commit then points."""

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        name: str,
        stack: AsyncExitStack,
        origin: Dataset | None = None,
    ) -> None:
        super().__init__(connections, clock, name, stack)
        self._origin = origin
        self._gaps = Gaps()
        self._lot = 0

    async def _stage(self, link: Link, batch: Batch, first: int) -> None:
        lot = await self._own_lot(link)
        keys = repeat(None) if batch.keys is None else map(digest, batch.keys)
        positions = count(first) if batch.positions is None else batch.positions
        if batch.positions:
            self._gaps.add(batch.positions)
        try:
            await link.copy(
                ("aerolite", "records"),
                ("lot", "position", "key", "record"),
                zip(repeat(lot), positions, keys, batch.records, strict=False),
            )
        except DigestTaken as taken:
            raise commits.duplicate_key(_key_of(batch, taken.digest)) from None

    async def _commit(self, link: Link, schema: Schema, guard: Guard) -> Commit:
        await self._stage_held(link)
        now = self._clock.now()
        before = await transactions.lock(link, self._name, guard, now, creates=True)
        lot = await self._own_lot(link)
        if self._origin is not None:
            await self._count_gaps(link, lot, self._origin.next_position)
        commit = commits.replaced(
            before.head,
            schema,
            now,
            count=self._count,
            size_bytes=self._size_bytes,
            first=self._gaps.first,
            origin=self._origin,
        )
        return await transactions.store(link, before, commit, lot, guard, now)

    async def _count_gaps(self, link: Link, lot: int, end: int) -> None:
        self._gaps.until(end)
        sizes = ((BUCKET, self._gaps.counts), (GROUP, self._gaps.groups()))
        rows = [(lot, size, segment, gone) for size, counts in sizes for segment, gone in counts.items()]
        if rows:
            await link.copy(("aerolite", "holes"), ("lot", "size", "segment", "gone"), rows)

    async def _own_lot(self, link: Link) -> int:
        if not self._lot:
            self._lot = (await link.one("SELECT nextval('aerolite.lots') AS lot"))["lot"]
        return self._lot


class AppendWriter(PostgresWriter):
    """Puts records behind those that are there at the commit."""

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        name: str,
        stack: AsyncExitStack,
        on_conflict: OnConflict,
    ) -> None:
        super().__init__(connections, clock, name, stack)
        self._on_conflict = on_conflict
        self._keyed = False

    async def _stage(self, link: Link, batch: Batch, first: int) -> None:
        self._keyed = batch.keys is not None
        if first == 0:
            await link.execute(merging.CREATE_STAGED)
        names = repeat(None) if batch.keys is None else map(_encoded, batch.keys)
        keys = repeat(None) if batch.keys is None else map(digest, batch.keys)
        await link.copy(
            ("pg_temp", "staged"),
            ("ordinal", "key", "name", "record"),
            zip(count(first + 1), keys, names, batch.records, strict=False),
        )

    async def _commit(self, link: Link, schema: Schema, guard: Guard) -> Commit:
        now = self._clock.now()
        before = await transactions.lock(link, self._name, guard, now)
        first = commits.present(before.head).next_position
        tally = await self._merge(link, before.lot, first)
        rest = self._count - tally.added
        tally.replaced = rest if self._on_conflict is OnConflict.REPLACE else 0
        tally.ignored = rest - tally.replaced
        commit = commits.appended(before.head, schema, now, tally)
        return await transactions.store(link, before, commit, before.lot, guard, now)

    async def _merge(self, link: Link, lot: int, first: int) -> Tally:
        if self._link is not None:
            return await self._merge_staged(link, lot, first)
        if self._held is None:
            return Tally()
        return await self._merge_held(link, self._held, lot, first)

    async def _merge_held(self, link: Link, held: Batch, lot: int, first: int) -> Tally:
        on_conflict = OnConflict.FAIL if held.keys is None else self._on_conflict
        keys = [None] * len(held.records) if held.keys is None else await _digests(held.keys)
        sent = (keys, list(held.records))
        try:
            return await merging.merge(link, merging.SENT, on_conflict, lot, first, *sent)
        except DigestTaken as taken:
            raise commits.duplicate_key(_key_of(held, taken.digest)) from None

    async def _merge_staged(self, link: Link, lot: int, first: int) -> Tally:
        on_conflict = self._on_conflict if self._keyed else OnConflict.FAIL
        await link.execute("ANALYZE pg_temp.staged; SAVEPOINT merging")
        try:
            return await merging.merge(link, merging.STAGED, on_conflict, lot, first)
        except DigestTaken as taken:
            await link.execute("ROLLBACK TO merging")
            row = await link.one("SELECT name FROM pg_temp.staged WHERE key = $1", taken.digest)
            raise commits.duplicate_key(_decoded(row["name"])) from None


async def _digests(keys: Sequence[str]) -> list[bytes]:
    """Return the digests of keys; of many, in a thread."""
    if len(keys) < 500:
        return list(map(digest, keys))
    return await asyncio.to_thread(lambda: list(map(digest, keys)))


def _key_of(batch: Batch, wanted: bytes) -> str:
    """Return the key of a batch that has this digest."""
    return next(key for key in batch.keys or () if digest(key) == wanted)


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")
