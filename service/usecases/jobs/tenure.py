"""A tenure: while a worker has a job it keeps the lease, hears of its end, and writes the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum, auto
from time import monotonic
from typing import Any

from service.domain.errors import AeroliteError
from service.domain.jobs import Job, JobState
from service.ports.clock import Clock
from service.ports.storage import Document
from service.usecases.jobs.kinds import Attempt, LeaseLost
from service.usecases.jobs.store import JobStore
from service.usecases.jobs.turns import Turns

MAX_BEAT_S = 1.0
"""How soon at the latest progress is stored, and a cancellation heard of."""

_SETTLE_RETRY_S = 0.1


class End(Enum):
    """Why a tenure ends before the work does."""

    CANCELLED = auto()
    LATE = auto()
    LOST = auto()


class Tenure:
    """A job that was begun; `since` is the monotonic time before its lease was written."""

    def __init__(
        self, store: JobStore, turns: Turns, clock: Clock, lease_s: float, job: Job, since: float
    ) -> None:
        self._store = store
        self._turns = turns
        self._clock = clock
        self._lease_s = lease_s
        self._confirmed = since
        self.job = job
        self.turn: Document | None = None
        self.end: End | None = None
        self.attempt = Attempt(job, self.confirm)

    async def keep(self, work: asyncio.Future[Any]) -> None:
        """Beat until the work is to end, then cancel it."""
        while self.end is None:
            await asyncio.sleep(min(MAX_BEAT_S, self._lease_s / 5))
            try:
                await self._beat()
            except AeroliteError:
                # A store that is away for a moment is no reason to give up; one that is away for longer
                # than the lease is, because then another worker has the job.
                if self._held_s >= self._lease_s:
                    self.end = End.LOST
        work.cancel()

    async def confirm(self) -> None:
        """Return if the job is still ours. Raises `LeaseLost`, `StoreError`."""
        if self.end is None and self._held_s >= self._lease_s / 3:
            await self._beat()
        if self.end is not None:
            raise LeaseLost

    async def settle(self, step: Callable[[Job, datetime], Job]) -> Job | None:
        """Write the outcome; None where the job is no longer ours to write."""
        while self._held_s < self._lease_s:
            try:
                saved = await self._store.save(step(self.job, self._clock.now()))
                if saved is not None:
                    return saved
                if not await self._look():
                    return None
            except AeroliteError:
                await asyncio.sleep(_SETTLE_RETRY_S)
        return None

    @property
    def _held_s(self) -> float:
        """The time since the lease was last known to be ours."""
        return monotonic() - self._confirmed

    async def _beat(self) -> None:
        started = monotonic()
        if not await self._look():
            self.end = End.LOST
        elif self.job.cancelling:
            self.end = End.CANCELLED
        elif self.job.deadline <= self._clock.now():
            self.end = End.LATE
        elif self.attempt.done != self.job.progress or self._held_s >= self._lease_s / 3:
            lease = timedelta(seconds=self._lease_s)
            now = self._clock.now()
            saved = await self._store.save(self.job.beat(self.attempt.done, now, lease))
            if saved is not None:
                self.job, self._confirmed = saved, started
                await self._renew_turn(now + lease)

    async def _renew_turn(self, expires: datetime) -> None:
        if self.turn is not None:
            self.turn = await self._turns.renew(self.turn, expires)
            if self.turn is None:
                self.end = End.LOST

    async def _look(self) -> bool:
        """Read the record again; return whether the job is still ours."""
        job = await self._store.find(self.job.id)
        if job is None or job.state is not JobState.RUNNING or job.attempt != self.job.attempt:
            return False
        self.job = job
        return True
