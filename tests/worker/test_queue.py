"""A doorbell: heard by one, kept until heard, and never twice at once."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.queue.postgres import PostgresQueue
from service.adapters.queue.redis import RedisQueue
from service.domain.errors import StoreError, StoreUnavailable
from service.ports.queue import Queue
from tests.contract.backends.base import ProcessBackend, ServerBackend
from tests.waiting import patience

from .conftest import queue_at
from .stage import Stage, until

HANGING_S = 30.0
"""Eight who each waited for the one before would take longer than this, each for its four seconds."""


async def test_what_was_rung_for_first_is_heard_first(stage: Stage) -> None:
    """Rings are heard in the order in which they came, as many at a time as are wanted."""
    for name in "abc":
        await stage.queue.ring(name)
    assert list(await stage.queue.hear(2, 60)) == ["a", "b"]
    assert list(await stage.queue.hear(2, 60)) == ["c"]


async def test_a_ring_that_nobody_has_heard_is_not_repeated(stage: Stage) -> None:
    """Ringing twice for a job before anybody hears is ringing once; afterwards it is rung anew."""
    await stage.queue.ring("a", "b")
    await stage.queue.ring("a")
    assert sorted(await stage.queue.hear(9, 60)) == ["a", "b"]
    assert list(await stage.queue.hear(9, 0.05)) == []
    await stage.queue.ring("a")
    assert list(await stage.queue.hear(9, 60)) == ["a"]


async def test_a_ring_wakes_who_waits(stage: Stage) -> None:
    """A listener that waits hears a ring long before its time is over."""
    waiting = asyncio.create_task(stage.queue.hear(1, 3600))
    await asyncio.sleep(0)
    await stage.queue.ring("a")
    async with patience():
        assert list(await waiting) == ["a"]


async def test_who_waits_hears_as_much_as_is_rung_for(stage: Stage) -> None:
    """A listener that waits hears the jobs that are rung for together, as many as it wants, at once."""
    waiting = asyncio.create_task(stage.queue.hear(3, 3600))
    await asyncio.sleep(0)
    await stage.queue.ring(*"abcd")
    async with patience():
        assert sorted(await waiting) == ["a", "b", "c"]
    assert list(await stage.queue.hear(3, 60)) == ["d"]


async def test_silence_ends_with_the_time(stage: Stage) -> None:
    """Where nobody rings a listener returns with nothing when its time is over."""
    assert list(await stage.queue.hear(1, 0.05)) == []


async def test_each_ring_is_heard_by_one(stage: Stage, backend: ProcessBackend) -> None:
    """Of many listeners in several processes each ring reaches one."""
    names = [f"j{number}" for number in range(200)]
    async with queue_at(backend.address) as second:
        queues = [stage.queue, second] if isinstance(backend, ServerBackend) else [stage.queue]
        heard: list[str] = []

        async def listen(queue: Queue) -> None:
            while len(heard) < len(names):
                heard.extend(await queue.hear(3, 0.2))

        listeners = [asyncio.create_task(listen(queue)) for queue in queues * 3]
        await asyncio.gather(*(stage.queue.ring(*names[start : start + 7]) for start in range(0, 200, 7)))
        await asyncio.wait(listeners)
    assert sorted(heard) == sorted(names)


@pytest.mark.parametrize(
    "url", ["redis://:hush-hush@127.0.0.1:1/0", "postgresql://u:hush-hush@127.0.0.1:1/d"]
)
async def test_a_queue_that_is_not_there_says_so(url: str) -> None:
    """Opening calls nobody; asking a server that is absent raises an error that shows no password."""
    async with queue_at(url) as queue:
        for ask in (queue.ring("a"), queue.hear(1, 1)):
            with pytest.raises(StoreUnavailable) as caught:
                await ask
            assert "127.0.0.1:1" in caught.value.detail
            assert "hush-hush" not in caught.value.detail


@pytest.mark.parametrize("queue", [RedisQueue("redis://host:x"), RedisQueue("nonsense://host")])
async def test_a_wrong_url_stops_the_start(queue: Queue) -> None:
    """What can never be reached is no outage to wait for."""
    with pytest.raises(StoreError, match="QUEUE_URL"):
        await queue.__aenter__()


def test_a_postgres_url_that_is_none_stops_the_start() -> None:
    """A port that is no number is refused before anything is opened."""
    with pytest.raises(StoreError):
        PostgresQueue("postgresql://host:x/d")


async def test_a_queue_comes_back_with_its_server(stage: Stage, backend: ProcessBackend) -> None:
    """After a restart of its server a doorbell is rung and heard as before."""
    if not isinstance(backend, ServerBackend):
        return
    await stage.queue.ring("a")
    assert list(await stage.queue.hear(1, 60)) == ["a"]
    await backend.kill()
    with pytest.raises(StoreUnavailable):
        await stage.queue.ring("b")
    await backend.start()

    async def rung() -> bool:
        try:
            await stage.queue.ring("b")
            return list(await stage.queue.hear(1, 60)) == ["b"]
        except StoreError:
            return False

    await until(rung)


async def test_a_server_that_hears_but_does_not_answer_holds_nobody_up(
    stage: Stage, backend: ProcessBackend
) -> None:
    """Whoever rings is told, and waits for nobody else; then the doorbell is as it was."""
    if not isinstance(backend, ServerBackend):
        return

    async def rung() -> bool:
        try:
            await hurried.ring("a")
        except StoreError:
            return False
        return True

    async with queue_at(backend.address, timeout_s=4.0) as hurried:
        await until(rung)
        async with backend.stalled():
            rings = (hurried.ring(f"b{number}") for number in range(8))
            async with asyncio.timeout(HANGING_S):
                told = await asyncio.gather(*rings, return_exceptions=True)
    assert [type(one) for one in told] == [StoreUnavailable] * 8

    async def heard() -> bool:
        try:
            return "a" in await stage.queue.hear(99, 1)
        except StoreError:
            return False

    await until(heard)
