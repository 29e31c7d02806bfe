"""Fixtures of the HTTP tests: the whole application on loopback, on a store and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from dependency_injector import providers

from containers import Container, build_container
from service.settings import Settings
from tests.clocks import FakeClock

Api = TestClient[web.Request, web.Application]
MakeApi = Callable[..., Awaitable[Api]]

TODAY = datetime(2026, 12, 1, 12, tzinfo=UTC)
NEWEST = {"API-Version": "2026-11-20"}
SECOND = {"API-Version": "2023-09-01"}


@pytest.fixture
def clock() -> FakeClock:
    """Give the clock of the service."""
    return FakeClock(TODAY)


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """Name the store: a fresh SQLite file."""
    return f"sqlite:///{tmp_path}/aerolite.db"


@pytest.fixture
def make_container(clock: FakeClock, storage_url: str, tmp_path: Path) -> Callable[..., Container]:
    """Give a function that builds the container of a service with settings by name."""

    def make(**settings: str) -> Container:
        environment = {"STORAGE_URL": storage_url, "SPOOL_DIR": str(tmp_path), **settings}
        container = build_container(Settings.from_env(environment))
        container.clock.override(providers.Object(clock))
        return container

    return make


@pytest.fixture
async def make_api(
    make_container: Callable[..., Container],
    aiohttp_client: Callable[..., Awaitable[Api]],
) -> MakeApi:
    """Give a function that starts a service with settings by name and returns a client of it."""

    async def make(**settings: str) -> Api:
        container = make_container(**settings)
        server = TestServer(container.application())
        await server.start_server(auto_decompress=False)
        return await aiohttp_client(server)

    return make


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service with the default settings."""
    return await make_api()


METEORITES = (
    b"name,id,recclass,mass (g),fell,found\r\n"
    b"Aachen,1,L5,21,true,1880-01-01\r\n"
    b"Aarhus,2,H6,720.50,true,1951-10-02\r\n"
    b"Abee,6,EH4,107000,true,1952-06-09\r\n"
    b'"Bj\xc3\xb6rb\xc3\xb6le, ""B""",10,,,false,\r\n'
    b"Allende,11,CV3,2e6,true,1969-02-08\r\n"
)


@pytest.fixture
async def loaded(api: Api) -> Api:
    """Give a client of a service whose `data` has five records, and `landings` too, with the key `id`."""
    csv = {"Content-Type": "text/csv"}
    async with api.post("/data", data=METEORITES, headers=csv) as answer:
        assert answer.status == 200, await answer.text()
    async with api.put("/datasets/landings?key=id", data=METEORITES, headers=csv) as answer:
        assert answer.status == 201, await answer.text()
    return api
