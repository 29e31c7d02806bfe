"""`kill -9` of workers at any moment: no job is lost, no effect is there twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from dependency_injector import providers

from containers import Container, build_container
from service.domain.jobs import Job, JobState
from service.ports.storage import NO_GUARD
from service.settings import Settings
from service.usecases.jobs.load import Verb
from service.usecases.loading import LoadOptions, Source
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.contract.backends.base import ProcessBackend
from tests.contract.steps import everything, load
from tests.faults import trials
from tests.servers import Servers

from .conftest import queue_at
from .crew import Crew
from .stage import until

LEASE_S = "5"
"""Short enough to wait for where a worker was killed, long enough for a slow machine to keep it."""


@pytest.fixture(params=["redis", "postgres"])
async def address(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[str]:
    """Give the URL of an empty store."""
    async with BACKENDS[request.param].make(clock, tmp_path, servers) as made:
        assert isinstance(made, ProcessBackend)
        yield made.address


@pytest.fixture
async def container(address: str, tmp_path: Path) -> AsyncIterator[Container]:
    """Give the parts of an API on that store."""
    made = build_container(Settings.from_env({"STORAGE_URL": address, "SPOOL_DIR": str(tmp_path)}))
    connect = BACKENDS["redis" if address.startswith("redis") else "postgres"].connect
    made.storage.override(providers.Singleton(connect, address, made.clock()))
    made.queue.override(providers.Singleton(queue_at, address))
    async with AsyncExitStack() as stack:
        for part in (made.storage(), made.seen(), made.queue()):
            await stack.enter_async_context(part)
        await made.storage().ping()
        yield made


def crew(size: int, address: str, tmp_path: Path) -> Crew:
    """Return workers on that store."""
    return Crew(size, STORAGE_URL=address, JOB_LEASE_SECONDS=LEASE_S, SPOOL_DIR=str(tmp_path))


async def append(container: Container, number: int) -> Job:
    """Order the append of one record: an effect that shows if it is made twice."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"n": %d}' % number

    source, options = Source(body()), LoadOptions(single=True, widen=True)
    job: Job = await container.load_orders().post(Verb.APPEND, "d", source, options, NO_GUARD)
    return job


async def all_done(container: Container, jobs: list[Job]) -> None:
    """Wait until all jobs have succeeded."""
    for job in jobs:

        async def ended(id_: str = job.id) -> Job | None:
            now: Job = await container.job_store().get(id_)
            return now if now.state.finished else None

        assert (await until(ended)).state is JobState.SUCCEEDED


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_killed_workers_lose_no_job_and_double_no_effect(
    container: Container, address: str, tmp_path: Path
) -> None:
    """Killed at random moments, workers leave every record appended exactly once."""
    randomness = random.Random(7)
    await load(container.storage(), [])
    jobs: list[Job] = []
    async with crew(2, address, tmp_path) as workers:
        for _ in range(trials(50)):
            for _ in range(8):
                jobs.append(await append(container, len(jobs)))
            await asyncio.sleep(randomness.uniform(0, 0.4))  # the moment of the fault
            await workers.kill(randomness.randrange(2))
        await all_done(container, jobs)
    numbers = [msgspec.json.decode(record)["n"] for record in await everything(container.storage())]
    assert sorted(numbers) == list(range(len(jobs)))


async def test_a_worker_killed_in_the_middle_of_a_sweep_forgets_nothing(
    container: Container, address: str, tmp_path: Path
) -> None:
    """A worker that dies while it rings for a thousand forgotten jobs leaves them all to another one."""
    desk, kind = container.desk(), container.fibonacci_job()
    jobs = [await desk.post(kind, {"index": index}) for index in range(1000)]
    async with crew(2, address, tmp_path) as workers:
        # All rings are lost at once, as in a queue that was emptied.
        while await container.queue().hear(100, 0.01):
            pass
        workers.kill_at_once(0)
        await all_done(container, jobs)
    values = dict([pair async for pair in container.fibonacci_values().all()])
    assert len(values) == 1000
    assert values[100] == "354224848179261915075"


async def test_a_worker_drains_on_sigterm(container: Container, address: str, tmp_path: Path) -> None:
    """SIGTERM ends a worker with 0, and another goes on with what is left."""
    desk, kind = container.desk(), container.fibonacci_job()
    async with crew(2, address, tmp_path) as workers:
        jobs = [await desk.post(kind, {"index": 200_000 + index}) for index in range(12)]
        assert await workers.drain(0) == 0
        await all_done(container, jobs)
