"""The desk: where jobs are posted, looked up and called off."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from service.domain.errors import AeroliteError, JobFinished, JobNotFound
from service.domain.jobs import Job, JobState, new_id
from service.ports.clock import Clock
from service.ports.queue import Queue
from service.usecases.jobs.kinds import JobType, JobTypes
from service.usecases.jobs.store import JobStore

log = logging.getLogger("aerolite.jobs")


class Desk:
    """Takes orders for jobs."""

    def __init__(self, store: JobStore, types: JobTypes, queue: Queue, clock: Clock) -> None:
        self.store = store
        self.types = types
        self._queue = queue
        self._clock = clock

    def next_id(self) -> str:
        """Return the id of a job yet to be posted."""
        return new_id(self._clock.now())

    async def post(
        self,
        kind: JobType,
        params: dict[str, Any],
        *,
        id: str | None = None,
        day: date | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Store a job and ring for it; what is stored already under the id is returned as it is.

        `day` is that whose columns the client sees. Raises what `JobType.accept` raises.
        """
        await kind.accept(params, day)
        now = self._clock.now()
        job = Job(
            id=id or new_id(now),
            type=kind.name,
            params=params,
            created=now,
            due=now,
            deadline=now + timedelta(seconds=timeout_s or kind.timeout_s),
            exclusive=kind.exclusive(params),
            day=day,
        )
        created = await self.store.create(job) or await self.store.get(job.id)
        await self._ring(job.id)
        return created

    async def cancel(self, id: str) -> Job:
        """Call a job off: at once where it waits, by a word to its worker where it runs.

        Raises `JobNotFound`, `JobFinished`.
        """
        job = await self.store.change(id, self._off)
        if job is None:
            raise JobNotFound(f"There is no job {id[:64]!r}; GET /jobs lists those there are.")
        kind = self.types.find(job.type)
        if job.state.finished and kind is not None:
            await kind.finished(job)
        return job

    def _off(self, job: Job) -> Job:
        if job.state.finished:
            raise JobFinished(f"The job has {_ENDINGS[job.state]}; nothing is left to cancel.")
        if job.state is JobState.QUEUED:
            return replace(job, cancelling=True).cancelled(self._clock.now())
        return replace(job, cancelling=True)

    async def _ring(self, id: str) -> None:
        try:
            await self._queue.ring(id)
        except AeroliteError as error:
            # It stands in the storage: a reconciler will ring for it.
            log.warning("a ring was lost", extra={"fields": {"job": id, "cause": error.detail}})


_ENDINGS = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "been cancelled",
}
