"""One revision, held for reading."""

from __future__ import annotations

from collections.abc import AsyncIterator

from service.adapters.postgres.connections import Link, Row
from service.domain.datasets import Dataset
from service.domain.records import BATCH_BYTES, BATCH_RECORDS
from service.ports.storage import Slice

FAR = 1 << 62
"""Behind the last record of any dataset, and within the database's numbers."""

_SLICE = "SELECT start, positions, records FROM aerolite.slice($1, $2, $3, $4, $5, $6, $7)"


def slice_of(dataset: Dataset, row: Row, rank: int, after: int | None) -> Slice:
    """Return the slice in a row of `aerolite.slice`."""
    start = rank if after is None else row["start"]
    records = row["records"]
    return Slice(dataset, start, row["positions"], records, start + len(records) < dataset.count)


class PostgresSnapshot:
    """A transaction that sees what was there when it began, whatever is written meanwhile."""

    def __init__(self, link: Link, dataset: Dataset, lot: int) -> None:
        self._link = link
        self._dataset = dataset
        self._lot = lot

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        return self._dataset

    async def slice(self, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records."""
        return await self._slice(limit, rank, after, None)

    async def scan(self, *, rank: int = 0, after: int | None = None) -> AsyncIterator[Slice]:
        """Yield all records from there to the end."""
        dataset = self._dataset
        more = True
        while more:
            # Twice as many as should fit: each is looked at, though not fetched, to see how many do fit.
            fitting = 2 * BATCH_BYTES * dataset.count // max(1, dataset.size_bytes)
            limit = max(16, min(BATCH_RECORDS, fitting))
            found = await self._slice(limit, rank, after, BATCH_BYTES)
            if found.records:
                yield found
                after = found.positions[-1]
            more = found.more

    async def _slice(self, limit: int, rank: int, after: int | None, max_bytes: int | None) -> Slice:
        dataset = self._dataset
        row = await self._link.one(
            _SLICE,
            *(self._lot, dataset.count, dataset.next_position),
            *(min(rank, FAR), after, limit, max_bytes),
        )
        return slice_of(dataset, row, rank, after)
