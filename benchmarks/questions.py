"""Rows about questions: filtered, sorted and grouped, beside raw DuckDB, roapi and datasette.

Each question has a new constant each time, so that nobody answers from a cache, except where it says
`repeated`. Raw DuckDB answers in this process, from a native table of the same file: the page and its count.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from benchmarks.client import Sample
from benchmarks.files import sample_csv
from benchmarks.peers import datasette, roapi
from benchmarks.processes import Running, aerolite
from benchmarks.serving import NEWEST, cpu, fetch, median, upload
from benchmarks.table import Row

SMALL, LARGE = 45_716, 5_000_000
ROUNDS = 3
CLIENTS = 8
_FIRST_ID = 10_001

Numbers = Callable[[], int]
Request = tuple[str, str]
"""A target and, where it is a POST, its body."""


@dataclass(frozen=True)
class Asked:
    """One question, as each of them is asked it: a constant in, requests or statements out."""

    what: str
    ours: Callable[[int], str]
    raw: Callable[[int], Sequence[tuple[str, list[object]]]]
    roapi: Callable[[int], Sequence[Request]]


_GROUPED = """SELECT recclass, count(*), avg("mass (g)") FROM landings
    WHERE id > {} GROUP BY recclass ORDER BY recclass"""

QUESTIONS = (
    Asked(
        "filtered page of 100 with its count",
        lambda at: f"/datasets/landings/records?id.gt={_FIRST_ID + at}",
        lambda at: [
            ("SELECT * FROM landings WHERE id > ? LIMIT 100", [_FIRST_ID + at]),
            ("SELECT count(*) FROM landings WHERE id > ?", [_FIRST_ID + at]),
        ],
        lambda at: [
            (f"/api/tables/landings?filter[id]gt={_FIRST_ID + at}&limit=100", ""),
            ("/api/sql", f"SELECT count(*) FROM landings WHERE id > {_FIRST_ID + at}"),
        ],
    ),
    Asked(
        "sorted page of 100 with its count",
        lambda at: f"/datasets/landings/records?mass+(g).lt={9000 + at}.5&sort=-mass+(g)",
        lambda at: [
            (
                'SELECT * FROM landings WHERE "mass (g)" < ? ORDER BY "mass (g)" DESC NULLS LAST LIMIT 100',
                [9000.5 + at],
            ),
            ('SELECT count(*) FROM landings WHERE "mass (g)" < ?', [9000.5 + at]),
        ],
        lambda at: [
            (
                "/api/sql",
                f'SELECT * FROM landings WHERE "mass (g)" < {9000 + at}.5 ORDER BY "mass (g)" DESC LIMIT 100',
            ),
            ("/api/sql", f'SELECT count(*) FROM landings WHERE "mass (g)" < {9000 + at}.5'),
        ],
    ),
    Asked(
        "group-by of 18 groups",
        lambda at: f"/datasets/landings/aggregate?group=recclass&count=&avg=mass+(g)&id.gt={_FIRST_ID + at}",
        lambda at: [
            (
                'SELECT recclass, count(*), avg("mass (g)") FROM landings WHERE id > ? GROUP BY 1 ORDER BY 1',
                [_FIRST_ID + at],
            )
        ],
        lambda at: [
            (
                "/api/sql",
                _GROUPED.format(_FIRST_ID + at),
            )
        ],
    ),
)


async def small(directory: Path) -> list[Row]:
    """Measure on 45,716 records, beside all peers."""
    rows = await _measure(directory, SMALL, requests=150)
    return [*rows, await _repeated(directory)]


async def large(directory: Path) -> list[Row]:
    """Measure on 5,000,000 records, and what an append costs the next question."""
    return await _measure(directory, LARGE, requests=16)


async def _measure(directory: Path, records: int, *, requests: int) -> list[Row]:
    file = sample_csv(directory, records)
    rows = []
    raw = duckdb.connect()
    raw.execute(f"CREATE TABLE landings AS SELECT * FROM read_csv('{file}')")
    with aerolite(directory, ENGINE_MEMORY_BYTES="256 MiB") as service:
        upload(service, "landings", file)
        fetch(f"{service.url}/datasets/landings/records?id=1", headers=NEWEST)
        with roapi(file) as peer:
            for asked in QUESTIONS:
                rows += await _question(service, peer, raw, asked, records, requests)
        if records == LARGE:
            rows += _engine_rows(service)
    return rows


async def _question(
    service: Running, peer: Running, raw: duckdb.DuckDBPyConnection, asked: Asked, records: int, requests: int
) -> list[Row]:
    numbers = count().__next__
    ours, theirs, bare, hot = [], [], [], []
    for _ in range(ROUNDS + 1):
        hot.append(await _load(service, lambda _: [("/datasets/landings/records", "")], numbers, 300))
        ours.append(await _load(service, lambda at: [(asked.ours(at), "")], numbers, requests))
        bare.append(_raw_cpu_us(raw, asked, numbers, requests))
        theirs.append(await _load(peer, asked.roapi, numbers, requests))
    us, them, page = median(ours[1:]), median(theirs[1:]), median(hot[1:])
    duck_us = statistics.median(bare[1:])
    return [
        Row(
            f"{asked.what}, {records:,} records, CPU, beside raw DuckDB and a hot page",
            cpu(us), f"{duck_us:.0f} us + {page.cpu_us:.0f} us", us.cpu_us / (duck_us + page.cpu_us), 2.0,
        ),
        Row(
            f"{asked.what}, {records:,} records, requests per second, roapi's over ours",
            cpu(us), cpu(them), them.per_second / us.per_second, 1.0,
        ),
    ]  # fmt: skip


async def _repeated(directory: Path) -> Row:
    """Measure the same question again and again, beside datasette."""
    file = sample_csv(directory, SMALL)
    numbers = count().__next__
    with aerolite(directory) as service, datasette(file, directory) as peer:
        ours, theirs = [], []
        for _ in range(ROUNDS + 1):
            ours.append(
                await _load(
                    service, lambda _: [("/datasets/landings/records?id.gt=20000", "")], numbers, 1000
                )
            )
            theirs.append(
                await _load(
                    peer, lambda _: [("/landings/landings.json?id__gt=20000&_size=100", "")], numbers, 40
                )
            )
    us, them = median(ours[1:]), median(theirs[1:])
    return Row(
        "filtered page repeated, 45,716 records, requests per second, datasette's over ours",
        cpu(us), cpu(them), them.per_second / us.per_second, 1 / 20,
    )  # fmt: skip


def _engine_rows(service: Running) -> list[Row]:
    """Measure an append to a large dataset, and the memory and disk that its columns take."""
    without, behind = [], []
    for at in range(ROUNDS + 1):
        url = f"{service.url}/datasets/landings/records?id.gt={20_000 + at}&limit=100"
        without.append(_seconds(url))
        _append(service)
        behind.append(_seconds(url))
    extra_ms = (statistics.median(behind[1:]) - statistics.median(without[1:])) * 1000
    peak_mib = _peak_bytes(service) / (1 << 20)
    spill_mib = _engine_bytes() / (1 << 20)
    return [
        Row("filtered page after an append of 1 to 5,000,000 records, ms more than without",
            f"{extra_ms:.0f} ms", "50 ms", extra_ms / 50, 1.0),
        Row("peak memory of the process with 5,000,000 records in columns", f"{peak_mib:.0f} MiB", "512 MiB",
            peak_mib / 512, 1.0),
        Row("disk of 5,000,000 records in columns", f"{spill_mib:.0f} MiB", "1 GiB", spill_mib / 1024, 1.0),
    ]  # fmt: skip


def _append(service: Running) -> None:
    body = json.dumps({"name": "New", "id": 1}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{service.url}/datasets/landings/records", method="POST", data=body, headers=headers
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


def _seconds(url: str) -> float:
    started = time.perf_counter()
    fetch(url, headers=NEWEST)
    return time.perf_counter() - started


def _peak_bytes(service: Running) -> int:
    """Return the most memory that the process ever had (Linux: `VmHWM`)."""
    for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("The system does not tell the peak memory of a process.")


def _engine_bytes() -> int:
    """Return the bytes of the engine's files."""
    return sum(file.stat().st_size for file in Path(tempfile.gettempdir()).glob("aerolite-engine-*/*.duckdb"))


