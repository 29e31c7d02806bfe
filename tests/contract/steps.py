"""Steps that the tests of the suite share: load, append, read everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict, Slice, Storage

SCHEMA = Schema(columns=(Column("id", ColumnType.INTEGER, True), Column("mass (g)", ColumnType.NUMBER, True)))
KEYED = Schema(columns=SCHEMA.columns, key="id")


def record(number: int) -> bytes:
    """Return a record that can be told from others; their bytes are of different lengths."""
    return b'{"id": "%d", "mass (g)": "%d"}' % (number, number * number)


def records(numbers: Iterable[int]) -> list[bytes]:
    """Return the records of these numbers."""
    return [record(number) for number in numbers]


def keyed(numbers: Iterable[int]) -> Batch:
    """Return the records of these numbers with their keys."""
    numbers = list(numbers)
    return Batch(records(numbers), [str(number) for number in numbers])


async def load(
    storage: Storage,
    content: Sequence[bytes] | Batch,
    *,
    name: str = "d",
    schema: Schema | None = None,
    guard: Guard = NO_GUARD,
    origin: Dataset | None = None,
) -> Commit:
    """Replace the dataset by these records."""
    batch = content if isinstance(content, Batch) else Batch(content)
    async with storage.datasets.replace(name, origin) as writer:
        await writer.add(batch)
        return await writer.commit(schema or (SCHEMA if batch.keys is None else KEYED), guard)


async def load_in_batches(storage: Storage, *batches: Batch, name: str = "d") -> Commit:
    """Replace the dataset by these batches."""
    async with storage.datasets.replace(name) as writer:
        for batch in batches:
            await writer.add(batch)
        return await writer.commit(SCHEMA if batches[0].keys is None else KEYED)


async def append(
    storage: Storage,
    content: Sequence[bytes] | Batch,
    *,
    name: str = "d",
    on_conflict: OnConflict = OnConflict.FAIL,
    schema: Schema | None = None,
    guard: Guard = NO_GUARD,
) -> Commit:
    """Append these records."""
    batch = content if isinstance(content, Batch) else Batch(content)
    async with storage.datasets.append(name, on_conflict) as writer:
        await writer.add(batch)
        return await writer.commit(schema or (SCHEMA if batch.keys is None else KEYED), guard)


async def scanned(storage: Storage, name: str = "d") -> list[Slice]:
    """Return the slices of a scan of everything."""
    async with storage.datasets.snapshot(name) as snapshot:
        return [part async for part in snapshot.scan()]


async def everything(storage: Storage, name: str = "d") -> list[bytes]:
    """Return all records of the dataset."""
    return [one for part in await scanned(storage, name) for one in part.records]


async def positions(storage: Storage, name: str = "d") -> list[int]:
    """Return all positions of the dataset."""
    return [one for part in await scanned(storage, name) for one in part.positions]
