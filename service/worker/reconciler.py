"""The reconciler: rings again for each unfinished job that nobody has a live lease on."""

from __future__ import annotations

from service.domain.jobs import Job, JobState
from service.ports.clock import Clock
from service.ports.queue import Queue
from service.usecases.jobs.store import JobStore

LOOKED_AT = 1000


class Reconciler:
    """Looks through the unfinished jobs in turns of 1,000, so that a turn costs the same in any backlog.

    Where it is killed in the middle nothing is lost: it has only rung, and a ring is no more than a hint.
    """

    def __init__(self, store: JobStore, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._after = {JobState.QUEUED: "", JobState.RUNNING: ""}

    async def sweep(self) -> int:
        """Ring for the jobs of the next turn that are to be run; return how many. Raises `StoreError`."""
        rung = 0
        for state in self._after:
            jobs = await self._store.in_state(state, self._after[state], LOOKED_AT)
            self._after[state] = jobs[-1].id if len(jobs) == LOOKED_AT else ""
            waiting = [job.id for job in jobs if self._waits(job)]
            if waiting:
                await self._queue.ring(*waiting)
                rung += len(waiting)
        return rung

    def _waits(self, job: Job) -> bool:
        now = self._clock.now()
        return not job.leased(now) and (job.due <= now or job.cancelling)
