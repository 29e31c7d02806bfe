"""Rows about strangers' SQL: how long other requests take while statements attack `POST /query`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp

from benchmarks.processes import aerolite
from benchmarks.serving import fetch
from benchmarks.table import Row

BAR_MS = 100
AT_ONCE = 200
TIMEOUT_S = 3
PAUSE_S = 0.005

_ENDLESS = "WITH RECURSIVE a (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a"


@dataclass(frozen=True)
class Attack:
    """A statement, how many of it at once, and to which database (None: the configured one)."""

    what: str
    sql: str
    count: int
    database: str | None = None


ATTACKS = (
    Attack("endless recursion", _ENDLESS, 4),
    Attack("a gigabyte of zeros as text", "SELECT hex(zeroblob(1000000000))", 4),
    Attack("a range of 200,000,000 in DuckDB", "SELECT len(range(200000000))", 4, "datasets"),
    Attack(f"{AT_ONCE} endless statements", _ENDLESS, AT_ONCE),
    Attack(f"{AT_ONCE} short statements", "SELECT 1", AT_ONCE),
    Attack(f"{AT_ONCE} short statements to DuckDB", "SELECT 1", AT_ONCE, "datasets"),
)


async def others_meanwhile() -> list[Row]:
    """Measure the longest that a page takes meanwhile, asked for by a process of its own."""
    rows = []
    limit = {"SQL_TIMEOUT_SECONDS": str(TIMEOUT_S)}
    with tempfile.TemporaryDirectory() as name, aerolite(Path(name), **limit) as service:
        fetch(f"{service.url}/data", "POST")
        for attack in ATTACKS:
            async with _pages(f"{service.url}/data?start=250") as taken:
                await _make(service.url, attack)
            longest = max(taken) * 1000
            rows.append(
                Row(f"another request while SQL attacks: {attack.what}, longest of {len(taken)}",
                    f"{longest:.0f} ms", f"{BAR_MS} ms", longest / BAR_MS, 1.0)
            )  # fmt: skip
    return rows


@asynccontextmanager
async def _pages(url: str) -> AsyncIterator[list[float]]:
    """Have a page read again and again; afterwards the list holds the seconds that each took."""
    taken: list[float] = []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.attacks", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()  # it has begun
    yield taken
    said, _ = await process.communicate(b"")  # which ends its input, too
    taken += json.loads(said)


async def _make(url: str, attack: Attack) -> None:
    body = {"query": attack.sql} | ({} if attack.database is None else {"database": attack.database})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            async with session.post(f"{url}/query", json=body) as answer:
                await answer.read()

        await asyncio.gather(*(one() for _ in range(attack.count)))


async def read_pages(url: str) -> None:
    """Read a page every few milliseconds until standard input ends, then print the seconds of each."""
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    taken: list[float] = []
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        while not ended.done():
            started = perf_counter()
            async with session.get(url) as answer:
                await answer.read()
            taken.append(perf_counter() - started)
            if len(taken) == 1:
                print(flush=True)
            await asyncio.sleep(PAUSE_S)
    print(json.dumps(taken[1:]))  # the first has opened the connection


if __name__ == "__main__":
    asyncio.run(read_pages(sys.argv[1]))
