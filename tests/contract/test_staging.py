"""Staged writes: seen whole or not at all, whoever reads, fails or leaves meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from service.domain.errors import DuplicateKey, PreconditionFailed, StoreError
from service.domain.records import Batch
from service.ports.storage import Commit, Guard, OnConflict, Storage

from .steps import KEYED, SCHEMA, append, everything, keyed, load, positions, record, records

BATCHES = 12
PER_BATCH = 2_000


def big_batch(number: int, *, keys: bool = False) -> Batch:
    """Return a batch of nearly a mebibyte; twelve of them are more than any writer keeps in memory."""
    numbers = range(number * PER_BATCH, (number + 1) * PER_BATCH)
    content = [b'{"n": "%d", "fill": "%s"}' % (one, b"f" * 480) for one in numbers]
    return Batch(content, [str(one) for one in numbers] if keys else None)


async def test_nothing_is_seen_before_the_commit(storage: Storage, other: Storage) -> None:
    """However much was staged, readers on every replica see the old revision until the commit."""
    before = (await load(storage, records(range(3)))).dataset
    async with storage.datasets.replace("d") as writer, storage.datasets.replace("new") as new:
        for number in range(BATCHES):
            await writer.add(big_batch(number))
        await new.add(Batch(records([1])))
        for replica in (storage, other):
            assert await replica.datasets.dataset("d") == before
            assert await replica.datasets.dataset("new") is None
            assert await replica.datasets.datasets() == [before]
            assert await everything(replica) == records(range(3))
        commit = await writer.commit(SCHEMA)
        assert await other.datasets.dataset("d") == commit.dataset
        assert commit.dataset.count == BATCHES * PER_BATCH
    assert await other.datasets.dataset("new") is None
    expected = [one for number in range(BATCHES) for one in big_batch(number).records]
    assert await everything(other) == expected


@pytest.mark.parametrize("batches", [1, BATCHES])
async def test_leaving_without_a_commit_undoes(storage: Storage, batches: int) -> None:
    """A writer that is left, or whose block raises, leaves no trace, and the next one works."""
    before = (await load(storage, keyed(range(3)))).dataset
    async with storage.datasets.replace("d") as writer:
        for number in range(batches):
            await writer.add(big_batch(number, keys=True))
    with contextlib.suppress(ZeroDivisionError):
        async with storage.datasets.append("d") as writer:
            for number in range(1, batches + 1):
                await writer.add(big_batch(number, keys=True))
            raise ZeroDivisionError
    assert await storage.datasets.dataset("d") == before
    assert await everything(storage) == records(range(3))
    commit = await append(storage, big_batch(1, keys=True))
    assert commit.dataset.revision == before.revision + 1


async def test_a_large_append_stands_behind_what_is_there(storage: Storage) -> None:
    """An append larger than memory is dense and whole, also where others append meanwhile."""
    await load(storage, records(range(5)))
    async with storage.datasets.append("d") as writer:
        for number in range(BATCHES):
            await writer.add(big_batch(number))
        await append(storage, records(range(5, 8)))
        commit = await writer.commit(SCHEMA)
    total = BATCHES * PER_BATCH
    assert (commit.first_position, commit.added) == (8, total)
    staged = [one for number in range(BATCHES) for one in big_batch(number).records]
    assert await everything(storage) == records(range(8)) + staged
    assert await positions(storage) == list(range(8 + total))
    assert commit.dataset.size_bytes == sum(map(len, records(range(8)) + staged))


async def test_a_large_append_fails_on_a_key_that_is_there(storage: Storage) -> None:
    """The key that is there may stand anywhere in it: nothing is added, and the first is named."""
    first, last = big_batch(0, keys=True), big_batch(BATCHES - 1, keys=True)
    assert last.keys is not None
    stored = (await load(storage, Batch(first.records[:2], [last.keys[7], "x"]))).dataset

    async def attempt(*, twice: bool) -> Commit:
        async with storage.datasets.append("d") as writer:
            for number in range(BATCHES):
                await writer.add(big_batch(number, keys=True))
                if twice and number == 3:
                    await writer.add(Batch([b"{}"], ["1"]))
            return await writer.commit(KEYED)

    with pytest.raises(DuplicateKey) as caught:
        await attempt(twice=False)
    assert caught.value.members["key"] == last.keys[7]
    with pytest.raises(DuplicateKey) as caught:
        await attempt(twice=True)
    assert caught.value.members["key"] == "1"
    assert await storage.datasets.dataset("d") == stored
    assert (await append(storage, keyed([1]))).added == 1


@pytest.mark.parametrize("on_conflict", [OnConflict.REPLACE, OnConflict.IGNORE])
async def test_a_large_append_settles_conflicts(storage: Storage, on_conflict: OnConflict) -> None:
    """Records with known keys replace or are dropped, wherever they stand, and the rest is dense."""
    await load(storage, Batch([b'{"old": 0}', b'{"old": 1}'], ["0", "20001"]))
    async with storage.datasets.append("d", on_conflict) as writer:
        for number in range(BATCHES):
            await writer.add(big_batch(number, keys=True))
        await writer.add(Batch([b'{"again": 1}'], ["5"]))
        commit = await writer.commit(KEYED)
    total = BATCHES * PER_BATCH
    replaces = on_conflict is OnConflict.REPLACE
    assert commit.added == total - 2
    assert (commit.replaced, commit.ignored) == ((3, 0) if replaces else (0, 3))
    assert (commit.first_position, commit.dataset.edits) == (2, 1 if replaces else 0)
    staged = [one for number in range(BATCHES) for one in big_batch(number).records]
    head = [staged[0], staged[20001]] if replaces else [b'{"old": 0}', b'{"old": 1}']
    rest = [one for number, one in enumerate(staged) if number not in {0, 20001}]
    rest[4] = b'{"again": 1}' if replaces else rest[4]
    assert await everything(storage) == head + rest
    assert await positions(storage) == list(range(total))
    assert commit.dataset.size_bytes == sum(map(len, head + rest))
    assert (await storage.datasets.record("d", key="20001")).record == head[1]


async def test_a_large_load_with_a_key_twice_is_refused(storage: Storage) -> None:
    """A key may come again much later: nothing is stored, and nothing can be committed after."""
    async with storage.datasets.replace("d") as writer:
        with pytest.raises(DuplicateKey) as caught:  # noqa: PT012 - raised by one of them
            for number in range(BATCHES):
                await writer.add(big_batch(number, keys=True))
            await writer.add(Batch([b"{}"], ["3"]))
            await writer.commit(KEYED)
        assert caught.value.members["key"] == "3"
        with pytest.raises(DuplicateKey):
            await writer.commit(KEYED)
    assert await storage.datasets.dataset("d") is None
    assert await storage.datasets.last_revision("d") == 0


async def test_a_guard_holds_at_the_commit(storage: Storage, other: Storage) -> None:
    """What changed while a write was staged refuses it, on whichever replica it changed."""
    await load(storage, records([1]))
    async with storage.datasets.replace("d") as writer:
        await writer.add(Batch(records([2])))
        await append(other, records([3]))
        with pytest.raises(PreconditionFailed):
            await writer.commit(SCHEMA, Guard(revision=1))
    assert await everything(storage) == records([1, 3])


async def test_of_two_replaces_the_last_to_commit_stays(storage: Storage, other: Storage) -> None:
    """Two replaces at once do not mix: each is whole, and the one that commits last is read."""
    async with storage.datasets.replace("d") as one, other.datasets.replace("d") as two:
        for number in range(BATCHES):
            await one.add(big_batch(number, keys=True))
            await two.add(big_batch(BATCHES - number, keys=True))
        await one.commit(KEYED)
        assert (await storage.datasets.record("d", key="7")).position == 7
        commit = await two.commit(KEYED)
    assert commit.dataset.revision == 2
    expected = [one for number in range(BATCHES) for one in big_batch(BATCHES - number).records]
    assert await everything(storage) == expected


async def test_readers_see_one_revision_while_it_is_replaced(storage: Storage, other: Storage) -> None:
    """Readers that go on during replaces get one load or the other, whole, never a mix."""

    def content(load_number: int) -> list[bytes]:
        return [b'{"load": %d, "n": %d}' % (load_number, n) for n in range(400 + load_number)]

    await load(storage, content(0))
    done = asyncio.Event()

    async def read(replica: Storage) -> int:
        seen: set[int] = set()
        while not done.is_set():
            for found in (
                await replica.datasets.slice("d", limit=10_000),
                await replica.datasets.slice("d", limit=10_000, rank=100),
            ):
                load_number = found.dataset.revision - 1
                assert list(found.records) == content(load_number)[found.start :]
                assert found.dataset.count == 400 + load_number
                seen.add(load_number)
            assert await everything(replica) in [content(number) for number in range(31)]
        return len(seen)

    async def write() -> None:
        for number in range(1, 31):
            await load(storage, content(number))
        done.set()

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read(replica)) for replica in (storage, other, other)]
        group.create_task(write())
    assert all(task.result() > 1 for task in readers)


async def test_concurrent_appends_lose_and_double_nothing(storage: Storage, other: Storage) -> None:
    """Appends at the same time on two replicas each stand together, once, densely."""
    await load(storage, [])
    commits = await asyncio.gather(
        *(
            append(replica, [b'{"a": %d, "n": %d}' % (number, n) for n in range(number % 5)])
            for number, replica in enumerate([storage, other] * 15)
        )
    )
    stored = await everything(storage)
    assert len(stored) == sum(number % 5 for number in range(30))
    assert sorted(one.dataset.revision for one in commits) == list(range(2, 32))
    for number, commit in enumerate(commits):
        if number % 5:
            first = commit.first_position
            assert first is not None
            expected = [b'{"a": %d, "n": %d}' % (number, n) for n in range(number % 5)]
            assert stored[first : first + number % 5] == expected
    assert await positions(storage) == list(range(len(stored)))


async def test_concurrent_edits_of_one_record_are_told_apart(storage: Storage, other: Storage) -> None:
    """Of edits made at the same time for the same revision, exactly one goes through."""
    await load(storage, records(range(3)))
    outcomes = await asyncio.gather(
        *(
            replica.datasets.put_record(
                "d", 1, record(10 + n), key=None, schema=SCHEMA, guard=Guard(revision=1)
            )
            for n, replica in enumerate([storage, other] * 5)
        ),
        return_exceptions=True,
    )
    won = [n for n, one in enumerate(outcomes) if isinstance(one, Commit)]
    assert len(won) == 1
    assert sum(isinstance(one, PreconditionFailed) for one in outcomes) == 9
    assert await everything(other) == [record(0), record(10 + won[0]), record(2)]


async def test_a_cancelled_write_is_whole_or_not_there(storage: Storage) -> None:
    """A client that goes away at any moment leaves no half commit and no broken connection."""
    await load(storage, [b'{"first": 1}'])
    for number in range(30):
        task = asyncio.create_task(append(storage, [b'{"c": %d, "n": %d}' % (number, n) for n in range(20)]))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(outcome, Commit | asyncio.CancelledError)
    await append(storage, [b'{"last": 1}'])
    stored = await everything(storage)
    assert (len(stored) - 2) % 20 == 0
    starts = range(1, len(stored) - 1, 20)
    groups = [stored[start : start + 20] for start in starts]
    for group in groups:
        label = group[0].split(b",")[0]
        assert group == [label + b', "n": %d}' % n for n in range(20)]
    dataset = await storage.datasets.dataset("d")
    assert dataset is not None
    assert dataset.count == len(stored)


async def test_a_cancelled_stage_leaves_the_store_usable(storage: Storage) -> None:
    """A load that is cancelled between and inside batches leaves nothing visible."""
    before = (await load(storage, records([1]))).dataset

    async def stage() -> None:
        async with storage.datasets.replace("d") as writer:
            for number in range(100):
                await writer.add(big_batch(number))

    for turns in (1, 5, 20, 200):
        task = asyncio.create_task(stage())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    assert await storage.datasets.dataset("d") == before
    assert (await load(storage, records([2]))).dataset.revision == before.revision + 1


async def test_cancelled_reads_leave_the_store_usable(storage: Storage) -> None:
    """Readers that go away at any moment do not use up what the store reads with."""
    loaded = records(range(3000))
    await load(storage, loaded)

    async def stream() -> None:
        async with storage.datasets.snapshot("d") as snapshot:
            async for _ in snapshot.scan():
                await storage.datasets.slice("d", limit=1000)

    for turns in range(40):
        tasks = [
            asyncio.create_task(stream()),
            asyncio.create_task(storage.datasets.slice("d", limit=1000, rank=turns)),
            asyncio.create_task(storage.datasets.record("d", position=turns)),
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, StoreError)] == []
    assert await everything(storage) == loaded
