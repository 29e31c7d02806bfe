"""A stage for jobs: a store, its doorbell, types of jobs made for tests, and workers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from service.domain.jobs import Job
from service.ports.queue import Queue
from service.ports.storage import Storage
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.kinds import Attempt, JobType, JobTypes
from service.usecases.jobs.running import Runner
from service.usecases.jobs.store import JobStore
from service.usecases.jobs.turns import Turns
from service.worker.metrics import JobMetrics
from service.worker.reconciler import Reconciler
from service.worker.worker import Worker
from tests.clocks import FakeClock
from tests.waiting import PATIENCE_S, patience

LEASE_S = 60.0
"""Longer than any test: a lease ends where the test moves the clock, not where the machine is slow."""

Work = Callable[[Attempt], Awaitable[dict[str, Any] | None]]


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is true, and return it."""
    async with patience():
        while not (answer := await found()):
            await asyncio.sleep(0.01)
        return answer


class Scripted(JobType):
    """Does what the test says."""

    def __init__(
        self, name: str, work: Work, *, timeout_s: float = 3600.0, exclusive: str | None = None
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self._work = work
        self._key = exclusive
        self.cleared: list[str] = []

    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take anything."""
        return params

    def exclusive(self, params: dict[str, Any]) -> str | None:
        """Return the key of the test."""
        return self._key

    async def run(self, attempt: Attempt) -> dict[str, Any] | None:
        """Do it."""
        return await self._work(attempt)

    async def finished(self, job: Job) -> None:
        """Note the end."""
        self.cleared.append(job.id)


class Stage:
    """Everything that jobs need, over one store."""

    def __init__(self, storage: Storage, queue: Queue, clock: FakeClock) -> None:
        self.storage = storage
        self.queue = queue
        self.clock = clock
        self.store = JobStore(storage.documents, clock)
        self.turns = Turns(storage.documents)
        self.metrics = JobMetrics(CollectorRegistry())

    def desk(self, *types: JobType) -> Desk:
        """Return where jobs are posted."""
        return Desk(self.store, JobTypes(types), self.queue, self.clock)

    def runner(self, *types: JobType, owner: str = "w", lease_s: float = LEASE_S) -> Runner:
        """Return what runs jobs."""
        return Runner(
            self.store, JobTypes(types), self.turns, self.clock, self.metrics, owner=owner, lease_s=lease_s
        )

    def reconciler(self) -> Reconciler:
        """Return a reconciler."""
        return Reconciler(self.store, self.queue, self.clock)

    @asynccontextmanager
    async def worker(
        self,
        *types: JobType,
        owner: str = "w",
        concurrency: int = 4,
        lease_s: float = LEASE_S,
        drain_s: float = PATIENCE_S,
    ) -> AsyncIterator[Worker]:
        """Run a worker."""
        worker = Worker(
            self.queue,
            self.runner(*types, owner=owner, lease_s=lease_s),
            self.reconciler(),
            self.metrics,
            concurrency=concurrency,
            lease_s=lease_s,
            drain_s=drain_s,
        )
        async with worker:
            yield worker

    async def begun_by_a_dead_worker(self, job: Job) -> Job:
        """Leave a job as a worker leaves it that was killed in the middle."""
        begun = await self.store.save(job.begun("dead", self.clock.now(), timedelta(seconds=LEASE_S)))
        assert begun is not None
        return begun

    async def state(self, job: Job, *states: str) -> Job:
        """Return a job as soon as it is in one of these states."""

        async def found() -> Job | None:
            now = await self.store.get(job.id)
            return now if now.state in states else None

        result: Job = await until(found)
        return result

    async def finished(self, job: Job) -> Job:
        """Return a job as soon as it has ended."""
        return await self.state(job, "succeeded", "failed", "cancelled")
