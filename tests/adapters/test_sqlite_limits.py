"""The SQLite backend at its limits: readers, writers, room, the disk, and what a page costs."""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStorage
from service.adapters.sqlite.database import SNAPSHOTS
from service.adapters.sqlite.heads import count_hole, first_id, load, save
from service.adapters.sqlite.reading import slice_records
from service.adapters.sqlite.writing import STAGE_BYTES
from service.adapters.sqlite_file import connect
from service.domain.errors import Busy, OutcomeUnknown, OutOfSpace, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.contract import steps
from tests.contract.steps import SCHEMA, append, everything, keyed, records
from tests.waiting import PATIENCE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file."""
    return tmp_path / "a.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[Storage]:
    """Give a storage with two readers."""
    async with SqliteStorage(path, clock=FakeClock(), readers=2, timeout_s=PATIENCE_S) as opened:
        yield opened


async def test_snapshots_are_bounded(storage: Storage) -> None:
    """One more snapshot than there may be is refused at once, and reads go on; then there is room."""
    await steps.load(storage, records(range(3)))
    async with AsyncExitStack() as stack:
        for _ in range(SNAPSHOTS):
            await stack.enter_async_context(storage.datasets.snapshot("d"))
        with pytest.raises(Busy):
            await everything(storage)
        assert (await storage.datasets.slice("d", limit=1)).dataset.count == 3
    assert await everything(storage) == records(range(3))


async def test_more_readers_than_connections_wait_for_their_turn(storage: Storage) -> None:
    """A hundred reads at once on two connections are all answered."""
    await steps.load(storage, records(range(100)))
    found = await asyncio.gather(*(storage.datasets.slice("d", rank=n, limit=1) for n in range(100)))
    assert [one.records[0] for one in found] == records(range(100))


async def test_writers_that_wait_too_long_are_refused(path: Path, storage: Storage) -> None:
    """While another process writes, those that wait are told so, each in its own time; nothing is written."""
    await steps.load(storage, records([1]))
    async with SqliteStorage(path, clock=FakeClock(), timeout_s=3.0) as hurried:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(45):  # one after the other they would take 60
                outcomes = await asyncio.gather(
                    *(append(hurried, records([n])) for n in range(20)), return_exceptions=True
                )
            other.execute("ROLLBACK")
    assert {type(one) for one in outcomes} <= {StoreUnavailable, *StoreUnavailable.__subclasses__()}
    assert await everything(storage) == records([1])


async def test_staging_meets_a_full_disk(path: Path) -> None:
    """A load that outgrows the room is refused while it is staged, and what it staged is swept."""
    clock = FakeClock()
    async with SqliteStorage(path, clock=clock, max_bytes=3 * STAGE_BYTES) as storage:
        await steps.load(storage, keyed(range(3)))
        with pytest.raises(OutOfSpace):  # noqa: PT012 - raised by one of them
            async with storage.datasets.replace("d") as writer:
                for _ in range(40):
                    await writer.add(Batch([b"x" * 1000] * 1000))
        assert await storage.sweep(clock.move(minutes=1)) > 8_000
        await steps.load(storage, [b"y" * 1000] * 10_000)
        assert await everything(storage) == [b"y" * 1000] * 10_000


@contextmanager
def files_no_larger_than(max_bytes: int) -> Iterator[None]:
    """Make the kernel refuse to let any file of this process grow over a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_fails_during_the_commit_leaves_the_outcome_open(
    path: Path, storage: Storage
) -> None:
    """A commit whose write fails says that its outcome is unknown, and the store goes on."""
    before = (await steps.load(storage, records(range(3)))).dataset
    log_bytes = path.with_name("a.db-wal").stat().st_size
    with files_no_larger_than(log_bytes + (1 << 20)), pytest.raises(OutcomeUnknown):
        await append(storage, [b"x" * 1000] * 3000)
    dataset = await storage.datasets.dataset("d")
    assert dataset is not None
    assert dataset.count in {3, 3003}
    assert dataset == before
    await append(storage, records([3]))
    assert await everything(storage) == records(range(4))


