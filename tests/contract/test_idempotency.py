"""Idempotency: a commit under a key happens once, whoever asks again, wherever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from service.domain.errors import DuplicateKey, PreconditionFailed
from service.domain.records import Batch
from service.ports.storage import (
    AlreadyCommitted,
    Commit,
    Guard,
    Idempotency,
    OnConflict,
    Storage,
)
from tests.clocks import FakeClock

from .steps import KEYED, SCHEMA, append, everything, keyed, load, records

Write = Callable[[Storage, Guard], Awaitable[Commit]]

WRITES: dict[str, Write] = {
    "replace": lambda storage, guard: load(storage, keyed([8, 9]), guard=guard),
    "append": lambda storage, guard: append(storage, keyed([8, 9]), guard=guard),
    "append-ignoring": lambda storage, guard: append(
        storage, keyed([1, 8]), on_conflict=OnConflict.IGNORE, guard=guard
    ),
    "append-replacing": lambda storage, guard: append(
        storage, keyed([1, 8]), on_conflict=OnConflict.REPLACE, guard=guard
    ),
    "put_record": lambda storage, guard: storage.datasets.put_record(
        "d", 1, b'{"a": 1}', key="1", schema=KEYED, guard=guard
    ),
    "delete_record": lambda storage, guard: storage.datasets.delete_record("d", 1, guard),
    "put_schema": lambda storage, guard: storage.datasets.put_schema("d", replace(KEYED, title="T"), guard),
    "delete": lambda storage, guard: storage.datasets.delete("d", guard),
}


def once(clock: FakeClock, key: str = "k", fingerprint: str = "f") -> Idempotency:
    """Return an idempotency that lasts a day."""
    expires = clock.now() + timedelta(days=1)
    payload = {"rejected": [{"line": 2, "reason": "ä"}], "big": 2**53, "none": None}
    return Idempotency(key, fingerprint, expires, payload)


@pytest.fixture(params=list(WRITES))
def write(request: pytest.FixtureRequest) -> Write:
    """Give each kind of write."""
    return WRITES[request.param]


async def test_a_commit_happens_once(
    storage: Storage, other: Storage, clock: FakeClock, write: Write
) -> None:
    """The second time, on any replica, nothing is written and the first outcome is told."""
    await load(storage, keyed(range(3)))
    guard = Guard(idempotency=once(clock))
    assert await storage.datasets.recall("d", "k") is None
    commit = await write(storage, guard)
    before = await storage.datasets.datasets()
    for replica in (storage, other):
        with pytest.raises(AlreadyCommitted) as caught:
            await write(replica, guard)
        remembered = caught.value.remembered
        assert await replica.datasets.recall("d", "k") == remembered
        assert (remembered.fingerprint, remembered.payload) == ("f", once(clock).payload)
        told, made = remembered.commit, commit
        assert (told.added, told.replaced, told.ignored) == (made.added, made.replaced, made.ignored)
        assert (told.removed, told.first_position) == (made.removed, made.first_position)
        assert (told.dataset.name, told.dataset.revision) == ("d", made.dataset.revision)
        assert told.dataset.count == made.dataset.count
        assert told.dataset.size_bytes == made.dataset.size_bytes
    assert await storage.datasets.datasets() == before
    assert await storage.datasets.last_revision("d") == commit.dataset.revision


async def test_another_body_under_the_same_key_is_told_apart(storage: Storage, clock: FakeClock) -> None:
    """The store gives the first fingerprint back, whatever the second is."""
    await load(storage, records([1]), guard=Guard(idempotency=once(clock)))
    with pytest.raises(AlreadyCommitted) as caught:
        await append(storage, records([2]), guard=Guard(idempotency=once(clock, fingerprint="other")))
    assert caught.value.remembered.fingerprint == "f"
    assert await everything(storage) == records([1])


async def test_the_key_comes_before_every_other_guard(
    storage: Storage, clock: FakeClock, write: Write
) -> None:
    """A repeated commit is told as such, though its other guards held the first time only."""
    await load(storage, keyed(range(3)))
    guard = Guard(revision=1, schema_version=1, exists=True, idempotency=once(clock))
    await write(storage, guard)
    with pytest.raises(AlreadyCommitted):
        await write(storage, guard)


async def test_a_deletion_is_remembered(storage: Storage, clock: FakeClock) -> None:
    """What was committed before a dataset was deleted is remembered after."""
    await load(storage, records([1]), guard=Guard(idempotency=once(clock)))
    await storage.datasets.delete("d", Guard(idempotency=once(clock, "gone")))
    with pytest.raises(AlreadyCommitted) as caught:
        await storage.datasets.delete("d", Guard(idempotency=once(clock, "gone")))
    assert caught.value.remembered.commit.removed == 1
    with pytest.raises(AlreadyCommitted):
        await load(storage, records([2]), guard=Guard(idempotency=once(clock)))
    assert await storage.datasets.dataset("d") is None


async def test_a_refused_commit_is_not_remembered(storage: Storage, clock: FakeClock) -> None:
    """A key whose commit was refused is free."""
    await load(storage, keyed(range(3)))
    guard = Guard(idempotency=once(clock))
    with pytest.raises(PreconditionFailed):
        await append(storage, keyed([5]), guard=replace(guard, revision=9))
    with pytest.raises(DuplicateKey):
        await append(storage, keyed([5, 1]), guard=guard)
    assert await storage.datasets.recall("d", "k") is None
    assert (await append(storage, keyed([5]), guard=guard)).added == 1


async def test_a_staged_write_that_was_left_is_not_remembered(storage: Storage, clock: FakeClock) -> None:
    """A writer that was left without a commit has used up no key."""
    async with storage.datasets.replace("d") as writer:
        await writer.add(Batch(records([1])))
    guard = Guard(idempotency=once(clock))
    assert (await load(storage, records([2]), guard=guard)).dataset.revision == 1


async def test_a_key_lasts_until_it_expires(storage: Storage, clock: FakeClock) -> None:
    """Just before it expires a key is remembered, then it is free, swept or not."""
    guard = Guard(idempotency=once(clock))
    await load(storage, records([1]), guard=guard)
    clock.move(hours=23, minutes=59)
    assert await storage.datasets.recall("d", "k") is not None
    clock.move(minutes=2)
    assert await storage.datasets.recall("d", "k") is None
    later = Guard(idempotency=once(clock, fingerprint="second"))
    assert (await append(storage, records([2]), guard=later)).added == 1
    recalled = await storage.datasets.recall("d", "k")
    assert recalled is not None
    assert recalled.fingerprint == "second"


async def test_keys_belong_to_a_dataset(storage: Storage, clock: FakeClock) -> None:
    """The same key in another dataset is another key; keys may be long and odd."""
    odd = "caller\x1fPOST /datasets/d/records {x}*" + "y" * 300
    for name in ("d", "e"):
        await load(storage, records([1]), name=name, guard=Guard(idempotency=once(clock, odd)))
    assert await storage.datasets.recall("d", odd) is not None
    assert await storage.datasets.recall("f", odd) is None
    assert await storage.datasets.recall("d", odd + "y") is None


async def test_of_concurrent_twins_one_commits(storage: Storage, other: Storage, clock: FakeClock) -> None:
    """Of many commits under one key at the same time, on two replicas, exactly one is made."""
    await load(storage, records([0]))
    guard = Guard(idempotency=once(clock))
    outcomes = await asyncio.gather(
        *(append(replica, records([1]), guard=guard) for replica in [storage, other] * 6),
        return_exceptions=True,
    )
    made = [one for one in outcomes if isinstance(one, Commit)]
    told = [one.remembered.commit for one in outcomes if isinstance(one, AlreadyCommitted)]
    assert len(made) == 1
    assert len(told) == 11
    assert {one.dataset.revision for one in told} == {made[0].dataset.revision}
    assert await everything(other) == records([0, 1])
    assert (await append(storage, [], schema=SCHEMA)).dataset.revision == 3
