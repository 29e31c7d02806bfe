"""What is asked at once goes to Redis together, and remains everybody's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from service.adapters.redis import RedisStorage
from service.domain.errors import OutcomeUnknown, StoreError, StoreUnavailable
from tests.clocks import FakeClock
from tests.contract.test_failures import works
from tests.servers.redis import RedisCluster, RedisServer
from tests.waiting import PATIENCE_S

MANY = [f"{number:03}" for number in range(100)]


async def test_what_is_asked_at_once_is_sent_at_once(storage: RedisStorage, server: RedisServer) -> None:
    """A hundred documents written by a hundred callers reach Redis in a few reads of its sockets."""
    await storage.documents.create("job", "first", {})
    server.execute("CONFIG", "RESETSTAT")
    made = await asyncio.gather(*(storage.documents.create("job", one, {"n": one}) for one in MANY))
    reads = server.execute("INFO", "stats")["total_reads_processed"]
    assert [document.body if document else None for document in made] == [{"n": one} for one in MANY]
    assert reads < len(MANY) / 2


async def test_one_that_fails_takes_nobody_along(storage: RedisStorage, server: RedisServer) -> None:
    """What Redis answers to one caller is told to that one."""
    for one in MANY[::2]:
        await storage.documents.create("job", one, {})
    for one in MANY[1::2]:
        server.execute("SET", f"aerolite:{{doc:job}}:d:{one}", "no document")
    found = await asyncio.gather(*(storage.documents.get("job", one) for one in MANY), return_exceptions=True)
    assert [getattr(document, "id", None) for document in found[::2]] == MANY[::2]
    assert all(isinstance(one, StoreError) and "WRONGTYPE" in one.detail for one in found[1::2])


async def test_a_caller_that_goes_away_takes_nobody_along(storage: RedisStorage) -> None:
    """What cancelled callers have asked for is done, as is all else."""
    await storage.documents.create("job", "first", {})
    tasks = [asyncio.create_task(storage.documents.create("job", one, {})) for one in MANY]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    made = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in made[::2])
    assert [getattr(document, "id", None) for document in made[1::2]] == MANY[1::2]
    assert [document.id for document in await storage.documents.list("job")] == [*MANY, "first"]


async def test_closing_ends_what_is_being_asked(server: RedisServer, clock: FakeClock) -> None:
    """Nobody waits for a storage that is closed, whether his question was sent or not."""
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as storage:
        await storage.ping()
        tasks = [asyncio.create_task(storage.documents.get("job", one)) for one in MANY]
        await asyncio.sleep(0)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)


async def test_of_what_is_not_answered_only_writes_are_in_doubt(
    server: RedisServer, clock: FakeClock
) -> None:
    """Where Redis falls silent who reads is told that nothing was written, who writes that it may be."""
    async with RedisStorage(server.url, clock=clock, timeout_s=4) as storage:
        # So there are two connections, and both questions get out.
        await works(storage)
        await asyncio.gather(storage.documents.get("job", "a"), storage.documents.create("job", "a", {}))
        with server.paused():
            found = await asyncio.gather(
                storage.documents.get("job", "a"),
                storage.documents.create("job", "b", {}),
                storage.documents.get("job", "b"),
                return_exceptions=True,
            )
    assert [type(one) for one in found] == [StoreUnavailable, OutcomeUnknown, StoreUnavailable]


async def test_scripts_that_the_server_forgot_are_sent_again(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """Among commands that were done, a script that the server does not know is sent again, and it alone."""
    expires = clock.now() + timedelta(hours=1)
    server.execute("SCRIPT", "FLUSH")
    made = await asyncio.gather(
        *(storage.documents.create("job", one, {}, expires=expires) for one in MANY),
        *(storage.documents.add("usage", "a", {"n": 1}) for _ in MANY),
    )
    assert [document.version for document in made if document] == [1] * len(MANY)
    counted = await storage.documents.get("usage", "a")
    assert counted is not None
    assert counted.body == {"n": len(MANY)}


async def test_in_a_cluster_each_slot_is_asked_by_itself(cluster: RedisCluster, clock: FakeClock) -> None:
    """Documents of many kinds, written and read at once, are at their nodes."""
    async with RedisStorage(cluster.url, clock=clock, timeout_s=PATIENCE_S) as storage:
        expires = clock.now() + timedelta(hours=1)
        for kind in MANY[:9]:
            await storage.documents.create(kind, "first", {})
        made = await asyncio.gather(
            *(storage.documents.create(kind, "a", {"k": kind}, expires=expires) for kind in MANY[:9])
        )
        assert [document.body if document else None for document in made] == [{"k": k} for k in MANY[:9]]
        read = await asyncio.gather(*(storage.documents.get(kind, "a") for kind in MANY[:9]))
        assert read == made
        assert await storage.documents.kinds() == MANY[:9]
