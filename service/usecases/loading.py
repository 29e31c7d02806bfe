"""Loading: a file becomes a dataset, or the end of one, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema, check_name
from service.domain.errors import (
    Busy,
    IdempotencyMismatch,
    OutOfSpace,
    PreconditionFailed,
    RecordNotFound,
)
from service.domain.records import Batch
from service.formats.reading import InputFormat, Reader, ReadOptions, open_reader
from service.ports.engine import Recording
from service.ports.spool import Spool, Upload
from service.ports.storage import (
    NO_GUARD,
    AlreadyCommitted,
    Commit,
    Datasets,
    Guard,
    OnConflict,
    SchemaChanged,
    Writer,
)
from service.usecases.batches import threaded
from service.usecases.reading import missing
from service.usecases.receipts import Receipt, notes_of
from service.usecases.views import View, Views, stored

_ATTEMPTS = 8

Progress = Callable[[int, int], None]
"""Told the records stored so far and the bytes read so far."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an upload may come to; `quota_bytes` bounds all datasets together (None: no bound)."""

    max_upload_bytes: int = 1 << 30
    max_json_bytes: int = 64 << 20
    quota_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a file is to be read and stored; `day` tells which view of the dataset it is written in."""

    format: InputFormat | None = None
    delimiter: str | None = None
    key: str | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    skip_errors: bool = False
    widen: bool = False
    single: bool = False
    on_conflict: OnConflict = OnConflict.FAIL
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file's bytes come from, and how they were packed for the way (`Content-Encoding`)."""

    chunks: AsyncIterator[bytes]
    content_encoding: str | None = None


class Unrecorded:
    """Takes nothing down: for processes that are asked no questions."""

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches."""
        return iter(batches)

    def keep(self, commit: Commit) -> None:
        """Keep nothing."""


class Loading:
    """Loads files into a store; what replaces a dataset is taken down by `recording` on the way."""

    def __init__(
        self,
        datasets: Datasets,
        spool: Spool,
        limits: Limits,
        views: Views,
        recording: Callable[[], AbstractAsyncContextManager[Recording]] = lambda: nullcontext(Unrecorded()),
    ) -> None:
        self._datasets = datasets
        self._views = views
        self._spool = spool
        self._limits = limits
        self._recording = recording

    async def replace(
        self,
        name: str,
        source: Source,
        options: LoadOptions,
        guard: Guard = NO_GUARD,
        progress: Progress | None = None,
    ) -> Receipt:
        """Create a dataset from a file, or replace all its records; its title and changes stay.

        Raises what `formats.reading` raises of the file, `DuplicateKey`, `PreconditionFailed`,
        `IdempotencyMismatch`, `TooLarge`, `OutOfSpace`.
        """
        check_name(name)
        async with self._receive(source) as upload:
            return await self._once(
                name, upload, guard, lambda guard: self._replace(name, upload, options, guard, progress)
            )

    async def append(
        self,
        name: str,
        source: Source,
        options: LoadOptions,
        guard: Guard = NO_GUARD,
        progress: Progress | None = None,
    ) -> Receipt:
        """Put a file's records behind those of a dataset.

        Raises what `replace` raises, `DatasetNotFound`, and `TypeMismatch` where a value does not fit and
        the columns may not widen.
        """
        check_name(name)
        async with self._receive(source) as upload:
            return await self._once(
                name, upload, guard, lambda guard: self._append(name, upload, options, guard, progress)
            )

    def _receive(self, source: Source) -> Any:
        return self._spool.receive(
            source.chunks,
            content_encoding=source.content_encoding,
            max_bytes=self._limits.max_upload_bytes,
        )

    async def _once(self, name: str, upload: Upload, guard: Guard, write: Callable[[Guard], Any]) -> Receipt:
        """Do a write once for its Idempotency-Key; whoever repeats it gets the first answer."""
        idempotency = guard.idempotency
        if idempotency is None:
            return await self._anew(write, guard)
        idempotency = replace(idempotency, fingerprint=f"{idempotency.fingerprint}:{upload.sha256}")
        remembered = await self._datasets.recall(name, idempotency.key)
        if remembered is None:
            try:
                return await self._anew(write, replace(guard, idempotency=idempotency))
            except AlreadyCommitted as error:
                remembered = error.remembered
        if remembered.fingerprint != idempotency.fingerprint:
            raise IdempotencyMismatch("Use a new Idempotency-Key for another request; this one is taken.")
        return Receipt.remembered(remembered)

    async def _anew(self, write: Callable[[Guard], Any], guard: Guard) -> Receipt:
        """Try a write again with the new schema whenever somebody else has changed it meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                receipt: Receipt = await write(guard)
            except SchemaChanged:
                continue
            return receipt
        raise Busy("The dataset's columns are being changed by others; try again.")

    async def _replace(
        self, name: str, upload: Upload, options: LoadOptions, guard: Guard, progress: Progress | None
    ) -> Receipt:
        current = await self._datasets.dataset(name)
        view = self._views.of(current or Dataset(name), options.day)
        key = view.check_key(options.key)
        reader = await asyncio.to_thread(self._open, upload.path, options)
        async with self._recording() as recording, self._datasets.replace(name) as writer:
            size_bytes = await _fill(writer, reader, recording.of(stored(view, reader)), progress)
            await self._check_quota(size_bytes, replaced=current)
            old = Schema() if current is None else current.schema
            schema = replace(old, columns=view.stored_columns(reader.columns, replacing=True), key=key)
            if current is not None:
                guard = replace(guard, schema_version=old.version)
            receipt = await _commit(writer, schema, guard, reader, options, created=current is None)
            recording.keep(receipt.commit)
            return receipt

    async def _append(
        self, name: str, upload: Upload, options: LoadOptions, guard: Guard, progress: Progress | None
    ) -> Receipt:
        current = await self._datasets.dataset(name)
        if current is None:
            raise missing(name)
        old = current.schema
        view = self._views.of(current, options.day)
        options = replace(options, key=view.key)
        reader = await asyncio.to_thread(self._open, upload.path, options, view.columns)
        over = options.on_conflict is OnConflict.REPLACE and view.key is not None and not view.plain
        async with self._datasets.append(name, options.on_conflict) as writer:
            if over:
                put = _Over(self._datasets, name, view)
                size_bytes = await _fill(writer, reader, reader, progress, put)
            else:
                size_bytes = await _fill(writer, reader, stored(view, reader), progress)
            await self._check_quota(size_bytes, replaced=None)
            schema = replace(old, columns=view.stored_columns(reader.columns))
            same = replace(guard, schema_version=old.version)
            if not over or guard.revision is not None:
                return await _commit(writer, schema, same, reader, options, created=False)
            same = replace(same, revision=current.revision)
            try:
                return await _commit(writer, schema, same, reader, options, created=False)
            except PreconditionFailed:
                raise SchemaChanged("A record may have changed since it was read.") from None

    def _open(self, path: Path, options: LoadOptions, expected: tuple[Column, ...] | None = None) -> Reader:
        return open_reader(
            path,
            ReadOptions(
                format=options.format,
                delimiter=options.delimiter,
                key=options.key,
                types=options.types,
                expected=expected or (),
                appending=expected is not None,
                widen=options.widen,
                skip_errors=options.skip_errors,
                single=options.single,
                max_json_bytes=self._limits.max_json_bytes,
            ),
        )

    async def _check_quota(self, added_bytes: int, *, replaced: Dataset | None) -> None:
        quota = self._limits.quota_bytes
        if quota is None:
            return
        used = sum(dataset.size_bytes for dataset in await self._datasets.datasets())
        freed = 0 if replaced is None else replaced.size_bytes
        if used - freed + added_bytes > quota:
            raise OutOfSpace(f"The quota of {quota} bytes is full ({used} used); delete a dataset first.")


