"""Restoring what another store holds: positions, numbers, times, and documents as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.datasets import Dataset
from service.domain.errors import DuplicateKey, PreconditionFailed, RecordNotFound
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Document, Guard, Storage
from tests.clocks import FakeClock

from .steps import KEYED, append, everything, keyed, load, positions, record, records

THEN = datetime(2025, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def origin(next_position: int, **changes: object) -> Dataset:
    """Return a revision of another store."""
    known = Dataset(
        name="d",
        revision=40,
        generation=12,
        next_position=next_position,
        edits=9,
        created=THEN,
        updated=THEN + timedelta(days=1),
        schema=replace(KEYED, version=5),
    )
    return replace(known, **changes)  # type: ignore[arg-type]  # the members of a dataset


def batches(taken: Sequence[int], size: int = 100) -> Iterator[Batch]:
    """Yield the records of these numbers, each at the position of its number."""
    for start in range(0, len(taken), size):
        some = taken[start : start + size]
        yield Batch(records(some), [str(number) for number in some], some)


async def restore(
    storage: Storage, taken: Sequence[int], source: Dataset, guard: Guard = NO_GUARD, size: int = 100
) -> Commit:
    """Restore records at positions."""
    async with storage.datasets.replace("d", source) as writer:
        for batch in batches(taken, size):
            await writer.add(batch)
        return await writer.commit(source.schema, guard)


SPARSE = [number for number in range(3, 1500) if number % 7 and not 300 <= number < 900]


async def test_numbers_times_and_positions_are_the_origins(storage: Storage, other: Storage) -> None:
    """A new name takes over everything, and every replica says so."""
    source = origin(1600)
    commit = await restore(storage, SPARSE, source)
    size_bytes = sum(map(len, records(SPARSE)))
    assert commit.dataset == replace(source, count=len(SPARSE), size_bytes=size_bytes)
    assert commit.added == len(SPARSE)
    assert commit.first_position == SPARSE[0]
    for replica in (storage, other):
        assert await replica.datasets.dataset("d") == commit.dataset
        assert await positions(replica) == SPARSE
        assert await everything(replica) == records(SPARSE)


async def test_holes_are_counted_as_after_deletes(storage: Storage) -> None:
    """Ranks, positions and keys lead to the same records as where they were deleted one by one."""
    await restore(storage, SPARSE, origin(1600))
    for rank in (0, 1, 250, 251, 252, len(SPARSE) - 1, len(SPARSE), len(SPARSE) + 5):
        found = await storage.datasets.slice("d", limit=3, rank=rank)
        assert list(found.positions) == SPARSE[rank : rank + 3]
        assert found.start == rank
    for after in (-1, 0, 3, 299, 300, 500, 899, 1498, 1599):
        found = await storage.datasets.slice("d", limit=3, after=after)
        behind = [number for number in SPARSE if number > after]
        assert list(found.positions) == behind[:3]
        assert found.start == len(SPARSE) - len(behind)
    assert (await storage.datasets.record("d", key="1000")).position == 1000
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", position=301)
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", position=1550)


async def test_what_is_restored_goes_on(storage: Storage) -> None:
    """The next records stand behind the origin's end, under the next revision, with keys still unique."""
    await restore(storage, SPARSE, origin(1600))
    commit = await append(storage, keyed([5000]))
    assert commit.first_position == 1600
    assert (commit.dataset.revision, commit.dataset.generation) == (41, 12)
    assert commit.dataset.schema.version == 5
    with pytest.raises(DuplicateKey):
        await append(storage, keyed([1000]))
    removed = await storage.datasets.delete_record("d", 3)
    assert (removed.dataset.edits, removed.dataset.created) == (10, THEN)
    assert await positions(storage) == [*SPARSE[1:], 1600]
    found = await storage.datasets.slice("d", limit=2, rank=len(SPARSE) - 2)
    assert list(found.positions) == [SPARSE[-1], 1600]


@pytest.mark.parametrize("taken", [[], [0], [70_000], [131_072], list(range(300))], ids=len)
async def test_any_shape_is_restored(storage: Storage, taken: list[int]) -> None:
    """Nothing at all, a record behind more than a group of holes, and no holes."""
    commit = await restore(storage, taken, origin(131_073 if len(taken) < 2 else len(taken)))
    assert await positions(storage) == taken
    assert commit.first_position == (taken[0] if taken else None)
    end = await storage.datasets.slice("d", limit=1, rank=len(taken))
    assert (list(end.records), end.more) == ([], False)


async def test_large_restores_are_staged(storage: Storage) -> None:
    """Batches of many MiB keep their positions, and nothing is seen before the commit."""
    taken = list(range(0, 60, 2))
    fill = b"f" * (1 << 20)
    async with storage.datasets.replace("d", origin(64)) as writer:
        for position in taken:
            await writer.add(Batch([b'{"id": "%s"}' % fill], None, [position]))
        assert await storage.datasets.dataset("d") is None
        await writer.commit(KEYED)
    assert await positions(storage) == taken
    found = await storage.datasets.slice("d", limit=1, rank=29)
    assert list(found.positions) == [58]