async def test_a_disk_that_fails_before_the_commit_has_written_nothing(path: Path, storage: Storage) -> None:
    """A change that cannot even be written down is unavailable, not unknown."""
    await steps.load(storage, records(range(3)))
    log_bytes = path.with_name("a.db-wal").stat().st_size
    with files_no_larger_than(log_bytes + (1 << 20)), pytest.raises(StoreUnavailable):
        await append(storage, [b"x" * (4 << 20)] * 10)
    assert await everything(storage) == records(range(3))


async def test_a_page_costs_the_same_at_any_depth(path: Path, storage: SqliteStorage) -> None:
    """After a tenth was deleted at random, SQLite takes as many steps for a page at the end as at the start."""
    count = 3 * 65_536
    await steps.load(storage, [b"%d" % number for number in range(count)])
    gone = random.Random(3).sample(range(count), count // 10)

    def remove(connection: sqlite3.Connection) -> None:
        stored = load(connection, "d")
        for position in gone:
            connection.execute("DELETE FROM records WHERE id = ?", (first_id(stored.shelf) + position,))
            count_hole(connection, stored.shelf, position)
        dataset = stored.head.dataset
        assert dataset is not None
        dataset = replace(dataset, revision=2, count=count - len(gone))
        save(connection, stored, dataset, stored.shelf)

    await storage._database.write(remove)
    live = sorted(set(range(count)) - set(gone))
    randomness = random.Random(4)
    with closing(connect(path)) as connection:
        stored = load(connection, "d")

        def steps_of(rank: int) -> int:
            taken = 0

            def step() -> None:
                nonlocal taken
                taken += 1

            connection.set_progress_handler(step, 1)
            found = slice_records(connection, stored, limit=100, rank=rank, after=None)
            connection.set_progress_handler(None, 0)
            assert list(found.positions) == live[rank : rank + 100]
            return taken

        shallow = [steps_of(randomness.randrange(20_000)) for _ in range(100)]
        deep = [steps_of(randomness.randrange(150_000, 170_000)) for _ in range(100)]
        behind = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM records WHERE id >> 36 = 1 AND key = x''"
        )
        assert "record_keys" in behind.fetchone()[3]
    assert sum(deep) <= 1.2 * sum(shallow)
    assert max(deep) <= 1.2 * max(shallow)


async def test_a_sweep_does_not_stall_writers(path: Path) -> None:
    """While a large generation is removed, appends come in between its steps."""
    clock = FakeClock()
    async with SqliteStorage(path, clock=clock, timeout_s=PATIENCE_S) as storage:
        await steps.load(storage, [b"x" * 100 + b"%d" % n for n in range(150_000)])
        await steps.load(storage, [])
        sweep = asyncio.create_task(storage.sweep(clock.move(minutes=11)))
        appended = 0
        while not sweep.done():
            await append(storage, records([1]))
            appended += 1
        assert await sweep >= 150_000
        assert appended > 3
        assert len(await everything(storage)) == appended


async def test_a_small_load_is_one_transaction(path: Path, storage: Storage) -> None:
    """What fits into memory is written once: the log is synced once for it."""
    await steps.load(storage, [])
    with closing(connect(path)) as watch:
        before = watch.execute("PRAGMA data_version").fetchall()[0][0]
        async with storage.datasets.replace("d") as writer:
            for _ in range(4):
                await writer.add(Batch([b"x" * 1000] * 1000))
            assert watch.execute("PRAGMA data_version").fetchall()[0][0] == before
            await writer.commit(SCHEMA)
        assert watch.execute("PRAGMA data_version").fetchall()[0][0] == before + 1


async def test_what_is_cached_of_names_is_bounded(storage: SqliteStorage) -> None:
    """Asking for very many names that are not there does not fill the memory."""
    for number in range(1_100):
        assert await storage.datasets.dataset(f"n{number}") is None
    assert len(storage.datasets._seen) == 1_000
