"""What is opened is closed, also where the next step fails or nobody waits for it any more."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path, PosixPath
from typing import IO, Any, cast

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from service.adapters.clock import SystemClock
from service.adapters.memory import MemoryStorage
from service.adapters.queue.in_process import InProcessQueue
from service.domain.errors import StoreError
from service.http.lifecycle import Lifecycle
from service.http.server import Listening, Server
from service.ports.spool import Spool, Upload
from service.ports.storage import NO_GUARD
from service.usecases.batches import threaded
from service.usecases.jobs.blobs import Blobs
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.kinds import JobTypes
from service.usecases.jobs.load import LoadJob, LoadOrders, Verb
from service.usecases.jobs.running import Runner
from service.usecases.jobs.store import JobStore
from service.usecases.jobs.turns import Turns
from service.usecases.loading import Limits, Loading, LoadOptions, Source
from service.usecases.views import Views
from service.worker.metrics import JobMetrics
from service.worker.reconciler import Reconciler
from service.worker.worker import Worker
from tests.descriptors import opened
from tests.waiting import until


async def test_a_server_without_an_application_leaves_its_port() -> None:
    """Where a setting turns out to be wrong the socket is closed that was bound before."""

    def wrong() -> web.Application:
        raise StoreError("DATABASE_URL is no URL of PostgreSQL.")

    server = Server(wrong, Lifecycle(), Listening("127.0.0.1", 0, header_timeout_s=1.0, drain_s=0.0))
    gc.collect()
    before = opened()
    with pytest.raises(StoreError) as raised:  # which holds what was under way, the socket included
        await server.run()
    assert opened() <= before, raised


class SlowPath(PosixPath):
    """A file that takes its time to be opened."""

    begun, go_on = threading.Event(), threading.Event()

    def open(self, *args: Any, **options: Any) -> IO[Any]:
        """Open it, and say so later."""
        file = super().open(*args, **options)
        self.begun.set()
        self.go_on.wait()
        return cast("IO[Any]", file)


class Spooled:
    """Has the upload."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def receive(
        self, chunks: AsyncIterator[bytes], *, content_encoding: str | None, max_bytes: int
    ) -> AsyncIterator[Upload]:
        """Give it."""
        yield Upload(self._path, 3, "digest", 3)


async def body() -> AsyncIterator[bytes]:
    """Yield what was sent."""
    yield b"a\n1"


async def test_an_upload_that_is_given_up_while_it_is_opened_is_closed(tmp_path: Path) -> None:
    """The thread that opens it for the job closes it, too, and leaves that to no collector."""
    (tmp_path / "upload").write_bytes(b"a\n1")
    path = SlowPath(tmp_path / "upload")
    clock = SystemClock()
    async with MemoryStorage(clock=clock) as storage:
        documents = storage.documents
        blobs = Blobs(documents)
        spool: Spool = Spooled(path)
        loading = Loading(storage.datasets, spool, Limits(), Views())
        kind = LoadJob(loading, blobs, clock)
        desk = Desk(JobStore(documents, clock), JobTypes([kind]), InProcessQueue(), clock)
        orders = LoadOrders(desk, kind, spool, blobs, documents, clock, 1 << 20)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            post = orders.post(Verb.REPLACE, "d", Source(body()), LoadOptions(), NO_GUARD)
            posting = asyncio.create_task(post)
            await until(path.begun.is_set)
            posting.cancel()
            await asyncio.wait({posting})
            path.go_on.set()
            await until(lambda: str(path) not in opened())
        assert [str(each.message) for each in warned] == []


class Postponing(Runner):
    """Runs nothing, and wants every job rung for in an hour."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def run(self, id: str) -> float | None:
        """Wait."""
        self.begun.set()
        await self.go_on.wait()
        return 3600.0


async def test_a_worker_that_was_left_rings_for_nobody() -> None:
    """What a job wants that ends while the worker drains is left to others: no timer holds on to it."""
    clock, queue, metrics = SystemClock(), InProcessQueue(), JobMetrics(CollectorRegistry())
    async with MemoryStorage(clock=clock) as storage:
        store = JobStore(storage.documents, clock)
        runner = Postponing(
            store, JobTypes([]), Turns(storage.documents), clock, metrics, owner="w", lease_s=60.0
        )
        worker = Worker(queue, runner, Reconciler(store, queue, clock), metrics, concurrency=1, lease_s=60.0)
        held = weakref.ref(worker)
        await queue.ring("a")
        async with worker:
            await runner.begun.wait()
            asyncio.get_running_loop().call_soon(runner.go_on.set)
        del worker
        gc.collect()
        assert held() is None


async def test_batches_are_closed_only_when_their_thread_has_ended() -> None:
    """Also where all tasks are cancelled at once, as at the end of a loop."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            begun.set()
            go_on.wait()
            yield 1
        finally:
            ended.set()

    async def read() -> None:
        async with aclosing(threaded(items())) as batches:
            async for _ in batches:
                pytest.fail("nobody waits for it any more")

    before = asyncio.all_tasks()
    reading = asyncio.create_task(read())
    await until(begun.is_set)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    for _ in range(10):  # turns of the loop, while the thread is at work
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended.is_set()