def _raw_cpu_us(raw: duckdb.DuckDBPyConnection, asked: Asked, numbers: Numbers, requests: int) -> float:
    started = time.process_time()
    for _ in range(requests):
        for sql, values in asked.raw(numbers()):
            raw.execute(sql, values).fetchall()
    return (time.process_time() - started) / requests * 1e6


async def _load(
    server: Running, requests_of: Callable[[int], Sequence[Request]], numbers: Numbers, requests: int
) -> Sample:
    """Ask `requests` questions over a few connections; the figures are per question."""
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    left = iter(range(requests))
    before, started = server.process.cpu_times(), time.perf_counter()
    taken = await asyncio.gather(
        *(_client(parts.hostname, parts.port or 80, requests_of, numbers, left) for _ in range(CLIENTS))
    )
    seconds, after = time.perf_counter() - started, server.process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    latencies = sorted(latency for latencies in taken for latency in latencies)
    return Sample(cpu_s / requests * 1e6, requests / seconds, latencies[int(len(latencies) * 0.99)] * 1000)


async def _client(
    host: str,
    port: int,
    requests_of: Callable[[int], Sequence[Request]],
    numbers: Numbers,
    left: Iterator[int],
) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    latencies = []
    for _ in left:  # shared by the clients: who is free takes the next
        started = time.perf_counter()
        for target, body in requests_of(numbers()):
            head = f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\nHost: {host}\r\n"
            fields = f"API-Version: {NEWEST['API-Version']}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + fields + body).encode())
            answered = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answered[:16]:
                raise RuntimeError(answered.decode())
            await _skip_body(reader, answered.lower())
        latencies.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()
    return latencies


async def _skip_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
        return
    at = head.index(b"content-length:") + 15
    await reader.readexactly(int(head[at : head.index(b"\r", at)]))
