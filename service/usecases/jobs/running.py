"""Running a job: take it, do the work while the lease is kept, and write down what came of it."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Protocol

from service.domain.errors import AeroliteError, Busy, StoreError
from service.domain.jobs import MAX_ATTEMPTS, Job, delay_s
from service.ports.clock import Clock
from service.ports.storage import Document
from service.usecases.jobs.kinds import JobType, JobTypes, LeaseLost
from service.usecases.jobs.store import JobStore
from service.usecases.jobs.tenure import End, Tenure
from service.usecases.jobs.turns import Turns

log = logging.getLogger("aerolite.jobs")

TURN_S = 0.25
"""How long a job waits before it asks again for the turn that another one has."""


class Watch(Protocol):
    """Told what is run, for metrics."""

    def began(self, type: str) -> None:
        """Note the beginning of an attempt."""
        ...

    def ended(self, type: str, outcome: str, seconds: float) -> None:
        """Note its end: a state, or `retried`, `released`, `lost`."""
        ...


class Runner:
    """Runs jobs for one worker, whose name is `owner`."""

    def __init__(
        self,
        store: JobStore,
        types: JobTypes,
        turns: Turns,
        clock: Clock,
        watch: Watch,
        *,
        owner: str,
        lease_s: float,
    ) -> None:
        self._store = store
        self._types = types
        self._turns = turns
        self._clock = clock
        self._watch = watch
        self._owner = owner
        self._lease_s = lease_s

    async def run(self, id: str) -> float | None:
        """Run a job if it is there to be run; return after how many seconds to look again, if at all.

        Raises `StoreError` where it could not be taken. Cancelled, it puts the job back.
        """
        job = await self._store.find(id)
        now = self._clock.now()
        if job is None or job.state.finished or job.leased(now):
            return None
        kind = self._types.find(job.type)
        ended = _ended(job, now)
        if ended is not None:
            await self._close(ended, kind)
        elif job.due > now:
            return (job.due - now).total_seconds()
        elif kind is not None:  # else a worker of the release that knows the type will come by
            return await self._take(kind, job)
        return None

    async def _close(self, ended: Job, kind: JobType | None) -> None:
        """Write the end of a job that nobody runs."""
        saved = await self._store.save(ended)
        if saved is not None and kind is not None:
            await _cleared(kind, saved)

    async def _take(self, kind: JobType, job: Job) -> float | None:
        since, now = monotonic(), self._clock.now()
        lease = timedelta(seconds=self._lease_s)
        turn: Document | None = None
        if job.exclusive is not None:
            turn = await self._turns.take(job, now + lease)
            if turn is None:
                return TURN_S
        begun = await self._store.save(job.begun(self._owner, now, lease))
        if begun is None:
            return None  # another worker was quicker, and has the turn, too
        tenure = Tenure(self._store, self._turns, self._clock, self._lease_s, begun, since)
        if turn is not None:
            tenure.turn = await self._turns.renew(turn, now + lease)
            if tenure.turn is None:  # an attempt that was taken for dead has renewed it
                await tenure.settle(lambda job, now: job.again(now))
                return TURN_S
        self._watch.began(kind.name)
        outcome, again_in_s = "lost", None
        try:
            outcome, again_in_s = await self._work(kind, tenure)
        except asyncio.CancelledError:
            outcome = "released"
            raise
        finally:
            self._watch.ended(kind.name, outcome, monotonic() - since)
        return again_in_s

    async def _work(self, kind: JobType, tenure: Tenure) -> tuple[str, float | None]:
        """Return what came of it, and after how many seconds to look again."""
        work = asyncio.ensure_future(kind.run(tenure.attempt))
        keeper = asyncio.create_task(tenure.keep(work))
        try:
            await asyncio.wait({work})
            outcome = await self._settle(kind, tenure, work)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            await tenure.settle(lambda job, now: job.again(now))
            raise
        finally:
            keeper.cancel()
            await self._pass_on(tenure)
        return outcome

    async def _settle(
        self, kind: JobType, tenure: Tenure, work: asyncio.Future[dict[str, Any] | None]
    ) -> tuple[str, float | None]:
        job = tenure.job
        error = None if work.cancelled() else work.exception()
        if work.cancelled() or isinstance(error, LeaseLost):
            if tenure.end is End.CANCELLED:
                saved = await tenure.settle(lambda job, now: job.cancelled(now))
            elif tenure.end is End.LATE:
                saved = await tenure.settle(lambda job, now: job.failed(_LATE, now))
            else:
                return "lost", None
        elif error is None:
            result = work.result()
            saved = await tenure.settle(lambda job, now: job.succeeded(result, now))
        elif _may_pass(error, job.id) and job.attempt < MAX_ATTEMPTS:
            wait_s = delay_s(job.attempt)
            told, wait = described(error, job.id), timedelta(seconds=wait_s)
            await tenure.settle(lambda job, now: job.again(now + wait, told))
            return "retried", wait_s
        else:
            told = described(error, job.id)
            saved = await tenure.settle(lambda job, now: job.failed(told, now))
        if saved is None:
            return "lost", None
        await _cleared(kind, saved)
        return saved.state.value, None

    async def _pass_on(self, tenure: Tenure) -> None:
        if tenure.turn is None:
            return
        try:
            await self._turns.pass_on(tenure.turn)
        except AeroliteError as error:  # it ends by itself
            log.warning("a turn was not passed on", extra={"fields": {"cause": error.detail}})


def _ended(job: Job, now: datetime) -> Job | None:
    """Return the end of a job that is not to be begun any more, or None."""
    if job.cancelling:
        return job.cancelled(now)
    if job.deadline <= now:
        return job.failed(_LATE, now)
    if job.attempt >= MAX_ATTEMPTS:
        return job.failed(job.error or _GIVEN_UP, now)
    return None


async def _cleared(kind: JobType, job: Job) -> None:
    try:
        await kind.finished(job)
    except AeroliteError as error:  # what is left expires
        log.warning("a job left something behind", extra={"fields": {"job": job.id, "cause": error.detail}})


def _may_pass(error: BaseException, id: str) -> bool:
    """Return whether another attempt may do better."""
    if isinstance(error, AeroliteError):
        return isinstance(error, StoreError | Busy)
    log.error("unexpected", exc_info=error, extra={"fields": {"job": id}})
    return True


def described(error: BaseException, id: str) -> dict[str, Any]:
    """Return an error as a job's record tells it."""
    if not isinstance(error, AeroliteError):
        error = AeroliteError(f"The service made a mistake; its log tells more under {id}.")
    told: dict[str, Any] = {"type": error.slug, "title": error.title, "detail": error.detail}
    places = {"pointer": error.pointer, "line": error.line}
    return {**told, **{name: value for name, value in places.items() if value is not None}, **error.members}


_LATE = {"type": "job-late", "title": "The job was not done in time", "detail": "Its time limit was over."}
_GIVEN_UP = {
    "type": "job-given-up",
    "title": "The job was given up",
    "detail": f"Its worker ended in the middle of it {MAX_ATTEMPTS} times.",
}
