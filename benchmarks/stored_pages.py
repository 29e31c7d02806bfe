"""Rows about pages on each store: hot beside SQLite's, cold beside its own read, deep beside the first.

The CPU of a cold page is that of the service and of the store's server together.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from statistics import fmean
from time import process_time

from benchmarks.client import Sample, measure
from benchmarks.files import sample_csv
from benchmarks.loading import ROWS
from benchmarks.own_reads import OWN_READS, Read
from benchmarks.processes import Running, aerolite
from benchmarks.serving import CLIENTS, MILLION, NEWEST, cpu, ratio, upload
from benchmarks.stores import NAMES, Store, store, stores
from benchmarks.table import Row
from service.adapters.clock import SystemClock
from service.adapters.postgres import PostgresStorage
from service.adapters.redis import RedisStorage
from service.adapters.sqlite import SqliteStorage
from service.ports.storage import Storage

ROUNDS = 12
"""Short and many, so that what else the machine does falls on all sides alike."""

PAGE = 100
DEEP = MILLION * 8 // 10
MIDDLE = ROWS // 2 // 256 * 256
"""A page here does not reach into the next of Redis' lists."""


async def hot(directory: Path) -> list[Row]:
    """Measure the hot page on Redis and PostgreSQL beside the same on SQLite, with one client and with 16."""
    rows = []
    with stores(directory) as running, ExitStack() as stack:
        services = {}
        for name, each in running.items():
            services[name] = stack.enter_context(aerolite(_made(directory / name), STORAGE_URL=each.url))
            upload(services[name], "landings", sample_csv(directory, 300))
        for clients, bar in ((1, 2.5), (CLIENTS, 1.5)):
            samples: dict[str, list[Sample]] = {name: [] for name in NAMES}
            for _ in range(ROUNDS + 1):
                for name, service in services.items():
                    samples[name].append(await _pages(service, 0, clients=clients, requests=1_600))
            means = {name: mean(taken[1:]) for name, taken in samples.items()}
            rows += [
                Row(f"hot page on {name}, {clients} client{'s' * (clients > 1)}, CPU, beside SQLite",
                    cpu(means[name]), cpu(means["SQLite"]), ratio(means[name], means["SQLite"]), bar)
                for name in NAMES[1:]
            ]  # fmt: skip
    return rows


async def cold(directory: Path) -> list[Row]:
    """Measure a page that no cache has beside the store's own read of its records."""
    rows = []
    for name in NAMES:
        with (
            store(name, directory) as running,
            aerolite(directory, STORAGE_URL=running.url, CACHE_BYTES="0") as service,
        ):
            upload(service, "landings", sample_csv(directory, ROWS))
            async with AsyncExitStack() as stack:
                read = await OWN_READS[name](running, stack)
                ours, theirs = [], []
                for _ in range(ROUNDS + 1):
                    ours.append(await _with_server(running, service, MIDDLE))
                    theirs.append(await _read(running, read))
        mine, own_us = mean(ours[1:]), fmean(theirs[1:])
        rows.append(
            Row(f"cold page of {PAGE} on {name}, CPU, beside its own read of the records",
                cpu(mine), f"{own_us:.0f} us", mine.cpu_us / own_us, float("inf"))
        )  # fmt: skip
    return rows


async def deep(directory: Path) -> list[Row]:
    """Measure a cold page at 800,000 of 1,000,000, 10 % deleted at random, beside one at 0, on each store."""
    rows = []
    for name in NAMES:
        with store(name, directory, durable=False) as running:
            with aerolite(directory, STORAGE_URL=running.url) as service:
                upload(service, "landings", sample_csv(directory, MILLION))
            await delete_tenth(running, "landings")
            with aerolite(directory, STORAGE_URL=running.url, CACHE_BYTES="0") as service:
                taken: Mapping[int, list[Sample]] = {0: [], DEEP: []}
                for _ in range(ROUNDS + 1):
                    for start, samples in taken.items():
                        samples.append(await _with_server(running, service, start))
        first, far = (mean(samples[1:]) for samples in taken.values())
        rows.append(
            Row(f"cold page at {DEEP:,} of {MILLION:,} on {name}, 10 % deleted, CPU, beside one at 0",
                cpu(far), cpu(first), ratio(far, first), 1.3)
        )  # fmt: skip
    return rows


async def delete_tenth(running: Store, name: str) -> None:
    """Delete a tenth of a dataset's records, chosen by a fixed seed."""
    async with opened(running) as storage:
        await storage.ping()
        dataset = await storage.datasets.dataset(name)
        assert dataset is not None
        for position in random.Random(0).sample(range(dataset.count), dataset.count // 10):
            await storage.datasets.delete_record(name, position)


def opened(running: Store) -> AbstractAsyncContextManager[Storage]:
    """Return the storage, to be entered."""
    clock = SystemClock()
    if running.name == "SQLite":
        return SqliteStorage(Path(running.url.removeprefix("sqlite:///")), clock=clock)
    if running.name == "Redis":
        return RedisStorage(running.url, clock=clock)
    return PostgresStorage(running.url, clock=clock)


def mean(samples: list[Sample]) -> Sample:
    """Return the means: the kernel counts CPU in steps of 10 ms, so single rounds are not exact."""
    return Sample(
        fmean(sample.cpu_us for sample in samples),
        fmean(sample.per_second for sample in samples),
        fmean(sample.p99_ms for sample in samples),
    )


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


async def _pages(service: Running, start: int, *, clients: int, requests: int) -> Sample:
    return await measure(
        f"{service.url}/datasets/landings/records?limit={PAGE}&start={start}",
        service.process,
        headers=NEWEST,
        clients=clients,
        requests=requests,
    )


async def _with_server(running: Store, service: Running, start: int) -> Sample:
    """Ask for cold pages; the CPU is that of the service and of the store's server."""
    before, requests = running.cpu_s(), 400
    sample = await _pages(service, start, clients=4, requests=requests)
    server_us = (running.cpu_s() - before) / requests * 1e6
    return Sample(sample.cpu_us + server_us, sample.per_second, sample.p99_ms)


async def _read(running: Store, read: Read, times: int = 1_000) -> float:
    """Return what one read takes of the CPU, here and in the store's server, in microseconds."""
    started = process_time() + running.cpu_s()
    for _ in range(times):
        await read(MIDDLE, PAGE)
    return (process_time() + running.cpu_s() - started) / times * 1e6
