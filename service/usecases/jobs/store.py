"""The records of jobs: documents of the kind `job`, labelled with their state, sorted by time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from service.domain.errors import JobNotFound
from service.domain.jobs import KEPT, Job, JobState
from service.ports.clock import Clock
from service.ports.storage import Document, Documents

JOBS = "job"
MAX_LOOKED_AT = 1000
"""So many records are looked at for one page of a list that is filtered."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listing:
    """Some jobs, the newest first, and the id behind which the list goes on (None: it has ended).

    It may be shorter than was asked for, even empty, and still go on.
    """

    jobs: Sequence[Job]
    after: str | None


class JobStore:
    """Keeps jobs; each change of one is a compare-and-set of its record."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def create(self, job: Job) -> Job | None:
        """Store a new job: return it, or None where its id is taken."""
        document = await self._documents.create(JOBS, job.id, _body(job), tag=job.state)
        return None if document is None else _job(document)

    async def find(self, id: str) -> Job | None:
        """Return a job, or None."""
        document = await self._documents.get(JOBS, id) if _ID.fullmatch(id) else None
        return None if document is None else _job(document)

    async def get(self, id: str) -> Job:
        """Return a job. Raises `JobNotFound`."""
        job = await self.find(id)
        if job is None:
            raise JobNotFound(f"There is no job {id[:64]!r}; GET /jobs lists those there are.")
        return job

    async def save(self, job: Job) -> Job | None:
        """Store the next step of a job: return it, or None where somebody else was quicker."""
        expires = self._clock.now() + KEPT if job.state.finished else None
        document = await self._documents.update(
            JOBS, job.id, _body(job), version=job.version, tag=job.state, expires=expires
        )
        return None if document is None else replace(job, version=document.version)

    async def list(
        self, *, state: JobState | None = None, type: str | None = None, after: str = "", limit: int = 100
    ) -> Listing:
        """Return jobs, the newest first, from behind an id."""
        looked_at = 0
        found: list[Job] = []
        while looked_at < MAX_LOOKED_AT:
            wanted = limit + 1 if type is None else MAX_LOOKED_AT
            page = await self._documents.list(JOBS, tag=state, after=after, limit=wanted, newest_first=True)
            for document in page:
                if len(found) == limit:
                    return Listing(found, after)
                after = document.id
                job = _job(document)
                if type in {None, job.type}:
                    found.append(job)
            if len(page) < wanted:
                return Listing(found, None)
            looked_at += len(page)
        return Listing(found, after)

    async def in_state(self, state: JobState, after: str, limit: int) -> Sequence[Job]:
        """Return jobs in a state, the oldest first, from behind an id."""
        return [_job(each) for each in await self._documents.list(JOBS, tag=state, after=after, limit=limit)]

    async def change(self, id: str, step: Callable[[Job], Job | None]) -> Job | None:
        """Take a step from wherever a job stands; None where the step is None or the job is gone."""
        while (job := await self.find(id)) is not None:
            following = step(job)
            if following is None:
                return None
            if (saved := await self.save(following)) is not None:
                return saved
        return None


def _body(job: Job) -> dict[str, object]:
    body: dict[str, object] = msgspec.to_builtins(job)
    del body["id"], body["version"]
    return body


def _job(document: Document) -> Job:
    return msgspec.convert({**document.body, "id": document.id, "version": document.version}, Job)
