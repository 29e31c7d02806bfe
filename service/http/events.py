"""`/jobs/{id}/events`: what becomes of a job, as server-sent events.

An event's id is the version of the job's record, which every replica reads in the same storage; so a client
that comes back with `Last-Event-ID`, wherever it lands, goes on from there.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import msgspec

from service.contracts.job_operations import EVENT_STREAM
from service.contracts.messages import Reply
from service.domain.errors import Busy
from service.domain.jobs import Job
from service.http.answers import Answer, Ask
from service.http.jobs import described
from service.http.lifecycle import Lifecycle
from service.usecases.jobs.desk import Desk

MAX_STREAMS = 256
LEAST_POLL_S = 0.1
MOST_POLL_S = 1.0
SILENCE_S = 15.0
"""After so long without an event a comment is sent, so that nobody on the way takes the stream for dead."""

# No buffering by an nginx on the way; nothing is to be kept.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventsResource:
    """Events of jobs."""

    def __init__(self, desk: Desk, lifecycle: Lifecycle) -> None:
        self._desk = desk
        self._lifecycle = lifecycle
        self._streams = 0

    async def read(self, ask: Ask) -> Answer:
        """Stream a job's states until it has finished.

        204 to a client that has seen the last one, which tells it not to come again.
        """
        job = await self._desk.store.get(ask.path("id"))
        seen = _last_seen(ask.request.headers.get("Last-Event-ID", ""))
        if job.state.finished and seen >= job.version:
            return Answer(Reply(204))
        if self._streams >= MAX_STREAMS:
            raise Busy(f"{MAX_STREAMS} streams of events are open here; poll /jobs/{job.id}, or try again.")
        return Answer(Reply(200, headers=_HEADERS), chunks=self._events(job, seen), media_type=EVENT_STREAM)

    async def _events(self, job: Job | None, seen: int) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield b"retry: 1000\n\n"
            poll_s, spoke, told = LEAST_POLL_S, monotonic(), b""
            while job is not None:
                data = msgspec.json.encode(described(job, self._desk.types))
                # Beats of the lease change the version and nothing that can be seen.
                if job.version > seen and data != told:
                    yield b"id: %d\ndata: %s\n\n" % (job.version, data)
                    poll_s, spoke, told, seen = LEAST_POLL_S, monotonic(), data, job.version
                elif monotonic() - spoke > SILENCE_S:
                    yield b": still there\n\n"
                    spoke = monotonic()
                if job.state.finished or self._lifecycle.draining:
                    return
                await asyncio.sleep(poll_s)
                poll_s = min(1.5 * poll_s, MOST_POLL_S)
                job = await self._desk.store.find(job.id)
        finally:
            self._streams -= 1


def _last_seen(header: str) -> int:
    """Return the version that a client has seen; what is no id of ours is none."""
    return int(header) if header.isascii() and header.isdigit() and len(header) <= 18 else 0
