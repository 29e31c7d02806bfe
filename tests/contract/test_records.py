"""Records: their bytes, order, positions and keys."""

from __future__ import annotations

import pytest

from service.domain.errors import DatasetNotFound, DuplicateKey, RecordNotFound
from service.domain.records import Batch
from service.ports.storage import Guard, OnConflict, RecordChanged, Storage

from .steps import (
    KEYED,
    SCHEMA,
    append,
    everything,
    keyed,
    load,
    load_in_batches,
    positions,
    record,
    records,
    scanned,
)

ODD_RECORDS = [
    b"{}",
    b'{"mass (g)": 1.0, "mass (g) ": 12345678901234567890123}',
    '{"ä": "\U0001f600", "": null}'.encode(),
    b'{"a": "\\u0000\\r\\n\\t", "b": [1, {"c": []}]}',
    b'{ "spaces" :  1 }',
    b'{"long": "' + b"x" * 300_000 + b'"}',
]

ODD_KEYS = ["", "0", "00", " 0", "ä", "a\u0308", "A", "a", "*", "k:1", "{k}", "\x00", "a\x00b", "\U0001f600"]


async def test_records_keep_their_bytes(storage: Storage) -> None:
    """What was loaded and appended comes back byte for byte, in order."""
    await load(storage, ODD_RECORDS)
    await append(storage, ODD_RECORDS)
    assert await everything(storage) == ODD_RECORDS * 2
    found = await storage.datasets.slice("d", limit=100)
    assert list(found.records) == ODD_RECORDS * 2


async def test_a_record_of_16_mib_is_a_record(storage: Storage) -> None:
    """The largest field there may be is stored and read like any other."""
    big = b'{"a": "' + b"y" * (16 << 20) + b'"}'
    await load(storage, [record(0)])
    await append(storage, Batch([big]))
    found = await storage.datasets.slice("d", rank=1, limit=1)
    assert found.records[0] == big
    assert found.dataset.size_bytes == len(big) + len(record(0))


async def test_appends_stand_behind_one_another(storage: Storage) -> None:
    """Appends are dense and in order, each with the position of its first record."""
    await load(storage, records(range(3)))
    first = await append(storage, records(range(3, 5)))
    second = await append(storage, records(range(5, 9)))
    assert (first.first_position, first.added) == (3, 2)
    assert (second.first_position, second.added) == (5, 4)
    assert await everything(storage) == records(range(9))
    assert await positions(storage) == list(range(9))
    assert second.dataset.size_bytes == sum(map(len, records(range(9))))


async def test_a_commit_of_several_batches_keeps_their_order(storage: Storage) -> None:
    """Batches stand in the order in which they were added, for a replace and for an append."""
    async with storage.datasets.replace("d") as writer:
        for start in range(0, 50, 10):
            await writer.add(Batch(records(range(start, start + 10))))
        assert (await writer.commit(SCHEMA)).added == 50
    async with storage.datasets.append("d") as writer:
        for start in range(50, 90, 20):
            await writer.add(Batch(records(range(start, start + 20))))
        assert (await writer.commit(SCHEMA)).first_position == 50
    assert await everything(storage) == records(range(90))


async def test_an_append_of_nothing_commits(storage: Storage) -> None:
    """An append of nothing is a new revision that adds nothing."""
    await load(storage, records(range(3)))
    async with storage.datasets.append("d") as writer:
        commit = await writer.commit(SCHEMA)
    assert (commit.added, commit.first_position, commit.dataset.revision) == (0, None, 2)
    assert commit.dataset.count == 3


async def test_an_append_needs_a_dataset(storage: Storage) -> None:
    """Appending to no dataset is refused on entering; to one that went meanwhile, on committing."""
    with pytest.raises(DatasetNotFound):
        async with storage.datasets.append("d"):
            pytest.fail("entering should have raised")
    await load(storage, records([1]))
    async with storage.datasets.append("d") as writer:
        await writer.add(Batch(records([2])))
        await storage.datasets.delete("d")
        with pytest.raises(DatasetNotFound):
            await writer.commit(SCHEMA)
    assert await storage.datasets.dataset("d") is None


