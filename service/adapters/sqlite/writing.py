"""Staged writes: small ones are one transaction at the commit, large ones go to disk on the way."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import partial

from service.adapters import commits
from service.adapters.commits import Tally
from service.adapters.ranks import Gaps
from service.adapters.sqlite import inserting, shelves
from service.adapters.sqlite.committing import Committer
from service.adapters.sqlite.heads import Stored, count_gaps
from service.adapters.steps import Steps
from service.domain.datasets import Dataset, Schema
from service.domain.errors import StoreError
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict

STAGE_BYTES = 8 << 20
"""What a writer keeps in memory before it stages: about 100 ms of the write lock."""


class SqliteWriter:
    """A staged write; `on_conflict` is None where it replaces.

    A replace stages where its records will stay, an append apart, as the end of the dataset is known at the
    commit only. `leases` is the set of shelves that this process is staging on. `origin` is what it restores.
    """

    def __init__(
        self,
        committer: Committer,
        leases: set[int],
        name: str,
        on_conflict: OnConflict | None,
        origin: Dataset | None = None,
    ) -> None:
        self._committer = committer
        self._leases = leases
        self._name = name
        self._on_conflict = on_conflict
        self._origin = origin
        self._gaps = Gaps()
        self._waiting: list[Batch] = []
        self._waiting_bytes = 0
        self._keyed = False
        self._shelf = 0
        self._staged = 0
        self._staged_bytes = 0
        self._steps = Steps()

    async def add(self, batch: Batch) -> None:
        """Stage records behind those added before."""
        with self._steps.step():
            self._waiting.append(batch)
            if batch.positions:
                self._gaps.add(batch.positions)
            self._keyed = self._keyed or batch.keys is not None
            self._waiting_bytes += sum(map(len, batch.records))
            if self._waiting_bytes >= STAGE_BYTES:
                await self._flush()

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the new revision."""
        change = self._replace if self._on_conflict is None else self._append
        with self._steps.step(last=True):
            commit = await self._committer.commit(
                self._name,
                guard,
                lambda connection, stored: change(connection, stored, schema),
                creates=self._on_conflict is None,
            )
        self._leases.discard(self._shelf)
        self._shelf = 0
        return commit

    async def close(self) -> None:
        """Leave what was staged and not committed to the next sweep."""
        self._leases.discard(self._shelf)
        if self._shelf:
            # Where the store does not answer, the lease runs out.
            with suppress(StoreError):
                await self._committer.database.write(partial(shelves.drop, shelf=self._shelf))

    async def _flush(self) -> None:
        self._shelf = await self._committer.database.write(self._stage)
        self._leases.add(self._shelf)
        self._staged += sum(len(batch.records) for batch in self._waiting)
        self._staged_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0

    def _stage(self, connection: sqlite3.Connection) -> int:
        now = self._committer.clock.now()
        if self._shelf:
            shelves.renew(connection, self._shelf, now)
        shelf = self._shelf or shelves.stage(connection, now)
        put = inserting.insert if self._on_conflict is None else inserting.stage
        self._put_waiting(connection, shelf, self._staged, put)
        return shelf

    def _put_waiting(
        self, connection: sqlite3.Connection, shelf: int, position: int, put: inserting.Put
    ) -> None:
        for batch in self._waiting:
            put(connection, shelf, position, batch)
            position += len(batch.records)

    @property
    def _count(self) -> int:
        return self._staged + sum(len(batch.records) for batch in self._waiting)

    @property
    def _size_bytes(self) -> int:
        return self._staged_bytes + self._waiting_bytes

    def _replace(self, connection: sqlite3.Connection, stored: Stored, schema: Schema) -> tuple[Commit, int]:
        if self._shelf:
            shelves.publish(connection, self._shelf)
        shelf = self._shelf or shelves.fill(connection)
        self._put_waiting(connection, shelf, self._staged, inserting.insert)
        if self._origin is not None:
            self._gaps.until(self._origin.next_position)
            count_gaps(connection, shelf, self._gaps)
        commit = commits.replaced(
            stored.head,
            schema,
            self._committer.clock.now(),
            count=self._count,
            size_bytes=self._size_bytes,
            first=self._gaps.first,
            origin=self._origin,
        )
        return commit, shelf

    def _append(self, connection: sqlite3.Connection, stored: Stored, schema: Schema) -> tuple[Commit, int]:
        now, first = self._committer.clock.now(), commits.present(stored.head).next_position
        if self._shelf:
            shelves.renew(connection, self._shelf, now)
        tally = self._move(connection, stored.shelf, first)
        shelves.drop(connection, self._shelf)
        return commits.appended(stored.head, schema, now, tally), stored.shelf

    def _move(self, connection: sqlite3.Connection, shelf: int, position: int) -> Tally:
        settles = self._on_conflict in {OnConflict.REPLACE, OnConflict.IGNORE}
        if settles and self._keyed:
            rows = inserting.rows_of(connection, self._shelf, self._staged, self._waiting)
            return inserting.merge(
                connection, shelf, position, rows, replaces=self._on_conflict is OnConflict.REPLACE
            )
        inserting.move_all(connection, self._shelf, self._staged, shelf, position)
        self._put_waiting(connection, shelf, position + self._staged, inserting.insert)
        return Tally(added=self._count, size_change=self._size_bytes)
