"""Reading: a page of records, or all of them as a stream, always of one revision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.domain.datasets import DATA, Dataset, check_name
from service.domain.errors import DatasetNotFound, InvalidCursor, RecordNotFound
from service.ports.storage import Datasets, Slice, Snapshot, StoredRecord
from service.usecases.batches import closing
from service.usecases.cursors import Cursor

PAGE_BYTES = 4 << 20
"""A selection estimated to be longer than this streams."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted: from rank `start` or behind `after`, at most `limit` (None: all)."""

    start: int = 0
    after: Cursor | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a selection comes to: the revision, the rank of the first record, the cursor of the next page.

    `records` holds them all, or is None where `batches` streams them.
    """

    dataset: Dataset
    start: int
    next: Cursor | None
    records: Sequence[bytes] | None
    batches: AsyncIterator[Sequence[bytes]] | None = None


class Reading:
    """Answers selections from a store."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    async def dataset(self, name: str) -> Dataset:
        """Return the current revision. `data` is always there. Raises `DatasetNotFound`."""
        found = await self._datasets.dataset(name)
        if found is not None:
            return found
        if name != DATA:
            raise missing(name)
        return Dataset(DATA, revision=await self._datasets.last_revision(DATA))

    async def record(self, name: str, key: str) -> StoredRecord:
        """Return a record by its key, or by `@POSITION` where the dataset has no key.

        Raises `DatasetNotFound`, `RecordNotFound`.
        """
        dataset = await self._datasets.dataset(name)
        if dataset is None:
            raise missing(name)
        if dataset.schema.key is not None:
            return await self._datasets.record(name, key=key)
        return await self._datasets.record(name, position=position_of(name, key))

    @asynccontextmanager
    async def open(self, name: str, selection: Selection) -> AsyncIterator[Page]:
        """Hold a selection for as long as it takes to send it.

        Raises `DatasetNotFound`, `InvalidCursor`.
        """
        dataset = await self.dataset(name)
        if dataset.generation == 0 and dataset.count == 0 and dataset.created is None:
            yield Page(dataset, 0, None, ())
        elif streams(dataset, selection):
            async with self._datasets.snapshot(name) as snapshot:
                yield await self._stream(snapshot, selection)
        else:
            yield await self._page(name, selection)

    async def _page(self, name: str, selection: Selection) -> Page:
        limit = selection.limit
        after = None if selection.after is None else selection.after.position
        # A selection without a limit comes here only where the whole dataset is small.
        found = await self._datasets.slice(
            name, limit=_ALL if limit is None else limit, rank=selection.start, after=after
        )
        check_cursor(found.dataset, selection.after)
        return Page(found.dataset, found.start, _next(found), found.records)

    async def _stream(self, snapshot: Snapshot, selection: Selection) -> Page:
        dataset, limit = snapshot.dataset, selection.limit
        check_cursor(dataset, selection.after)
        after = None if selection.after is None else selection.after.position
        first = await snapshot.slice(limit=1, rank=selection.start, after=after)
        cursor = None
        if limit is not None and first.start + limit < dataset.count:
            last = await snapshot.slice(limit=1, rank=first.start + limit - 1)
            cursor = _next(last)
        batches = _limited(snapshot.scan(rank=selection.start, after=after), limit)
        return Page(dataset, first.start, cursor, None, batches)


_ALL = 1 << 31


async def _limited(slices: AsyncIterator[Slice], limit: int | None) -> AsyncIterator[Sequence[bytes]]:
    left = limit
    async with closing(slices):
        async for found in slices:
            if left is None:
                yield found.records
                continue
            yield found.records[:left]
            left -= len(found.records)
            if left <= 0:
                return


def streams(dataset: Dataset, selection: Selection) -> bool:
    """Return whether a selection may be too long to be held in memory."""
    wanted = dataset.count if selection.limit is None else min(selection.limit, dataset.count)
    return wanted * dataset.size_bytes > PAGE_BYTES * max(dataset.count, 1)


def _next(found: Slice) -> Cursor | None:
    if not found.more or not found.positions:
        return None
    return Cursor(found.dataset.generation, found.positions[-1])


def check_cursor(dataset: Dataset, cursor: Cursor | None, view: str = "") -> None:
    """Refuse a cursor of other records, or of another view, sort or filter. Raises `InvalidCursor`."""
    if cursor is None:
        return
    if cursor.generation != dataset.generation:
        raise InvalidCursor("after", "The dataset was replaced since; begin again without `after`.")
    if cursor.view != view:
        raise InvalidCursor("after", "The cursor is of another sort or filter; begin again without `after`.")


def missing(name: str) -> DatasetNotFound:
    """Return the error for a dataset that is not there, or raise that its name cannot be one."""
    return DatasetNotFound(f"There is no dataset {check_name(name)!r}; GET /datasets lists those there are.")


def position_of(name: str, key: str) -> int:
    """Return the position that `@17` names. Raises `RecordNotFound`."""
    digits = key.removeprefix("@")
    if key[:1] != "@" or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise RecordNotFound(f"{name!r} has no key: address a record by its position, such as @17.")
    return int(digits)
