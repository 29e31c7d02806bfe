"""Turns: of all jobs with the same exclusive key one runs at a time."""

from __future__ import annotations

from datetime import datetime

from service.domain.jobs import Job
from service.ports.storage import Document, Documents

TURNS = "job-turn"


class Turns:
    """Gives out turns; one that is not renewed ends by itself, as a lease does."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def take(self, job: Job, expires: datetime) -> Document | None:
        """Return the turn of a job's key, or None where another job has it.

        Of two workers who want the same job both may get it: whoever begins the job renews it.
        """
        key = job.exclusive or ""
        body = {"job": job.id}
        taken = await self._documents.create(TURNS, key, body, expires=expires)
        if taken is not None:
            return taken
        holder = await self._documents.get(TURNS, key)
        return holder if holder is not None and holder.body == body else None

    async def renew(self, turn: Document, expires: datetime) -> Document | None:
        """Return a turn that goes on, or None where it was lost."""
        return await self._documents.update(TURNS, turn.id, turn.body, version=turn.version, expires=expires)

    async def pass_on(self, turn: Document) -> None:
        """Let another job have it."""
        await self._documents.remove(TURNS, turn.id, version=turn.version)
