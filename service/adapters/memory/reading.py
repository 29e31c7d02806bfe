"""Reading one revision."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from service.adapters.memory.state import MemoryState, Records
from service.domain.datasets import Dataset
from service.domain.records import BATCH_BYTES, BATCH_RECORDS
from service.ports.storage import Slice


class MemorySnapshot:
    """One revision."""

    def __init__(self, state: MemoryState, dataset: Dataset, records: Records) -> None:
        self._state = state
        self._dataset = dataset
        self._records = records

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        return self._dataset

    async def slice(self, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records."""
        await self._state.reach()
        start = rank if after is None else bisect_right(self._records.positions, after)
        positions = self._records.positions[start : start + limit]
        records = [self._records.records[position] for position in positions]
        more = start + len(positions) < self._dataset.count
        return Slice(self._dataset, start, positions, records, more)

    async def scan(self, *, rank: int = 0, after: int | None = None) -> AsyncIterator[Slice]:
        """Yield all records from there to the end."""
        start = rank if after is None else bisect_right(self._records.positions, after)
        while start < self._dataset.count:
            sizes = (len(self._records.records[at]) for at in self._records.positions[start:])
            found = await self.slice(limit=_fitting(sizes), rank=start)
            yield found
            start += len(found.records)


def _fitting(sizes: Iterator[int]) -> int:
    """Return how many records of these sizes go into a batch, at least one."""
    total_bytes = 0
    for count, size_bytes in enumerate(islice(sizes, BATCH_RECORDS)):
        total_bytes += size_bytes
        if total_bytes > BATCH_BYTES and count:
            return count
    return BATCH_RECORDS
