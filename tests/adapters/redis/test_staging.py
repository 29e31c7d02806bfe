"""What is staged beside the records: loads and large appends, committed, refused, swept or cancelled."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO

import pytest

from service.adapters.redis import RedisStorage
from service.adapters.redis.spool import Spool
from service.domain.errors import DatasetNotFound, DuplicateKey, OutOfSpace, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import Commit, OnConflict
from tests.adapters.redis.laid import META, body_of, fill, until
from tests.clocks import FakeClock
from tests.contract.steps import KEYED, append, everything, keyed, load, records
from tests.servers.redis import RedisServer
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_a_large_append_goes_behind_a_load_that_came_first(
    storage: RedisStorage, server: RedisServer, clock: FakeClock, on_conflict: OnConflict
) -> None:
    """A load or deletion that commits while records are staged is not waited for; the append follows it."""
    await load(storage, keyed(range(10**6, 10**6 + 5)))

    async def grow() -> Commit:
        async with storage.datasets.append("d", on_conflict) as writer:
            await writer.add(fill(0, 9000))
            return await writer.commit(KEYED)

    staged = (
        ("HGET", META, "staged") if on_conflict is not OnConflict.REPLACE else ("HLEN", "aerolite:{d}:staged")
    )
    growing = asyncio.create_task(grow())
    await until(lambda: server.execute(*staged))
    await load(storage, keyed(range(10**6, 10**6 + 2)))
    commit = await growing
    assert (commit.first_position, commit.added, commit.dataset.revision) == (2, 9000, 3)
    expected = [*records(range(10**6, 10**6 + 2)), *fill(0, 9000).records]
    assert await everything(storage) == expected
    assert (await storage.datasets.record("d", key="8999")).position == 9001

    growing = asyncio.create_task(append(storage, fill(10_000, 3000), on_conflict=on_conflict))
    await until(lambda: server.execute(*staged))
    await storage.datasets.delete("d")
    with pytest.raises(DatasetNotFound):
        await growing
    clock.move(hours=1)
    await storage.sweep(clock.now())
    with server.client() as client:
        assert [key for key in client.scan_iter(count=1000) if b":r:" in key or b":k:" in key] == []


async def test_a_large_upsert_leaves_readers_their_revision(storage: RedisStorage) -> None:
    """Records are replaced in a copy: a stream that began before goes on over what it began with."""
    await load(storage, fill(0, 5000))
    async with AsyncExitStack() as stack:
        snapshot = await stack.enter_async_context(storage.datasets.snapshot("d"))
        scan = snapshot.scan()
        found = list((await anext(scan)).records)
        changed = [one.replace(b'"fill"', b'"changed"') for one in fill(1000, 6000).records]
        keys = fill(1000, 6000).keys
        commit = await append(storage, Batch(changed, keys), on_conflict=OnConflict.REPLACE)
        async for part in scan:
            found += part.records
    assert found == fill(0, 5000).records
    assert (commit.replaced, commit.added, commit.dataset.generation) == (4000, 2000, 1)
    assert await everything(storage) == [*fill(0, 1000).records, *changed]


async def test_a_large_append_that_is_refused_leaves_nothing_behind(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A key that is there, found after many records were staged, takes them back at once."""
    await load(storage, keyed([5000]))
    with pytest.raises(DuplicateKey):
        await append(storage, fill(0, 9000))
    assert server.execute("HGET", META, "staged") is None
    assert server.execute("GET", "aerolite:{d}:lease") is None
    body = body_of(server)
    with server.client() as client:
        parts = [key for key in client.scan_iter(count=1000) if b":k:" in key]
        assert sum(client.hlen(key) for key in parts) == 1
        assert client.llen(f"aerolite:{{d}}:{body}:r:0") == 1


