"""Snapshots: one revision, held while writers go on."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from service.domain.errors import DatasetNotFound, SnapshotLost
from service.domain.records import Batch
from service.ports.storage import OnConflict, Slice, Snapshot, Storage
from tests.clocks import FakeClock

from .backends.base import Backend
from .steps import SCHEMA, append, everything, keyed, load, record, records


async def read(snapshot: Snapshot) -> list[bytes]:
    """Return all records of a snapshot."""
    return [one async for part in snapshot.scan() for one in part.records]


async def test_a_snapshot_needs_a_dataset(storage: Storage) -> None:
    """There is no snapshot of a dataset that is not there."""
    with pytest.raises(DatasetNotFound):
        async with storage.datasets.snapshot("d"):
            pytest.fail("entering should have raised")


async def test_a_snapshot_slices_as_the_dataset_does(storage: Storage) -> None:
    """Ranks, positions and ends are those of `Datasets.slice`, holes or not."""
    await load(storage, records(range(300)))
    for position in (0, 5, 6, 256, 299):
        await storage.datasets.delete_record("d", position)
    async with storage.datasets.snapshot("d") as snapshot:
        for how in ({"rank": 0}, {"rank": 4}, {"rank": 252}, {"rank": 295}, {"after": 4}, {"after": 400}):
            expected = await storage.datasets.slice("d", limit=7, **how)
            found = await snapshot.slice(limit=7, **how)
            assert _plain(found) == _plain(expected)
        assert snapshot.dataset == expected.dataset
        behind = [one async for part in snapshot.scan(after=255) for one in part.positions]
        assert behind == list(range(257, 299))
        ranked = [one async for part in snapshot.scan(rank=252) for one in part.positions]
        assert ranked == [255, *range(257, 299)]


def _plain(found: Slice) -> tuple[object, ...]:
    return found.dataset, found.start, list(found.positions), list(found.records), found.more


async def test_appends_do_not_disturb_a_snapshot(storage: Storage, other: Storage) -> None:
    """What is appended after a snapshot was taken is not in it, on any store."""
    dataset = (await load(storage, keyed(range(5)))).dataset
    async with storage.datasets.snapshot("d") as snapshot:
        await append(other, keyed([7, 8]))
        await append(storage, keyed([9, 1]), on_conflict=OnConflict.IGNORE)
        assert snapshot.dataset == dataset
        assert await read(snapshot) == records(range(5))
        found = await snapshot.slice(limit=100, rank=3)
        assert (list(found.records), found.more) == (records([3, 4]), False)
        assert found.dataset == dataset
        behind = await snapshot.slice(limit=100, after=4)
        assert (list(behind.records), behind.start, behind.more) == ([], 5, False)
    assert await everything(storage) == records([0, 1, 2, 3, 4, 7, 8, 9])


async def test_another_schema_does_not_disturb_a_snapshot(storage: Storage) -> None:
    """A snapshot keeps its schema too."""
    dataset = (await load(storage, records(range(5)))).dataset
    async with storage.datasets.snapshot("d") as snapshot:
        await storage.datasets.put_schema("d", SCHEMA.__class__())
        assert snapshot.dataset == dataset
        assert await read(snapshot) == records(range(5))


async def test_a_replaced_generation_stays_readable(
    storage: Storage, other: Storage, clock: FakeClock
) -> None:
    """A snapshot is readable for ten minutes after its records were replaced, or its dataset deleted."""
    await load(storage, records(range(5)))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(storage.datasets.snapshot("d"))
        await load(other, records([10, 11]))
        second = await stack.enter_async_context(storage.datasets.snapshot("d"))
        await other.datasets.delete("d")
        for replica in (storage, other):
            clock.move(minutes=4)
            await replica.sweep(clock.now())
        assert await read(first) == records(range(5))
        assert await read(second) == records([10, 11])
        found = await first.slice(limit=2, rank=2)
        assert (list(found.records), found.dataset.revision) == (records([2, 3]), 1)


async def test_edits_do_not_mix_into_a_snapshot(backend: Backend, storage: Storage, other: Storage) -> None:
    """A record changed or removed after a snapshot was taken: it holds, or it says that it is lost."""

    async def edit(snapshot_number: int) -> None:
        if snapshot_number == 0:
            await other.datasets.put_record("d", 2, b'{"new": 1}', key="2", schema=SCHEMA)
        elif snapshot_number == 1:
            await other.datasets.delete_record("d", 4)
        else:
            await append(other, Batch([b"{}"], ["1"]), on_conflict=OnConflict.REPLACE)

    for number in range(3):
        await load(storage, keyed(range(5)))
        async with storage.datasets.snapshot("d") as snapshot:
            first = await snapshot.slice(limit=1)
            assert list(first.records) == [record(0)]
            await edit(number)
            if backend.snapshots_hold:
                assert await read(snapshot) == records(range(5))
                assert (await snapshot.slice(limit=9, rank=1)).dataset == first.dataset
            else:
                with pytest.raises(SnapshotLost):
                    await read(snapshot)
                with pytest.raises(SnapshotLost):
                    await snapshot.slice(limit=9, rank=1)


async def test_many_snapshots_can_be_held(storage: Storage) -> None:
    """Sixteen streams go on at the same time, beside reads and writes."""
    await load(storage, records(range(3)))
    async with AsyncExitStack() as stack:
        for number in range(16):
            snapshot = await stack.enter_async_context(storage.datasets.snapshot("d"))
            assert await read(snapshot) == records([*range(3), *range(100, 100 + number)])
            await append(storage, records([100 + number]))
    assert (await storage.datasets.slice("d", limit=1)).dataset.count == 19