async def test_an_append_goes_behind_what_is_there_when_it_commits(storage: Storage) -> None:
    """Records appended while another append was staged stand before it; a replaced dataset takes it too."""
    await load(storage, records([0]))
    async with storage.datasets.append("d") as writer:
        await writer.add(Batch(records([5])))
        await append(storage, records([1, 2]))
        assert (await writer.commit(SCHEMA)).first_position == 3
    assert await everything(storage) == records([0, 1, 2, 5])
    async with storage.datasets.append("d") as writer:
        await writer.add(Batch(records([6])))
        await load(storage, records([9]))
        assert (await writer.commit(SCHEMA)).first_position == 1
    assert await everything(storage) == records([9, 6])


async def test_a_record_is_found_by_position(storage: Storage) -> None:
    """A position finds its record; one that is free, deleted or beyond finds none."""
    loaded = await load(storage, records(range(3)))
    found = await storage.datasets.record("d", position=2)
    assert (found.dataset, found.position, found.record) == (loaded.dataset, 2, record(2))
    await storage.datasets.delete_record("d", 1)
    for position in (1, 3, 10**9, 2**40):
        with pytest.raises(RecordNotFound):
            await storage.datasets.record("d", position=position)
    with pytest.raises(DatasetNotFound):
        await storage.datasets.record("absent", position=0)


async def test_a_record_is_found_by_key(storage: Storage) -> None:
    """A key finds its record, however odd it is; keys that look alike are different keys."""
    keys = [*ODD_KEYS, "k" * 100_000]
    commit = await load(storage, Batch(records(range(len(keys))), keys))
    for position, key in enumerate(keys):
        found = await storage.datasets.record("d", key=key)
        assert (found.dataset, found.position) == (commit.dataset, position)
        assert found.record == record(position)
    for key in ("absent", "\x00\x00", "AA", "k" * 100_001):
        with pytest.raises(RecordNotFound):
            await storage.datasets.record("d", key=key)
    with pytest.raises(DatasetNotFound):
        await storage.datasets.record("absent", key="a")


async def test_a_record_is_asked_for_by_something(storage: Storage) -> None:
    """Asking for no key and no position is a mistake of the caller."""
    await load(storage, records([1]))
    with pytest.raises(ValueError, match="key or a position"):
        await storage.datasets.record("d")


async def test_a_key_finds_nothing_where_there_are_no_keys(storage: Storage) -> None:
    """A dataset without keys has no record with any key."""
    await load(storage, records(range(3)))
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", key="1")


async def test_keys_are_those_of_the_present_generation(storage: Storage) -> None:
    """A key of a replaced generation finds nothing, and can be used again."""
    await load(storage, keyed(range(3)))
    await load(storage, keyed(range(2, 6)))
    assert (await storage.datasets.record("d", key="2")).position == 0
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", key="1")


async def test_two_datasets_may_hold_the_same_keys(storage: Storage) -> None:
    """Keys are unique within a dataset only."""
    await load(storage, keyed(range(3)), name="a")
    await load(storage, keyed(range(3)), name="b")
    await storage.datasets.delete("a")
    assert (await storage.datasets.record("b", key="1")).position == 1


async def test_a_load_with_a_key_twice_is_refused_whole(storage: Storage) -> None:
    """The error names the key that came a second time, and the old records stay."""
    before = (await load(storage, keyed(range(3)))).dataset
    with pytest.raises(DuplicateKey) as caught:
        await load(storage, keyed([7, 8, 9, 8, 7]))
    assert caught.value.members["key"] == "8"
    with pytest.raises(DuplicateKey) as caught:
        await load_in_batches(storage, keyed([7, 8]), keyed([9, 7, 8]))
    assert caught.value.members["key"] == "7"
    assert await storage.datasets.dataset("d") == before
    assert await everything(storage) == records(range(3))


