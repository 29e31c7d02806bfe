"""Freshness: a read that begins after a write returned sees it, on any replica."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from service.domain.errors import DatasetNotFound, RecordNotFound
from service.ports.storage import Storage

from .steps import KEYED, append, everything, keyed, load, records


async def see(replica: Storage, expected: list[bytes], revision: int) -> None:
    """Assert that every way of reading sees these records under this revision."""
    dataset = await replica.datasets.dataset("d")
    assert dataset is not None
    assert (dataset.revision, dataset.count) == (revision, len(expected))
    found = await replica.datasets.slice("d", limit=1000)
    assert (found.dataset, list(found.records)) == (dataset, expected)
    assert await everything(replica) == expected
    assert [one.revision for one in await replica.datasets.datasets()] == [revision]
    assert await replica.datasets.last_revision("d") == revision


async def test_each_write_is_seen_at_once_on_the_other_replica(storage: Storage, other: Storage) -> None:
    """Every kind of write on one replica is seen by every kind of read on the other, at once."""
    for _ in range(5):
        start = await storage.datasets.last_revision("d")
        await load(storage, keyed([1, 2]))
        await see(other, records([1, 2]), start + 1)
        await append(other, keyed([3]))
        await see(storage, records([1, 2, 3]), start + 2)
        await storage.datasets.put_record("d", 0, b"{}", key="x", schema=KEYED)
        await see(other, [b"{}", *records([2, 3])], start + 3)
        assert (await other.datasets.record("d", key="x")).record == b"{}"
        await other.datasets.delete_record("d", 1)
        await see(storage, [b"{}", *records([3])], start + 4)
        with pytest.raises(RecordNotFound):
            await storage.datasets.record("d", position=1)
        await storage.datasets.put_schema("d", replace(KEYED, title=f"T{start}"))
        dataset = await other.datasets.dataset("d")
        assert dataset is not None
        assert dataset.schema.title == f"T{start}"
        await other.datasets.delete("d")
        assert await storage.datasets.dataset("d") is None
        assert await storage.datasets.datasets() == []
        with pytest.raises(DatasetNotFound):
            await storage.datasets.slice("d", limit=1)


async def test_a_write_is_seen_by_the_next_read_of_the_writer(storage: Storage) -> None:
    """What one replica wrote it reads at once, again and again."""
    await load(storage, [])
    for number in range(40):
        commit = await append(storage, records([number]))
        assert await storage.datasets.dataset("d") == commit.dataset
        found = await storage.datasets.slice("d", limit=1, rank=number)
        assert list(found.records) == records([number])


async def test_an_absence_is_not_remembered(storage: Storage, other: Storage) -> None:
    """A dataset that was looked for in vain is found as soon as it is there."""
    for number in range(10):
        name = f"d{number}"
        assert await other.datasets.dataset(name) is None
        commit = await load(storage, records([number]), name=name)
        assert await other.datasets.dataset(name) == commit.dataset


async def test_many_readers_at_once_are_all_fresh(storage: Storage, other: Storage) -> None:
    """Readers that share a look-up still each see what was written before they asked."""
    await load(storage, [])

    async def read(expected: int) -> None:
        dataset = await other.datasets.dataset("d")
        assert dataset is not None
        assert dataset.count >= expected

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            for _ in range(4):
                group.create_task(read(number))
            await append(storage, records([number]))


async def test_documents_are_fresh_on_the_other_replica(storage: Storage, other: Storage) -> None:
    """Documents written on one replica are read, listed and gone on the other at once."""
    for number in range(10):
        id_ = f"k{number}"
        made = await storage.documents.create("key", id_, {"n": number}, tag="t")
        assert await other.documents.get("key", id_) == made
        assert await other.documents.list("key", tag="t") == [made]
        changed = await other.documents.update("key", id_, {"n": -1}, version=1, tag="u")
        assert await storage.documents.get("key", id_) == changed
        assert await storage.documents.list("key", tag="t") == []
        await storage.documents.remove("key", id_)
        assert await other.documents.get("key", id_) is None
