"""Ranks and positions: where a slice begins, in dense datasets and in those with holes."""

from __future__ import annotations

import random

import pytest

from service.domain.errors import DatasetNotFound
from service.ports.storage import Storage

from .steps import append, load, record, records


async def test_a_slice_begins_at_its_rank(storage: Storage) -> None:
    """A slice has the records from its rank on, their positions, and says whether more follow."""
    dataset = (await load(storage, records(range(10)))).dataset
    found = await storage.datasets.slice("d", rank=3, limit=4)
    assert found.dataset == dataset
    assert (found.start, list(found.positions), found.more) == (3, [3, 4, 5, 6], True)
    assert list(found.records) == records(range(3, 7))
    rest = await storage.datasets.slice("d", rank=6, limit=4)
    assert (rest.start, list(rest.records), rest.more) == (6, records(range(6, 10)), False)
    short = await storage.datasets.slice("d", rank=8, limit=100)
    assert (list(short.records), short.more) == (records([8, 9]), False)


async def test_a_slice_goes_on_behind_a_position(storage: Storage) -> None:
    """A slice behind a position begins with the next record and tells its rank."""
    await load(storage, records(range(10)))
    found = await storage.datasets.slice("d", after=6, limit=2)
    assert (found.start, list(found.positions), found.more) == (7, [7, 8], True)
    last = await storage.datasets.slice("d", after=8, limit=2)
    assert (last.start, list(last.positions), last.more) == (9, [9], False)


async def test_a_slice_behind_the_end_is_empty(storage: Storage) -> None:
    """Behind the last record there is nothing, and nothing follows."""
    await load(storage, records(range(3)))
    for rank in (3, 4, 10**6, 2**40):
        found = await storage.datasets.slice("d", rank=rank, limit=5)
        assert (found.start, list(found.records), found.more) == (rank, [], False)
    for after in (2, 3, 10**6, 2**40):
        found = await storage.datasets.slice("d", after=after, limit=5)
        assert (found.start, list(found.records), found.more) == (3, [], False)


async def test_a_slice_of_an_empty_dataset_is_empty(storage: Storage) -> None:
    """An empty dataset has an empty slice; an absent one has none."""
    await load(storage, [])
    found = await storage.datasets.slice("d", limit=5)
    assert (found.start, list(found.records), list(found.positions), found.more) == (0, [], [], False)
    with pytest.raises(DatasetNotFound):
        await storage.datasets.slice("absent", limit=5)


async def test_a_slice_is_not_shifted_by_holes(storage: Storage) -> None:
    """After deletes a rank counts what is left, and a position behind a hole finds the next record."""
    await load(storage, records(range(10)))
    for position in (0, 3, 4, 9):
        await storage.datasets.delete_record("d", position)
    live = [1, 2, 5, 6, 7, 8]
    for rank in range(8):
        found = await storage.datasets.slice("d", rank=rank, limit=2)
        assert list(found.positions) == live[rank : rank + 2]
        assert list(found.records) == records(live[rank : rank + 2])
        assert (found.start, found.more) == (rank, rank + 2 < len(live))
    for after in range(11):
        behind = [position for position in live if position > after]
        found = await storage.datasets.slice("d", after=after, limit=2)
        assert list(found.positions) == behind[:2]
        assert (found.start, found.more) == (len(live) - len(behind), len(behind) > 2)


async def test_everything_can_be_removed(storage: Storage) -> None:
    """A dataset whose records are all removed is empty, and grows again behind its old positions."""
    await load(storage, records(range(4)))
    for position in (3, 0, 2, 1):
        await storage.datasets.delete_record("d", position)
    found = await storage.datasets.slice("d", limit=5)
    assert (list(found.records), found.more, found.dataset.count) == ([], False, 0)
    await append(storage, records([7, 8]))
    found = await storage.datasets.slice("d", rank=1, limit=5)
    assert (list(found.positions), list(found.records)) == ([5], [record(8)])


async def test_ranks_are_right_in_a_large_dataset_with_holes(storage: Storage) -> None:
    """Over many segments, with runs and single holes, every sampled rank and position is right."""
    randomness = random.Random(4)
    count = 70_000
    await load(storage, [b"%d" % number for number in range(count)])
    gone = {*range(300), *range(65_400, 65_600), *randomness.sample(range(count), 200)}
    for position in sorted(gone, key=lambda _: randomness.random()):
        await storage.datasets.delete_record("d", position)
    await append(storage, [b"%d" % (count + number) for number in range(10)])
    live = [position for position in range(count + 10) if position not in gone]
    ranks = [0, 1, len(live) - 1, len(live) - 3, *randomness.sample(range(len(live)), 60)]
    for rank in ranks:
        found = await storage.datasets.slice("d", rank=rank, limit=3)
        expected = live[rank : rank + 3]
        assert (found.start, list(found.positions)) == (rank, expected)
        assert list(found.records) == [b"%d" % position for position in expected]
        assert found.more == (rank + 3 < len(live))
    for after in [299, 65_399, 65_500, *randomness.sample(range(count), 60)]:
        found = await storage.datasets.slice("d", after=after, limit=1)
        start = next(rank for rank, position in enumerate(live) if position > after)
        assert (found.start, list(found.positions)) == (start, [live[start]])