async def test_an_append_fails_on_a_key_that_is_there(storage: Storage) -> None:
    """An append with a stored key, or one key twice, adds nothing and names the first such key."""
    before = (await load(storage, keyed(range(3)))).dataset
    for numbers, key in (([5, 2, 1], "2"), ([5, 6, 5, 2], "5"), ([0], "0")):
        with pytest.raises(DuplicateKey) as caught:
            await append(storage, keyed(numbers))
        assert caught.value.members["key"] == key
    assert await storage.datasets.dataset("d") == before
    assert (await append(storage, keyed([5]))).first_position == 3


async def test_an_append_ignores_keys_that_are_there(storage: Storage) -> None:
    """`ignore` keeps the record that came first and stays dense."""
    await load(storage, Batch([b'{"old": 1}', b'{"old": 2}'], ["1", "2"]))
    commit = await append(storage, keyed([5, 2, 6, 5, 1]), on_conflict=OnConflict.IGNORE)
    assert (commit.added, commit.replaced, commit.ignored) == (2, 0, 3)
    assert commit.first_position == 2
    assert (commit.dataset.count, commit.dataset.next_position) == (4, 4)
    assert commit.dataset.edits == 0
    assert await everything(storage) == [b'{"old": 1}', b'{"old": 2}', record(5), record(6)]
    nothing = await append(storage, keyed([5]), on_conflict=OnConflict.IGNORE)
    assert (nothing.added, nothing.ignored, nothing.first_position) == (0, 1, None)
    assert nothing.dataset.revision == commit.dataset.revision + 1


async def test_an_append_replaces_keys_that_are_there(storage: Storage) -> None:
    """`replace` puts a record at the position of the one whose key it has, the last one winning."""
    await load(storage, Batch([b'{"old": 1}', b'{"old": 2}'], ["1", "2"]))
    batch = Batch([b'{"n": 1}', b'{"n": 2}', b'{"n": 3}', b'{"n": 4}'], ["7", "2", "8", "7"])
    commit = await append(storage, batch, on_conflict=OnConflict.REPLACE)
    assert (commit.added, commit.replaced, commit.ignored) == (2, 2, 0)
    assert commit.first_position == 2
    assert commit.dataset.edits == 1
    expected = [b'{"old": 1}', b'{"n": 2}', b'{"n": 4}', b'{"n": 3}']
    assert await everything(storage) == expected
    assert await positions(storage) == [0, 1, 2, 3]
    assert commit.dataset.size_bytes == sum(map(len, expected))
    assert (await storage.datasets.record("d", key="7")).record == b'{"n": 4}'
    again = await append(storage, Batch([b"{}"], ["1"]), on_conflict=OnConflict.REPLACE)
    assert (again.added, again.replaced, again.first_position) == (0, 1, None)


async def test_a_key_that_was_removed_is_free(storage: Storage) -> None:
    """The key of a deleted record can be appended anew, at a position of its own."""
    await load(storage, keyed(range(3)))
    await storage.datasets.delete_record("d", 1)
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", key="1")
    for policy in OnConflict:
        commit = await append(storage, keyed([1]), on_conflict=policy)
        assert commit.added == 1
        await storage.datasets.delete_record("d", commit.first_position or 0)
    assert await positions(storage) == [0, 2]


async def test_a_record_is_changed_in_its_place(storage: Storage) -> None:
    """A changed record keeps its position and order, takes its new bytes and key."""
    await load(storage, keyed(range(3)))
    commit = await storage.datasets.put_record("d", 1, b'{"id": "x"}', key="x", schema=KEYED)
    assert (commit.added, commit.replaced, commit.first_position) == (0, 1, 1)
    expected = [record(0), b'{"id": "x"}', record(2)]
    assert commit.dataset.size_bytes == sum(map(len, expected))
    assert await everything(storage) == expected
    assert (await storage.datasets.record("d", key="x")).position == 1
    with pytest.raises(RecordNotFound):
        await storage.datasets.record("d", key="1")
    same = await storage.datasets.put_record("d", 1, b"{}", key="x", schema=KEYED)
    assert same.dataset.revision == commit.dataset.revision + 1
    assert (await append(storage, keyed([1]))).added == 1


