"""Rows about serving: the hot page, contracts, streams, memory, start-up."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.client import Sample, measure, read_all
from benchmarks.files import sample_csv
from benchmarks.processes import Running, aerolite, bare
from benchmarks.table import Row

NEWEST = {"API-Version": "2026-11-20"}
CLIENTS = 16
REQUESTS = 16_000
ROUNDS = 5
MILLION = 1_000_000

Measuring = Callable[[], Awaitable[Sample]]


def fetch(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """Return the body of an answer."""
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=body)
    with urllib.request.urlopen(request, timeout=600) as answer:
        read: bytes = answer.read()
    return read


async def hot_page() -> list[Row]:
    """Measure the hot page of 100 records beside bare aiohttp, and the first contract beside the newest."""
    with tempfile.TemporaryDirectory() as name, aerolite(Path(name)) as service:
        fetch(f"{service.url}/data", "POST")
        page = fetch(f"{service.url}/data", headers=NEWEST)
        with bare(page) as ceiling:
            ours, theirs = await alternate(
                lambda: measure(
                    f"{service.url}/data", service.process,
                    headers=NEWEST, clients=CLIENTS, requests=REQUESTS,
                ),
                lambda: measure(
                    ceiling.url, ceiling.process, headers={}, clients=CLIENTS, requests=REQUESTS
                ),
            )  # fmt: skip
        first, newest = await alternate(
            lambda: measure(
                f"{service.url}/data?start=200", service.process,
                headers={}, clients=CLIENTS, requests=REQUESTS,
            ),
            lambda: measure(
                f"{service.url}/data?start=200", service.process,
                headers=NEWEST, clients=CLIENTS, requests=REQUESTS,
            ),
        )  # fmt: skip
    return [
        Row("hot page of 100, CPU, beside bare aiohttp on uvloop", cpu(ours), cpu(theirs),
            ratio(ours, theirs), 1.5),
        Row("hot page, first contract beside the newest, CPU", cpu(first), cpu(newest),
            ratio(first, newest), 1.1),
    ]  # fmt: skip


async def stream_of_everything(directory: Path) -> list[Row]:
    """Measure GET of a million records beside a bare stream of the same bytes, and memory beside ten."""
    file = sample_csv(directory, MILLION)
    with aerolite(directory) as service:
        upload(service, "million", file)
        upload(service, "ten", sample_csv(directory, 10))
    few, many = "/datasets/ten/records?limit=all", "/datasets/million/records?limit=all"
    with aerolite(directory) as service:
        least = await peak_memory(service, service.url + few)
        most = await peak_memory(service, service.url + many)
        ours = await stream_cpu(service, service.url + many)
        body = fetch(service.url + many)
    with bare(body) as ceiling:
        theirs = await stream_cpu(ceiling, f"{ceiling.url}stream")
    megabytes, extra = len(body) / 1e6, (most - least) / (1 << 20)
    return [
        Row("GET of 1,000,000 typed records, CPU, beside a bare stream",
            f"{ours / megabytes * 1e3:.2f} ms/MB", f"{theirs / megabytes * 1e3:.2f} ms/MB",
            ours / theirs, float("inf")),
        Row("peak memory of that stream over that of 10 records, MiB beside 64", f"{extra:.0f} MiB",
            "64 MiB", extra / 64, 1.0),
    ]  # fmt: skip


def start_up() -> list[Row]:
    """Measure the CPU from start to ready beside 0.8 s."""
    taken = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name, aerolite(Path(name)) as service:
            times = service.process.cpu_times()
            taken.append(times.user + times.system)
    seconds = statistics.median(taken)
    return [Row("process start to /readyz 200, CPU", f"{seconds:.2f} s", "0.8 s", seconds / 0.8, 1.0)]


def upload(service: Running, name: str, file: Path) -> None:
    """Load a CSV over HTTP."""
    with file.open("rb") as stream:
        request = urllib.request.Request(
            f"{service.url}/datasets/{name}",
            method="PUT",
            data=stream,
            headers={"Content-Type": "text/csv", "Content-Length": str(file.stat().st_size)},
        )
        with urllib.request.urlopen(request, timeout=600):
            pass


async def peak_memory(service: Running, url: str) -> int:
    """Return the most resident bytes of a server while it streams an answer."""
    reading = asyncio.create_task(read_all(url, {}))
    peak = 0
    while not reading.done():
        peak = max(peak, service.process.memory_info().rss)
        await asyncio.sleep(0.01)
    await reading
    return peak


async def stream_cpu(server: Running, url: str) -> float:
    """Return the CPU seconds that a server takes to stream an answer; the median of three."""
    taken = []
    for _ in range(3):
        before = server.process.cpu_times()
        await read_all(url, {})
        after = server.process.cpu_times()
        taken.append(after.user + after.system - before.user - before.system)
    return statistics.median(taken)


async def alternate(one: Measuring, other: Measuring) -> tuple[Sample, Sample]:
    """Measure two things in turn, so that a machine that slows down slows both; return their medians."""
    pairs = [(await one(), await other()) for _ in range(ROUNDS + 1)]
    return median([a for a, _ in pairs[1:]]), median([b for _, b in pairs[1:]])


def median(samples: list[Sample]) -> Sample:
    """Return the medians of samples, figure by figure; the first round was the warm-up."""
    return Sample(
        statistics.median(sample.cpu_us for sample in samples),
        statistics.median(sample.per_second for sample in samples),
        statistics.median(sample.p99_ms for sample in samples),
    )


def cpu(sample: Sample) -> str:
    """Return what a sample cost, for people."""
    return f"{sample.cpu_us:.0f} us, {sample.per_second:.0f}/s"


def ratio(one: Sample, other: Sample) -> float:
    """Return how much more CPU the one takes."""
    return one.cpu_us / other.cpu_us


def wall_seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes by the clock on the wall."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
