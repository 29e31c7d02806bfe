"""A job: work that outlives the request that asked for it, and the steps that it can take.

    queued -> running -> succeeded | failed | cancelled
       ^         |
       +---------+   another attempt: after a failure that may pass, a drain, or a lease that ended

A job is a value: each step returns the next one, and whoever stores it by compare-and-set has taken the step.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

MAX_ATTEMPTS = 10
"""A job that ended its worker so often will not do better next time."""

MAX_DELAY_S = 60.0
KEPT = timedelta(days=7)
"""How long a finished job can be asked for."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class Lease:
    """Who runs a job, and until when it must be heard of again."""

    owner: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is stored.

    `due`: not to be begun before. `deadline`: to be ended by then. `exclusive`: of all jobs with this key one
    runs at a time. `day`: that whose columns the client
    sees. `attempt` counts the beginnings; with `lease` it is the fencing token. `cancelling`: a
    client wants its end. `version` is that of the stored record.
    """

    id: str
    type: str
    params: dict[str, Any]
    created: datetime
    due: datetime
    deadline: datetime
    exclusive: str | None = None
    day: date | None = None
    state: JobState = JobState.QUEUED
    attempt: int = 0
    progress: float = 0.0
    cancelling: bool = False
    lease: Lease | None = None
    started: datetime | None = None
    finished: datetime | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = field(default=None)
    version: int = 0

    def leased(self, now: datetime) -> bool:
        """Return whether a worker has it that is to be taken for alive."""
        return self.lease is not None and self.lease.expires > now

    def begun(self, owner: str, now: datetime, lease: timedelta) -> Job:
        """Return it in the hands of a worker."""
        return replace(
            self,
            state=JobState.RUNNING,
            attempt=self.attempt + 1,
            progress=0.0,
            lease=Lease(owner, now + lease),
            started=self.started or now,
        )

    def beat(self, progress: float, now: datetime, lease: timedelta) -> Job:
        """Return it with a lease that goes on."""
        assert self.lease is not None  # noqa: S101 - who beats has begun
        return replace(self, progress=progress, lease=Lease(self.lease.owner, now + lease))

    def succeeded(self, result: dict[str, Any] | None, now: datetime) -> Job:
        """Return it done."""
        return replace(self._ended(JobState.SUCCEEDED, now), progress=1.0, result=result, error=None)

    def failed(self, error: dict[str, Any], now: datetime) -> Job:
        """Return it given up."""
        return replace(self._ended(JobState.FAILED, now), error=error)

    def cancelled(self, now: datetime) -> Job:
        """Return it called off."""
        return self._ended(JobState.CANCELLED, now)

    def again(self, due: datetime, error: dict[str, Any] | None = None) -> Job:
        """Return it queued for another attempt."""
        return replace(self, state=JobState.QUEUED, lease=None, due=due, error=error or self.error)

    def _ended(self, state: JobState, now: datetime) -> Job:
        return replace(self, state=state, lease=None, finished=now)


def delay_s(attempt: int) -> float:
    """Return how long to wait after a failed attempt: 1 s, 2 s, 4 s, … at most a minute."""
    return min(2.0 ** (attempt - 1), MAX_DELAY_S)


def new_id(now: datetime) -> str:
    """Return an id that sorts by time: a UUID of version 7 (RFC 9562, section 5.7, method 3)."""
    since = now.timestamp()
    milliseconds = int(since * 1000)
    fraction = int((since * 1000 - milliseconds) * 4096)
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=number))
