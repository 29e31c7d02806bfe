"""Rows about jobs: 2,000 small ones beside SAQ with an empty task; the hot page beside a large number."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import psutil
from saq import Queue

from benchmarks.client import measure
from benchmarks.processes import aerolite
from benchmarks.saq_peer import CONCURRENCY
from benchmarks.serving import CLIENTS, NEWEST, fetch
from benchmarks.table import Row
from containers import build_container
from service.domain.jobs import JobState
from service.settings import Settings
from tests.servers.redis import RedisServer, durable_redis

JOBS = 2_000
WORKERS = 2
POSTERS = 20
ROUNDS = 3
LARGE_INDEX = 1_000_000
PAGES = 8_000
LOOK_S = 0.05
BESIDE_ROUNDS = 5


async def throughput() -> list[Row]:
    """Measure from the first post to the last end; both workers are there before."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        with durable_redis() as server:
            ours.append(await _ours(server))
        with durable_redis() as server:
            theirs.append(await _theirs(server))
    mine, best = (statistics.median(seconds for seconds, _ in each) for each in (ours, theirs))
    my_cpu, best_cpu = (statistics.median(cpu_us for _, cpu_us in each) for each in (ours, theirs))
    return [
        Row(f"{JOBS:,} small jobs, {WORKERS} workers, Redis, beside SAQ with an empty task",
            f"{JOBS / mine:.0f}/s", f"{JOBS / best:.0f}/s", mine / best, 1 / 0.6),
        Row("the same, CPU of client, workers and Redis for each job",
            f"{my_cpu:,.0f} us", f"{best_cpu:,.0f} us", my_cpu / best_cpu, inf),
    ]  # fmt: skip


Cost = tuple[float, float]
"""Seconds for all jobs, and microseconds of CPU for each."""


async def _ours(server: RedisServer) -> Cost:
    url = server.url
    container = build_container(Settings.from_env({"STORAGE_URL": url}))
    command = ("service", "worker", "--concurrency", str(CONCURRENCY))
    async with AsyncExitStack() as stack:
        for part in (container.storage(), container.seen(), container.queue()):
            await stack.enter_async_context(part)
        await container.storage().ping()
        workers = stack.enter_context(_workers(*command, STORAGE_URL=url))
        desk, kind, store = container.desk(), container.fibonacci_job(), container.job_store()
        started, before = perf_counter(), _cpu_s(server, workers)
        await _post(lambda number: desk.post(kind, {"index": number}))
        while await store.in_state(JobState.QUEUED, "", 1) or await store.in_state(JobState.RUNNING, "", 1):
            await asyncio.sleep(0.01)
        return perf_counter() - started, (_cpu_s(server, workers) - before) / JOBS * 1e6


async def _theirs(server: RedisServer) -> Cost:
    queue = Queue.from_url(server.url)
    await queue.connect()
    try:
        with _workers("benchmarks.saq_peer", server.url) as workers:
            started, before = perf_counter(), _cpu_s(server, workers)
            await _post(lambda _: queue.enqueue("nothing"))
            while await queue.count("incomplete"):
                await asyncio.sleep(0.01)
            return perf_counter() - started, (_cpu_s(server, workers) - before) / JOBS * 1e6
    finally:
        await queue.disconnect()


async def _post(post: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(JOBS))

    async def poster() -> None:
        for number in numbers:
            await post(number)

    await asyncio.gather(*(poster() for _ in range(POSTERS)))


def _cpu_s(server: RedisServer, workers: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in (psutil.Process(), psutil.Process(server.pid), *workers)]
    return sum(each.user + each.system for each in times)


@contextmanager
def _workers(*command: str, **settings: str) -> Iterator[list[psutil.Process]]:
    """Run the workers, and wait until each says that it works."""
    workers = []
    with ExitStack() as stack:
        for _ in range(WORKERS):
            log = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env={**os.environ, **settings}, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            _until_working(log.fileno(), process)
            workers.append(psutil.Process(process.pid))
        yield workers


def _until_working(log: int, process: subprocess.Popen[bytes]) -> None:
    while b"working" not in os.pread(log, 1 << 16, 0):
        if process.poll() is not None:
            raise RuntimeError(os.pread(log, 1 << 16, 0).decode())


async def beside_a_page() -> list[Row]:
    """Measure the 99th percentile of the hot page while the worker in the same process computes on and on."""
    with tempfile.TemporaryDirectory() as name, aerolite(Path(name)) as service:
        fetch(f"{service.url}/data", "POST")
        url = f"{service.url}/data"

        async def p99_ms() -> float:
            # At a rate below what the process can do: at its limit every page waits for every other one.
            found = await measure(url, service.process, headers=NEWEST, clients=CLIENTS // 8, requests=PAGES)
            return found.p99_ms

        async def beside(other: Coroutine[Any, Any, None]) -> float:
            task = asyncio.create_task(other)
            found = await p99_ms()
            task.cancel()
            await asyncio.wait({task})
            return found

        quiet, busy = [], []
        for _ in range(BESIDE_ROUNDS):
            # Who asks how far a job is asks in both cases: it is the computing that is measured.
            quiet.append(await beside(_ask(service.url)))
            busy.append(await beside(_compute(service.url)))
    alone, beside = statistics.median(quiet), statistics.median(busy)
    return [
        Row("hot page, p99, while `serve` computes F(1,000,000)", f"{beside:.2f} ms", f"{alone:.2f} ms",
            beside / alone, 2.0)
    ]  # fmt: skip


async def _compute(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            await _job(session, url, LARGE_INDEX)


async def _ask(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        job = await _job(session, url, 1)
        while True:
            await _look(session, url, job)


async def _job(session: aiohttp.ClientSession, url: str, index: int) -> dict[str, Any]:
    async with session.post(f"{url}/fibonacci", json={"index": index}) as answer:
        job: dict[str, Any] = await answer.json()
    while job["finished"] is None:
        job = await _look(session, url, job)
    return job


async def _look(session: aiohttp.ClientSession, url: str, job: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(LOOK_S)
    async with session.get(f"{url}/jobs/{job['id']}") as answer:
        found: dict[str, Any] = await answer.json()
    return found
