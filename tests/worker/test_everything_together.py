"""API, two workers, Redis and PostgreSQL as processes, and faults: every number right, each effect once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from service.domain.fibonacci import fibonacci
from tests.process.serving import serving
from tests.servers.postgres import PostgresServer, run_postgres
from tests.servers.redis import RedisServer, durable_redis
from tests.waiting import patience

from .crew import Crew

JOBS = 500
CLIENTS = 5


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Give a durable Redis of the test's own."""
    with durable_redis() as server:
        yield server


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL of the test's own."""
    with run_postgres() as server:
        yield server


async def post(session: aiohttp.ClientSession, url: str, index: int) -> None:
    """Ask for a number until it is accepted: a refusal under the fault says that nothing was done."""
    async with patience():
        while True:
            async with session.post(f"{url}/fibonacci", json={"index": index}) as answer:
                if answer.status == 202:
                    return
                assert answer.status == 503, await answer.text()
            await asyncio.sleep(0.05)


async def client(url: str, indexes: list[int]) -> None:
    """Post numbers one after the other."""
    async with aiohttp.ClientSession() as session:
        for index in indexes:
            await post(session, url, index)


async def values(url: str, count: int) -> dict[str, Any]:
    """Return the list as soon as so many values are known; the test's own time limit is for what hangs."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/fibonacci") as answer:
                found: dict[str, Any] = await answer.json() if answer.status == 200 else {"values": {}}
            if len(found["values"]) >= count:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.timeout(1800)
async def test_five_hundred_jobs_survive_a_killed_worker_and_a_restarted_redis(
    redis_server: RedisServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Several clients post while a worker is killed and Redis restarts; seen is in PostgreSQL, values in Redis."""
    settings = {
        "STORAGE_URL": redis_server.url,
        "DATABASE_URL": postgres_server.url,
        "JOB_LEASE_SECONDS": "10",
        "SPOOL_DIR": str(tmp_path),
    }
    indexes = [*range(JOBS - 1), 300_000]
    random.Random(3).shuffle(indexes)
    async with serving(tmp_path, **settings) as api, Crew(2, **settings) as workers:
        posting = [asyncio.create_task(client(api.url, indexes[n::CLIENTS])) for n in range(CLIENTS)]
        await values(api.url, 20)
        await workers.kill(0)
        await asyncio.to_thread(redis_server.kill)
        await asyncio.to_thread(redis_server.start)
        await asyncio.gather(*posting)
        found = await values(api.url, JOBS)
    assert found["seen"] == sorted(indexes)
    assert found["values"] == {str(index): fibonacci(index) for index in sorted(indexes)}
    connection = await asyncpg.connect(postgres_server.url)
    try:
        rows = await connection.fetch("SELECT index FROM aerolite_jobs.seen ORDER BY index")
    finally:
        await connection.close()
    assert [row["index"] for row in rows] == sorted(indexes)
