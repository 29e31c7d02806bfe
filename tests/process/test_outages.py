"""The store goes away and comes back: clients are told, and nothing needs a restart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.contract.backends.base import ServerBackend
from tests.servers import Servers
from tests.servers.redis import PASSWORD
from tests.waiting import patience
from tests.waiting import until as until_true

from .serving import Serving, serving

HANGING_S = 30.0
"""An answer that is this late has not waited for the two seconds of a store, but for something else."""

SERVED = [name for name, entry in BACKENDS.items() if entry.server]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


@pytest.fixture(params=SERVED)
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers
) -> AsyncIterator[ServerBackend]:
    """Give a store that is a server."""
    async with BACKENDS[request.param].make(FakeClock(), tmp_path, servers) as made:
        yield cast("ServerBackend", made)


@asynccontextmanager
async def api(
    backend: ServerBackend, directory: Path, *, ready: bool = True, **settings: str
) -> AsyncIterator[tuple[Serving, aiohttp.ClientSession]]:
    """Run a service on the store, and give a client of it."""
    settings = {"STORAGE_URL": backend.address, **settings}
    if settings["STORAGE_URL"].startswith("redis+cluster:"):
        settings["QUEUE_URL"] = "memory://"  # jobs cannot be announced on a cluster
    async with (
        serving(directory, ready=ready, **settings) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        yield server, client


async def until(client: aiohttp.ClientSession, path: str, status: int, method: str = "GET") -> str:
    """Ask until the answer has this status, and return its text."""
    async with patience():
        while True:
            async with client.request(method, path) as answer:
                if answer.status == status:
                    return await answer.text()
            await asyncio.sleep(0.05)


async def refused(client: aiohttp.ClientSession, method: str, path: str) -> None:
    """Ask once, and see the answer of a service without its store."""
    async with asyncio.timeout(HANGING_S), client.request(method, path) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"]) == (503, "store-unavailable"), problem
        assert answer.headers["Retry-After"] == "1"


async def test_a_store_that_is_gone_is_told_and_waited_for(backend: ServerBackend, tmp_path: Path) -> None:
    """Requests get 503 with `Retry-After` while readiness stays; then service goes on by itself."""
    async with api(backend, tmp_path) as (_, client):
        await until(client, "/data", 200, "POST")
        await backend.stop()
        await until(client, "/data", 503)
        for method, path in (("GET", "/data?start=1"), ("POST", "/data"), ("GET", "/datasets")):
            await refused(client, method, path)
        async with client.get("/readyz") as answer:
            assert answer.status == 200
        async with client.get("/livez") as answer:
            assert answer.status == 200
        await backend.start()
        assert "Allan Hills" in await until(client, "/data", 200)
        await until(client, "/data", 200, "POST")


async def test_a_store_that_hears_but_does_not_answer_counts_as_gone(
    backend: ServerBackend, tmp_path: Path
) -> None:
    """No request hangs, whatever is behind the open connection."""
    async with api(backend, tmp_path) as (_, client):
        await until(client, "/data", 200, "POST")
        async with backend.stalled():
            await asyncio.gather(*(refused(client, "GET", f"/data?start={number}") for number in range(8)))
        await until(client, "/data", 200)


async def test_strict_readiness_follows_the_store(backend: ServerBackend, tmp_path: Path) -> None:
    """With READINESS_STRICT the probe says what the store says."""
    async with api(backend, tmp_path, READINESS_STRICT="1") as (_, client):
        await backend.stop()
        assert "the storage is gone" in await until(client, "/readyz", 503)
        await backend.start()
        await until(client, "/readyz", 200)


async def test_a_store_that_is_absent_at_start_is_waited_for(backend: ServerBackend, tmp_path: Path) -> None:
    """The service starts, tells by /readyz and its log what it waits for, and becomes ready by itself."""
    await backend.stop()
    async with api(backend, tmp_path, ready=False) as (server, client):
        assert "waiting for the storage" in await until(client, "/readyz", 503)
        await until_logged(server, "waiting for the storage")
        await backend.start()
        await until(client, "/readyz", 200)


async def test_a_wrong_password_keeps_a_service_from_being_ready(
    backend: ServerBackend, tmp_path: Path
) -> None:
    """The probe and the log name the setting and the cause, and neither shows what was tried."""
    url = backend.address.replace(PASSWORD, "hunter2")
    assert url != backend.address
    async with api(backend, tmp_path, ready=False, STORAGE_URL=url) as (server, client):
        await until_logged(server, "waiting for the storage")
        told = await until(client, "/readyz", 503)
        assert re.search(r"\(STORAGE_URL\) refuse[sd] the user or the password", told)
        assert "hunter2" not in f"{told}{server.lines}"


async def until_logged(server: Serving, message: str) -> None:
    """Wait for a line of the log."""
    await until_true(lambda: any(line.get("message") == message for line in server.lines))