async def test_a_record_cannot_take_the_key_of_another(storage: Storage) -> None:
    """A change to a key that another record has is refused and changes nothing."""
    before = (await load(storage, keyed(range(3)))).dataset
    with pytest.raises(DuplicateKey) as caught:
        await storage.datasets.put_record("d", 1, record(2), key="2", schema=KEYED)
    assert caught.value.members["key"] == "2"
    assert await storage.datasets.dataset("d") == before
    assert await everything(storage) == records(range(3))


async def test_a_record_is_removed(storage: Storage) -> None:
    """A removal takes one record away and moves no other."""
    await load(storage, keyed(range(4)))
    commit = await storage.datasets.delete_record("d", 1)
    assert (commit.removed, commit.first_position) == (1, 1)
    assert (commit.dataset.count, commit.dataset.next_position) == (3, 4)
    assert commit.dataset.size_bytes == sum(map(len, records([0, 2, 3])))
    assert await positions(storage) == [0, 2, 3]
    with pytest.raises(RecordNotFound):
        await storage.datasets.delete_record("d", 1)
    with pytest.raises(RecordNotFound):
        await storage.datasets.put_record("d", 1, b"{}", key=None, schema=KEYED)


async def test_the_last_positions_are_not_used_again(storage: Storage) -> None:
    """A record appended after the last ones were removed gets a position of its own."""
    await load(storage, records(range(3)))
    await storage.datasets.delete_record("d", 2)
    await storage.datasets.delete_record("d", 1)
    assert (await append(storage, records([7]))).first_position == 3
    assert await positions(storage) == [0, 3]


async def test_positions_that_were_never_there_cannot_be_edited(storage: Storage) -> None:
    """Beyond the last position there is nothing to change or remove."""
    before = (await load(storage, records(range(3)))).dataset
    for position in (3, 2**36, 2**40):
        with pytest.raises(RecordNotFound):
            await storage.datasets.put_record("d", position, b"{}", key=None, schema=SCHEMA)
        with pytest.raises(RecordNotFound):
            await storage.datasets.delete_record("d", position)
    assert await storage.datasets.dataset("d") == before


async def test_a_guarded_record_must_hold_its_bytes(storage: Storage) -> None:
    """An edit that was made for other bytes is refused and changes nothing."""
    before = (await load(storage, records(range(3)))).dataset
    stale = Guard(record=record(1) + b" ")
    with pytest.raises(RecordChanged):
        await storage.datasets.put_record("d", 1, b"{}", key=None, schema=SCHEMA, guard=stale)
    with pytest.raises(RecordChanged):
        await storage.datasets.delete_record("d", 1, stale)
    assert await storage.datasets.dataset("d") == before
    present = Guard(record=record(1))
    await storage.datasets.put_record("d", 1, b"{}", key=None, schema=SCHEMA, guard=present)
    await storage.datasets.delete_record("d", 1, Guard(record=b"{}"))
    assert await everything(storage) == records([0, 2])


async def test_a_scan_goes_by_slices_of_a_mebibyte(storage: Storage) -> None:
    """A scan gives everything once, in slices of about 1 MiB with running ranks."""
    loaded = [b'{"n": %d, "fill": "%s"}' % (n, b"f" * 4000) for n in range(1000)]
    await load(storage, loaded)
    parts = await scanned(storage)
    assert [one for part in parts for one in part.records] == loaded
    assert 4 <= len(parts) <= 12
    assert all(sum(map(len, part.records)) <= (1 << 20) + 4100 for part in parts)
    assert [part.start for part in parts] == [part.positions[0] for part in parts]
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]


async def test_a_scan_of_nothing_ends(storage: Storage) -> None:
    """A scan of an empty dataset, or from behind its end, yields no records."""
    await load(storage, [])
    assert await everything(storage) == []
    await append(storage, records(range(3)))
    async with storage.datasets.snapshot("d") as snapshot:
        assert [part async for part in snapshot.scan(rank=3)] == []
        assert [part async for part in snapshot.scan(after=2)] == []
        assert [list(part.records) async for part in snapshot.scan(rank=2)] == [[record(2)]]
        assert [list(part.records) async for part in snapshot.scan(after=0)] == [records([1, 2])]
