"""Stores that go away while jobs run, and files that are gone when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from service.adapters.seen import PostgresSeen
from service.domain.errors import AeroliteError, JobResultGone
from service.domain.jobs import JobState
from service.usecases.jobs.blobs import PIECE_BYTES, Blobs
from service.usecases.jobs.kinds import Attempt
from service.worker.process import WorkerProcess
from tests.contract.backends.base import ProcessBackend, ServerBackend
from tests.waiting import patience

from .stage import LEASE_S, Scripted, Stage, until


async def test_a_worker_outlives_its_store(stage: Stage, backend: ProcessBackend) -> None:
    """A store that is killed while a job runs comes back, and the job ends as if nothing had been."""
    if not isinstance(backend, ServerBackend):
        return
    release = asyncio.Event()

    async def work(attempt: Attempt) -> dict[str, Any]:
        await release.wait()
        return {"n": 1}

    kind = Scripted("long", work)
    async with stage.worker(kind, lease_s=600):
        job = await stage.desk(kind).post(kind, {})
        await stage.state(job, "running")
        await backend.kill()
        release.set()
        await backend.start()

        async def succeeded() -> bool:
            try:
                return (await stage.store.get(job.id)).state is JobState.SUCCEEDED
            except AeroliteError:
                return False

        await until(succeeded)


async def test_a_worker_gives_up_a_job_that_it_cannot_keep(stage: Stage, backend: ProcessBackend) -> None:
    """Cut off from its store for longer than the lease, a worker ends the work: somebody else has it."""
    if not isinstance(backend, ServerBackend):
        return
    ended = asyncio.Event()

    async def work(attempt: Attempt) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    kind = Scripted("long", work)
    job = await stage.desk(kind).post(kind, {})
    running = asyncio.create_task(stage.runner(kind, lease_s=0.5).run(job.id))
    await stage.state(job, "running")
    await backend.kill()
    async with patience():
        await ended.wait()
        assert await running is None
    await backend.start()


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_seen_indexes_are_kept_in_postgresql(backend: ProcessBackend) -> None:
    """An index is noted once, and all are listed ascending, by any process."""
    async with PostgresSeen(backend.address) as seen, PostgresSeen(backend.address) as other:
        await asyncio.gather(*(one.add(index) for one in (seen, other) for index in (9, 1, 1_000_000, 9)))
        assert [index async for some in other.all() for index in some] == [1, 9, 1_000_000]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_file_that_has_expired_is_gone(stage: Stage) -> None:
    """A blob is read whole until it expires or is removed, and never in part."""
    content = bytes(range(256)) * (PIECE_BYTES // 100)

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    blobs = Blobs(stage.storage.documents)
    blob = await blobs.store("b", chunks(), stage.clock.now() + timedelta(seconds=LEASE_S))
    assert blob.pieces > 1
    assert b"".join([chunk async for chunk in blobs.read(blob)]) == content
    stage.clock.move(seconds=LEASE_S)
    with pytest.raises(JobResultGone):
        await anext(aiter(blobs.read(blob)))


async def test_a_worker_process_enters_its_parts_and_leaves_them() -> None:
    """It runs until it is told to stop."""
    process = WorkerProcess([nullcontext()], nullcontext())
    running = asyncio.create_task(process.run())
    await asyncio.sleep(0)
    process.stop()
    async with patience():
        await running
