"""Staging records and committing them."""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters import commits
from service.adapters.commits import Tally
from service.adapters.memory.state import MemoryState, Name, Records
from service.domain.datasets import Dataset, Schema
from service.domain.records import Batch
from service.ports.clock import Clock
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict


class MemoryWriter:
    """A staged write; `on_conflict` is None where it replaces, and `origin` what it restores, if it does."""

    def __init__(
        self,
        state: MemoryState,
        clock: Clock,
        name: str,
        on_conflict: OnConflict | None,
        origin: Dataset | None = None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._name = name
        self._on_conflict = on_conflict
        self._origin = origin
        self._staged: list[tuple[bytes, str | None]] = []
        self._positions: list[int] = []

    async def add(self, batch: Batch) -> None:
        """Stage records."""
        await self._state.reach()
        keys: Sequence[str | None] = batch.keys or [None] * len(batch.records)
        self._staged.extend(zip(batch.records, keys, strict=True))
        end = len(self._positions)
        self._positions += batch.positions or range(end, end + len(batch.records))

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the new revision."""
        await self._state.reach()
        change = self._replace if self._on_conflict is None else self._append
        return self._state.commit(
            self._name,
            guard,
            lambda entry: change(entry, schema),
            self._clock.now(),
            creates=self._on_conflict is None,
        )

    def _replace(self, entry: Name, schema: Schema) -> Commit:
        entry.records = Records()
        for position, (record, key) in zip(self._positions, self._staged, strict=True):
            if key is not None and key in entry.records.keys:
                raise commits.duplicate_key(key)
            entry.records.append(position, record, key)
        return commits.replaced(
            entry.head,
            schema,
            self._clock.now(),
            count=len(self._staged),
            size_bytes=sum(len(record) for record, _ in self._staged),
            first=self._positions[0] if self._positions else None,
            origin=self._origin,
        )

    def _append(self, entry: Name, schema: Schema) -> Commit:
        end, tally = commits.present(entry.head).next_position, Tally()
        for record, key in self._staged:
            at = None if key is None else entry.records.keys.get(key)
            if at is None:
                entry.records.append(end + tally.added, record, key)
                tally.size_change += len(record)
                tally.added += 1
            elif self._on_conflict is OnConflict.REPLACE:
                tally.size_change += len(record) - len(entry.records.records[at])
                entry.records.records[at] = record
                tally.replaced += 1
            elif self._on_conflict is OnConflict.IGNORE:
                tally.ignored += 1
            else:
                raise commits.duplicate_key(key or "")
        return commits.appended(entry.head, schema, self._clock.now(), tally)