class _Over:
    """Puts records over those that have their keys, so that what is not seen of those survives."""

    def __init__(self, datasets: Datasets, name: str, view: View) -> None:
        self._datasets = datasets
        self._name = name
        self._view = view

    async def __call__(self, batch: Batch) -> Batch:
        """Return the records as they are to be stored."""
        keys = batch.keys or ()
        before = [await self._before(key) for key in keys]
        records = await asyncio.to_thread(list, map(self._view.put, batch.records, before))
        return Batch(records, keys)

    async def _before(self, key: str) -> bytes:
        try:
            return (await self._datasets.record(self._name, key=key)).record
        except RecordNotFound:
            return b"{}"


async def _fill(
    writer: Writer,
    reader: Reader,
    records: Iterable[Batch],
    progress: Progress | None,
    put: Callable[[Batch], Awaitable[Batch]] | None = None,
) -> int:
    """Stage what becomes of all that the reader yields; return its bytes."""
    size_bytes = count = 0
    async with aclosing(threaded(records)) as batches:
        async for each in batches:
            batch = each if put is None else await put(each)
            await writer.add(batch)
            size_bytes += sum(map(len, batch.records))
            count += len(batch.records)
            if progress is not None:
                progress(count, reader.bytes_read)
    return size_bytes


async def _commit(
    writer: Writer, schema: Schema, guard: Guard, reader: Reader, options: LoadOptions, *, created: bool
) -> Receipt:
    notes = notes_of(reader, skipping=options.skip_errors)
    if guard.idempotency is not None:
        payload = {"created": created, "notes": notes}
        guard = replace(guard, idempotency=replace(guard.idempotency, payload=payload))
    commit: Commit = await writer.commit(schema, guard)
    return Receipt(commit, created=created, notes=notes)
