"""Failures: a store that is gone, silent or full is told as such, and works again after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from service.domain.errors import (
    OutcomeUnknown,
    OutOfSpace,
    SnapshotLost,
    StoreError,
    StoreUnavailable,
)
from service.domain.records import Batch
from service.ports.storage import Storage
from tests.waiting import patience

from .backends.base import Backend
from .methods import METHODS, READS, SWEEP, WRITES, Call, content, prepare
from .steps import SCHEMA, append, everything, keyed, load, record, records

ANSWER_S = 2.0
"""What a service gives a store that says nothing."""

HANGING_S = 30.0
"""Calls that waited for one another's time would take longer than this."""


async def failures(storage: Storage, names: Iterable[str]) -> dict[str, BaseException | object]:
    """Run these calls at the same time: return what each raised or returned, by name."""

    async def outcome(call: Call) -> object:
        try:
            return await call(storage)
        except StoreError as error:
            return error

    chosen = list(names)
    async with asyncio.timeout(HANGING_S):
        outcomes = await asyncio.gather(*(outcome(METHODS[name]) for name in chosen))
    return dict(zip(chosen, outcomes, strict=True))


async def works(storage: Storage) -> None:
    """Wait until the store answers again."""
    async with patience():
        while True:
            try:
                await storage.ping()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_every_method_tells_that_the_store_is_gone(backend: Backend, storage: Storage) -> None:
    """While the store is gone each method raises `StoreUnavailable`, and nothing is written."""
    await prepare(storage)
    before = await content(storage)
    await backend.stop()
    for name, outcome in (await failures(storage, METHODS)).items():
        assert type(outcome) is StoreUnavailable, (name, outcome)
    await backend.start()
    await works(storage)
    assert await content(storage) == before


async def test_the_store_comes_back_without_a_restart(
    backend: Backend, storage: Storage, other: Storage
) -> None:
    """After an outage, and after another, every replica reads and writes as before."""
    await prepare(storage)
    for number in range(2):
        await backend.stop()
        for replica in (storage, other):
            with pytest.raises(StoreUnavailable):
                await replica.ping()
        await backend.start()
        await works(storage)
        await works(other)
        await append(storage, keyed([10 + number]))
        assert await everything(other) == records([*range(5), *range(10, 11 + number)])
    for name, outcome in (await failures(storage, READS)).items():
        assert not isinstance(outcome, StoreError), (name, outcome)


async def test_a_service_may_start_before_its_store(backend: Backend) -> None:
    """Entering does not fail while the store is away, methods do; once it is there, they work."""
    await backend.stop()
    if not backend.waits_at_start:
        with pytest.raises(StoreError):
            async with backend.open():
                pytest.fail("entering should have raised")
        await backend.start()
        return
    async with backend.open() as early:
        for call in (early.ping, early.datasets.datasets):
            with pytest.raises(StoreUnavailable):
                await call()
        await backend.start()
        await works(early)
        await load(early, records(range(3)))
        assert await everything(early) == records(range(3))


async def test_a_stage_that_the_store_left_commits_nothing(backend: Backend, storage: Storage) -> None:
    """A store that goes away between batches fails the write, and leaving the writer does not raise."""
    before = (await load(storage, records([1]))).dataset
    async with storage.datasets.replace("d") as writer:
        await writer.add(Batch(records([2])))
        await backend.stop()
        with pytest.raises(StoreUnavailable):
            await writer.commit(SCHEMA)
    await backend.start()
    await works(storage)
    assert await storage.datasets.dataset("d") == before


async def test_a_stream_that_the_store_left_ends_in_an_error(backend: Backend, storage: Storage) -> None:
    """A scan goes on with the right records or raises; it never ends early as if it were whole."""
    loaded = [b'{"n": %d, "fill": "%s"}' % (n, b"f" * 4000) for n in range(1000)]
    await load(storage, loaded)
    found: list[bytes] = []
    async with storage.datasets.snapshot("d") as snapshot:
        scan = snapshot.scan()
        found += (await anext(scan)).records
        await backend.stop()
        try:
            async for part in scan:
                found += part.records
        except (StoreUnavailable, SnapshotLost):
            assert found == loaded[: len(found)]
        else:
            assert found == loaded
        await backend.start()
    await works(storage)
    assert (await storage.datasets.slice("d", limit=1)).dataset.count == 1000


async def test_a_store_that_does_not_answer_counts_as_gone(backend: Backend, storage: Storage) -> None:
    """Each write to a silent store raises: unavailable (nothing written) or outcome unknown."""
    await prepare(storage)
    before = await content(storage)
    async with backend.open(timeout_s=ANSWER_S) as hurried:
        await works(hurried)
        async with backend.stalled():
            outcomes = await failures(hurried, [*WRITES, *SWEEP])
            await failures(hurried, READS)
    writes = {name: outcomes[name] for name in WRITES}
    for name, outcome in writes.items():
        assert isinstance(outcome, StoreUnavailable | OutcomeUnknown), (name, outcome)
    await works(storage)
    if not any(isinstance(outcome, OutcomeUnknown) for outcome in writes.values()):
        assert await content(storage) == before
    await load(storage, records([1, 2]))
    assert await everything(storage) == records([1, 2])


async def test_a_full_store_refuses_and_keeps_what_it_has(backend: Backend, storage: Storage) -> None:
    """What does not fit raises `OutOfSpace` and changes nothing; reading and deleting go on."""
    await load(storage, records(range(3)))
    await load(storage, records(range(3)), name="small")
    content = [b'{"n": %d, "fill": "%s"}' % (n, b"f" * 1000) for n in range(4500)]
    async with backend.full() as full, full:
        before = await full.datasets.datasets()
        for write in (load, append):
            with pytest.raises(OutOfSpace):
                await write(full, content)
        with pytest.raises(OutOfSpace):
            await load(full, content, name="new")
        assert await full.datasets.datasets() == before
        assert await everything(full) == records(range(3))
        await full.datasets.delete("small")
    await append(storage, content)
    assert (await everything(storage))[2:4] == [record(2), content[0]]