async def test_a_used_revision_is_never_given_again(storage: Storage) -> None:
    """Where the name has come as far as the origin, the copy is one further, and a generation of its own."""
    for _ in range(3):
        await load(storage, keyed([1]))
    commit = await restore(storage, [0, 5], origin(6, revision=3, generation=2))
    assert (commit.dataset.revision, commit.dataset.generation) == (4, 4)
    assert commit.dataset.schema.version >= 5
    await storage.datasets.delete("d")
    assert (await restore(storage, [0], origin(6, revision=5, generation=1))).dataset.revision == 6


async def test_a_used_generation_is_given_only_to_its_own_records(storage: Storage) -> None:
    """Cursors of other records do not fit the copy; those of an earlier copy of the same records do."""
    await load(storage, keyed([1]))
    other_records = await restore(storage, [0, 5], origin(6, revision=7, generation=1))
    assert (other_records.dataset.revision, other_records.dataset.generation) == (7, 7)
    await restore(storage, [0, 5], origin(6, revision=20, generation=12))
    again = await restore(storage, [0, 5], origin(7, revision=30, generation=12))
    assert (again.dataset.revision, again.dataset.generation) == (30, 12)


async def test_a_guard_holds_for_a_restore(storage: Storage) -> None:
    """What somebody has made meanwhile is not replaced unasked, and nothing of the restore is seen."""
    await load(storage, keyed([1]))
    with pytest.raises(PreconditionFailed):
        await restore(storage, SPARSE, origin(1600), Guard(revision=0))
    assert await everything(storage) == [record(1)]


async def test_names_outlive_datasets(storage: Storage) -> None:
    """Every name that was ever used is told, in order."""
    assert list(await storage.datasets.names()) == []
    for name in ("b", "a", "C"):
        await load(storage, [], name=name)
    await storage.datasets.delete("b")
    assert list(await storage.datasets.names()) == ["C", "a", "b"]


async def test_kinds_of_documents_are_told(storage: Storage) -> None:
    """However a document came to be there, its kind is known."""
    assert list(await storage.documents.kinds()) == []
    await storage.documents.create("job", "a", {})
    await storage.documents.create("turn", "a", {}, expires=THEN + timedelta(days=10_000))
    await storage.documents.add("usage", "a", {"n": 1})
    await storage.documents.restore("key", [Document("a", {"x": "y"}, 1)])
    assert list(await storage.documents.kinds()) == ["job", "key", "turn", "usage"]


async def test_documents_are_restored_as_they_are(storage: Storage, other: Storage, clock: FakeClock) -> None:
    """Version, tag and expiry are kept, what has the id gives way, and changes go on from there."""
    soon = clock.now().replace(microsecond=0) + timedelta(minutes=1)
    await storage.documents.create("job", "a", {"old": 1}, tag="x")
    given = [
        Document("a", {"n": "1", "m": None}, 7, "t", soon),
        Document("b", {}, 3, "t"),
        Document("c", {"n": 2**70}, 1),
    ]
    await storage.documents.restore("job", given)
    assert list(await other.documents.list("job")) == given
    assert [one.id for one in await other.documents.list("job", tag="t")] == ["a", "b"]
    assert list(await other.documents.list("job", tag="x")) == []
    assert [one.expires for one in await other.documents.list("job")] == [soon, None, None]
    assert (await other.documents.get("job", "a")) == given[0]
    assert await storage.documents.update("job", "a", {"n": 2}, version=6) is None
    changed = await storage.documents.update("job", "a", {"n": 2}, version=7, expires=soon)
    assert changed == Document("a", {"n": 2}, 8)
    clock.move(minutes=2)
    assert await other.documents.get("job", "a") is None


async def test_restored_counters_go_on_counting(storage: Storage, other: Storage) -> None:
    """A document of counters counts on; one that merely looks like it changes by compare-and-set."""
    await storage.documents.restore("usage", [Document("day", {"n": 5, "m": 1}, 9)])
    await storage.documents.restore("job", [Document("a", {"n": 5}, 2)])
    await other.documents.add("usage", "day", {"n": 3})
    counted = await storage.documents.get("usage", "day")
    assert counted == Document("day", {"n": 8, "m": 1}, 10)
    assert await other.documents.update("job", "a", {"n": "x"}, version=2) == Document("a", {"n": "x"}, 3)
    assert await storage.documents.get("job", "a") == Document("a", {"n": "x"}, 3)
    assert await storage.documents.remove("job", "a", version=3)
    assert list(await storage.documents.list("job")) == []
