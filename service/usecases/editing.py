"""Editing: one record by its key or position, and what is known of a dataset beside its records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from service.domain.datasets import Dataset, Schema
from service.domain.errors import Busy, DuplicateKey, InvalidContent, RecordNotFound
from service.domain.records import Batch
from service.formats.fitting import canonical, fit_record
from service.formats.merging import merge_patch
from service.ports.storage import (
    NO_GUARD,
    Commit,
    Datasets,
    Guard,
    RecordChanged,
    SchemaChanged,
    StoredRecord,
)
from service.usecases.reading import Reading, missing
from service.usecases.views import View, Views, shown

T = TypeVar("T")
Told = Callable[[Commit, bytes | None], None]

_ATTEMPTS = 16
_SMALL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Edited:
    """A record after its change, the revision that this made, and whether the record is new."""

    dataset: Dataset
    record: bytes
    created: bool = False


class Editing:
    """Changes single records and schemas in a store; `edited` is told of each record (None: it is removed).

    `day` tells which view of the dataset a record is written in (None: that before all changes).
    """

    def __init__(
        self, datasets: Datasets, reading: Reading, views: Views, edited: Told = lambda commit, record: None
    ) -> None:
        self._datasets = datasets
        self._reading = reading
        self._views = views
        self._edited = edited

    async def put(
        self,
        name: str,
        key: str,
        body: bytes,
        *,
        day: date | None = None,
        widen: bool = False,
        guard: Guard = NO_GUARD,
    ) -> Edited:
        """Replace what is seen of a record, or append it where the dataset has a key and it is new.

        Raises `DatasetNotFound`, `RecordNotFound` (a position), `InvalidContent`, `TypeMismatch`,
        `PreconditionFailed`.
        """

        async def attempt() -> Edited:
            try:
                stored = await self._reading.record(name, key)
            except RecordNotFound:
                return await self._insert(name, key, record, day=day, widen=widen, guard=guard)
            view = self._views.of(stored.dataset, day)
            # What is not seen of the record survives, so it must still be what was found.
            same = guard if view.plain else replace(guard, record=stored.record)
            return await self._write(stored, view, key, record, widen=widen, guard=same)

        record = await _threaded_if_large(canonical, body)
        return await _repeated(attempt)

    async def patch(
        self,
        name: str,
        key: str,
        body: bytes,
        *,
        day: date | None = None,
        widen: bool = False,
        guard: Guard = NO_GUARD,
    ) -> Edited:
        """Merge a patch into a record (RFC 7396). Raises what `put` raises."""

        async def attempt() -> Edited:
            stored = await self._reading.record(name, key)
            view = self._views.of(stored.dataset, day)
            record = await _threaded_if_large(merge_patch, shown(view, stored.record), body)
            same = replace(guard, record=stored.record)
            return await self._write(stored, view, key, record, widen=widen, guard=same)

        return await _repeated(attempt)

    async def delete(self, name: str, key: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove a record. Raises `DatasetNotFound`, `RecordNotFound`, `PreconditionFailed`."""

        async def attempt() -> Commit:
            stored = await self._reading.record(name, key)
            # With a key the position may meanwhile be another record's: hold on to what was found.
            same = replace(guard, record=stored.record)
            commit = await self._datasets.delete_record(name, stored.position, same)
            self._edited(commit, None)
            return commit

        return await _repeated(attempt)

    async def retitle(self, name: str, title: str | None, guard: Guard = NO_GUARD) -> Dataset:
        """Give a dataset another title (None: none). Raises `DatasetNotFound`, `PreconditionFailed`."""

        async def attempt() -> Dataset:
            dataset = await self._datasets.dataset(name)
            if dataset is None:
                raise missing(name)
            same = replace(guard, schema_version=dataset.schema.version)
            commit = await self._datasets.put_schema(name, replace(dataset.schema, title=title), same)
            return commit.dataset

        return await _repeated(attempt)

    async def remove(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Delete a dataset. Raises `DatasetNotFound`, `PreconditionFailed`."""
        return await self._datasets.delete(name, guard)

    async def _write(
        self, stored: StoredRecord, view: View, key: str, record: bytes, *, widen: bool, guard: Guard
    ) -> Edited:
        schema, value = await _fit(stored.dataset.schema, view, key, record, widen=widen)
        record = await _stored(view, record, stored.record)
        commit = await self._datasets.put_record(
            stored.dataset.name,
            stored.position,
            record,
            key=value,
            schema=schema,
            guard=replace(guard, schema_version=stored.dataset.schema.version),
        )
        self._edited(commit, record)
        return Edited(commit.dataset, record)

    async def _insert(
        self, name: str, key: str, record: bytes, *, day: date | None, widen: bool, guard: Guard
    ) -> Edited:
        dataset = await self._reading.dataset(name)
        if dataset.schema.key is None:
            raise RecordNotFound(f"{name!r} has no record at {key}.")
        view = self._views.of(dataset, day)
        schema, value = await _fit(dataset.schema, view, key, record, widen=widen)
        record = await _stored(view, record, b"{}")
        async with self._datasets.append(name) as writer:
            await writer.add(Batch((record,), None if value is None else (value,)))
            try:
                commit = await writer.commit(schema, replace(guard, schema_version=dataset.schema.version))
            except DuplicateKey:
                raise RecordChanged("Somebody else has just put this record.") from None
        return Edited(commit.dataset, record, created=True)


async def _stored(view: View, record: bytes, before: bytes) -> bytes:
    """Return a record that a client has written as it is to be stored in place of another."""
    return record if view.plain else await _threaded_if_large(view.put, record, before)


async def _fit(
    schema: Schema, view: View, key: str, record: bytes, *, widen: bool
) -> tuple[Schema, str | None]:
    """Return the schema that the record fits, and its key value, which must be that of its URL."""
    columns, _, value = await _threaded_if_large(
        lambda body: fit_record(body, view.columns, key=view.key, widen=widen), record
    )
    if view.key is not None and value != key:
        raise InvalidContent(
            f"The record's {view.key!r} must be {key!r}, as in its URL; to move it, delete it and append.",
        )
    return replace(schema, columns=view.stored_columns(columns)), value


async def _threaded_if_large(function: Callable[..., T], *bodies: bytes) -> T:
    if sum(map(len, bodies)) > _SMALL_BYTES:
        return await asyncio.to_thread(function, *bodies)
    return function(*bodies)


async def _repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    """Do a read-modify-write until nobody else was in between."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except (RecordChanged, SchemaChanged):
            continue
    raise Busy("The record is being changed by others; try again.")