async def test_a_cancelled_large_append_leaves_nothing_behind(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A client that goes away while its records are staged: they go, too, and the next writer need not wait."""
    await load(storage, records([1]))
    for _ in range(5):
        growing = asyncio.create_task(append(storage, fill(0, 9000, keys=False)))
        await until(lambda: server.execute("HGET", META, "staged"))
        growing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await growing
        assert server.execute("HGET", META, "staged") is None
        assert server.execute("GET", "aerolite:{d}:lease") is None
        assert await everything(storage) == records([1])


async def test_a_keyed_batch_of_nothing_is_a_batch(storage: RedisStorage) -> None:
    """A batch without records is staged like any other, with keys or without."""
    await load(storage, Batch([], []))
    for on_conflict in OnConflict:
        assert (await append(storage, Batch([], []), on_conflict=on_conflict)).added == 0
        assert (await append(storage, Batch([]), on_conflict=on_conflict)).added == 0


@pytest.mark.parametrize("count", [30_000, 140_000])
async def test_a_key_that_comes_again_much_later_is_found(storage: RedisStorage, count: int) -> None:
    """Keys are sent by the ten thousand: one of an earlier lot, short or long, is found, the first of them."""
    long = "long " * 13
    async with storage.datasets.replace("d") as writer:
        for start in range(0, count, 10_000):
            keys = [str(number) for number in range(start, start + 10_000)]
            await writer.add(Batch([b"{}"] * 10_000, [long, *keys[1:]] if start == 10_000 else keys))
        with pytest.raises(DuplicateKey) as caught:  # noqa: PT012 - raised by one of them
            await writer.add(Batch([b"{}"] * 4, ["new", long, "7", "new"]))
            await writer.commit(KEYED)
    assert caught.value.members["key"] == long


async def test_a_load_whose_stage_was_swept_commits_nothing(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """Neither a further step nor the commit of a load that another process swept goes through."""
    for adds in (True, False):
        async with storage.datasets.replace("d") as writer:
            await writer.add(fill(0, 3000))
            clock.move(hours=1)
            async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as other:
                assert await other.sweep(clock.now()) >= 1
            with pytest.raises(StoreUnavailable, match="stood still"):  # noqa: PT012 - by one of them
                if adds:
                    await writer.add(fill(3000, 3000))
                await writer.commit(KEYED)
        assert await storage.datasets.dataset("d") is None
    clock.move(hours=1)
    await storage.sweep(clock.now())
    with server.client() as client:
        assert [key for key in client.scan_iter(count=1000) if b":r:" in key or b":k:" in key] == []


async def test_an_append_that_is_given_up_while_its_file_is_made_closes_it(tmp_path: Path) -> None:
    """The thread that makes it is waited for, and one that comes later makes none."""
    begun, go_on = threading.Event(), threading.Event()
    made: list[IO[bytes]] = []

    def slowly() -> IO[bytes]:
        begun.set()
        go_on.wait()
        made.append((tmp_path / "file").open("xb+"))
        return made[-1]

    async with Spool(slowly) as spool:
        adding = asyncio.create_task(spool.add(fill(0, 3000)))
        await asyncio.to_thread(begun.wait)
        adding.cancel()
        await asyncio.wait({adding})
        going_on = asyncio.create_task(asyncio.to_thread(go_on.set))
        await asyncio.sleep(0)  # it is under way
    await going_on
    assert [file.closed for file in made] == [True]
    await spool.add(fill(0, 3000))
    assert len(made) == 1


async def test_a_full_disk_for_uploads_is_told() -> None:
    """What a large append keeps in a file of this process may find no room, too."""
    full = Spool(lambda: io.FileIO("/dev/full", "r+"))
    async with full:
        with pytest.raises(OutOfSpace, match="temporary file"):
            await full.add(fill(0, 3000))
    refusing = Spool(lambda: io.FileIO("/dev/null"))
    async with refusing:
        with pytest.raises(OSError, match="not open for writing"):
            await refusing.add(fill(0, 3000))
