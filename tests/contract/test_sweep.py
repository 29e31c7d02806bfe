"""Sweeping: what nobody can reach any more is removed, and nothing else."""

from __future__ import annotations

from datetime import timedelta

from service.domain.errors import StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import Guard, Idempotency, OnConflict, Storage
from tests.clocks import FakeClock

from .backends.base import Backend
from .steps import KEYED, SCHEMA, append, everything, keyed, load, records
from .test_staging import BATCHES, PER_BATCH, big_batch


async def swept(storage: Storage, clock: FakeClock) -> int:
    """Move past every retention and sweep until nothing is left to sweep: return how much it was."""
    clock.move(minutes=11)
    removed = 0
    for _ in range(3):
        step = await storage.sweep(clock.now())
        removed += step
        if not step:
            break
    assert step == 0
    return removed


async def test_a_sweep_of_nothing_removes_nothing(storage: Storage, clock: FakeClock) -> None:
    """What is in use is no leftover, however old it is."""
    assert await storage.sweep(clock.now()) == 0
    await load(storage, keyed(range(5)))
    await append(storage, keyed([7]))
    await storage.datasets.delete_record("d", 2)
    await storage.documents.create("key", "a", {})
    assert await swept(storage, clock) == 0
    clock.move(days=3650)
    assert await storage.sweep(clock.now()) == 0
    assert await everything(storage) == records([0, 1, 3, 4, 7])
    assert (await storage.datasets.record("d", key="7")).position == 5
    assert await storage.documents.get("key", "a") is not None


async def test_replaced_and_deleted_records_are_removed(
    backend: Backend, storage: Storage, clock: FakeClock
) -> None:
    """After ten minutes a replaced or deleted generation takes no room, and its keys neither."""
    await load(storage, keyed(range(3)), name="stays")
    await storage.datasets.delete_record("stays", 1)
    await load(storage, keyed([1]), name="goes")
    await storage.datasets.delete("goes")
    await swept(storage, clock)
    before = await backend.pieces()
    for _ in range(3):
        for name in ("stays", "goes"):
            await load(storage, keyed(range(3000)), name=name)
            for position in (0, 5, 2999):
                await storage.datasets.delete_record(name, position)
    await storage.datasets.delete("goes")
    await load(storage, keyed(range(3)), name="stays")
    await storage.datasets.delete_record("stays", 1)
    await swept(storage, clock)
    assert await backend.pieces() <= before
    assert await everything(storage, "stays") == records([0, 2])
    assert (await storage.datasets.record("stays", key="2")).position == 2
    assert await storage.datasets.last_revision("goes") == 15


async def test_what_has_expired_is_removed(backend: Backend, storage: Storage, clock: FakeClock) -> None:
    """Expired documents and idempotency records go; those that last stay."""
    soon, late = clock.now() + timedelta(minutes=5), clock.now() + timedelta(days=1)
    await load(storage, records([0]))
    await storage.documents.create("job", "late", {}, tag="t", expires=late)
    await append(storage, [], guard=Guard(idempotency=Idempotency("late", "f", late)))
    before = await backend.pieces()
    for number in range(300):
        await storage.documents.create("job", f"j{number}", {}, tag="t", expires=soon)
    for number in range(20):
        idempotency = Idempotency(f"k{number}", "f", soon)
        await append(storage, [], guard=Guard(idempotency=idempotency))
    assert await storage.sweep(clock.now()) == 0
    await swept(storage, clock)
    assert await backend.pieces() <= before
    assert [one.id for one in await storage.documents.list("job")] == ["late"]
    assert await storage.datasets.recall("d", "late") is not None
    assert await storage.datasets.recall("d", "k3") is None


async def test_a_write_that_was_left_leaves_nothing(
    backend: Backend, storage: Storage, clock: FakeClock
) -> None:
    """What was staged and not committed is gone after a sweep."""
    await load(storage, keyed(range(3)))
    await swept(storage, clock)
    before = await backend.pieces()
    async with storage.datasets.replace("d") as one, storage.datasets.append("d") as two:
        for number in range(BATCHES):
            await one.add(big_batch(number, keys=True))
            await two.add(big_batch(number, keys=True))
    await swept(storage, clock)
    assert await backend.pieces() <= before
    assert await everything(storage) == records(range(3))


async def test_a_large_append_leaves_nothing(backend: Backend, storage: Storage, clock: FakeClock) -> None:
    """Once committed and swept, a staged append takes the room of its records only."""
    content = [one for number in range(BATCHES) for one in big_batch(number).records]
    await load(storage, content)
    await swept(storage, clock)
    before = await backend.pieces()
    await load(storage, [])
    async with storage.datasets.append("d") as writer:
        for number in range(BATCHES):
            await writer.add(big_batch(number))
        await writer.commit(SCHEMA)
    await swept(storage, clock)
    assert await backend.pieces() <= before
    assert await everything(storage) == content


async def test_a_slow_writer_keeps_what_it_staged(storage: Storage, other: Storage, clock: FakeClock) -> None:
    """A write may take an hour: while its process sweeps every minute, nobody removes what it staged."""
    await load(storage, keyed([10**6]))
    async with storage.datasets.replace("e") as one, storage.datasets.append("d") as two:
        for number in range(BATCHES):
            await one.add(big_batch(number, keys=True))
            await two.add(big_batch(number, keys=True))
            for _ in range(5):
                clock.move(minutes=1)
                await storage.sweep(clock.now())
                await other.sweep(clock.now())
        assert (await one.commit(KEYED)).added == BATCHES * PER_BATCH
        assert (await two.commit(KEYED)).added == BATCHES * PER_BATCH
    await swept(other, clock)
    assert len(await everything(other, "e")) == BATCHES * PER_BATCH
    assert len(await everything(other)) == BATCHES * PER_BATCH + 1


async def test_a_writer_that_stood_still_commits_whole_or_not(
    storage: Storage, other: Storage, clock: FakeClock
) -> None:
    """Where a process stood still for an hour and another swept, its writes are whole or refused."""
    await load(storage, keyed([10**6]))
    for name, writing in (
        ("new", storage.datasets.replace("new")),
        ("d", storage.datasets.append("d", OnConflict.REPLACE)),
    ):
        before = await everything(storage) if name == "d" else []
        async with writing as writer:
            for number in range(BATCHES):
                await writer.add(big_batch(number, keys=True))
            clock.move(hours=1)
            await other.sweep(clock.now())
            try:
                await writer.add(Batch([b"{}"], ["last"]))
                commit = await writer.commit(KEYED)
            except StoreUnavailable:
                found = await other.datasets.dataset(name)
                assert (found.count if found is not None else 0) == len(before)
            else:
                assert commit.added == BATCHES * PER_BATCH + 1
                content = await everything(other, name)
                assert content[len(before) :][:PER_BATCH] == big_batch(0).records
                assert content[-1] == b"{}"


async def test_sweeps_at_the_same_time_do_not_disturb_one_another(
    backend: Backend, storage: Storage, other: Storage, clock: FakeClock
) -> None:
    """Processes that sweep at once, while others write, remove what is left over and no more."""
    for number in range(4):
        await load(storage, records(range(2000)), name=f"d{number % 2}")
    clock.move(minutes=11)
    for replica in (storage, other, storage):
        await replica.sweep(clock.now())
        await append(replica, records([1]), name="d0")
    assert await other.sweep(clock.now()) == 0
    assert len(await everything(storage, "d0")) == 2003
    assert len(await everything(storage, "d1")) == 2000
