"""Fixtures of the HTTP tests: the whole application on loopback, on a store and a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from dependency_injector import providers

from containers import Container, bounds, build_container
from service.adapters.postgres_sql import PostgresDatabase
from service.contracts import registered
from service.settings import Settings
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.servers import Servers
from tests.waiting import PATIENCE_S

Api = TestClient[web.Request, web.Application]
MakeApi = Callable[..., Awaitable[Api]]
OnBackend = Callable[[str], AbstractAsyncContextManager[Api]]

TODAY = datetime(2026, 12, 1, 12, tzinfo=UTC)
NEWEST = {"API-Version": "2026-11-20"}
SECOND = {"API-Version": "2023-09-01"}

PATIENT = {"sqlite": "sqlite", "postgresql": "postgres"}
"""By scheme, the backend that opens a storage which waits for a slow machine, too."""


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
        # Not the released ones: who writes a contract tries it before it is locked.
        container.registry.override(providers.Singleton(registered))
        be_patient(container, clock)
        return container

    return make


def be_patient(container: Container, clock: FakeClock) -> None:
    """Let no server or file of the service count as gone because the machine is slow."""
    settings = container.settings()
    url, database = settings.storage_url, settings.database
    if url.scheme in PATIENT:
        connect = BACKENDS[PATIENT[url.scheme]].connect
        container.storage.override(providers.Singleton(connect, str(url.path or url.text), clock))
    if database.scheme == "postgresql":
        made = partial(PostgresDatabase, database.text, bounds(settings), timeout_s=PATIENCE_S)
        shows_datasets = url.text == database.text
        container.database.override(providers.Singleton(made, shows_datasets=shows_datasets))


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


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Keep the servers that tests have started."""
    with Servers() as running:
        yield running


@pytest.fixture
def on_backend(
    make_container: Callable[..., Container],
    clock: FakeClock,
    servers: Servers,
    tmp_path: Path,
    aiohttp_client: Callable[..., Awaitable[Api]],
) -> OnBackend:
    """Give a function that serves from an empty store of a backend, on its real server, to a client."""
    numbers = count()

    @asynccontextmanager
    async def serve(name: str) -> AsyncIterator[Api]:
        directory = tmp_path / f"{name}-{next(numbers)}"
        directory.mkdir()
        async with BACKENDS[name].make(clock, directory, servers) as backend:
            container = make_container(STORAGE_URL="memory://")
            container.storage.override(providers.Object(backend.open()))
            server = TestServer(container.application())
            await server.start_server(auto_decompress=False)
            client = await aiohttp_client(server)
            yield client
            await client.close()

    return serve


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
    await load_meteorites(api)
    return api


async def load_meteorites(api: Api) -> None:
    """Load `data` and `landings` with five records each."""
    csv = {"Content-Type": "text/csv"}
    async with api.post("/data", data=METEORITES, headers=csv) as answer:
        assert answer.status == 200, await answer.text()
    async with api.put("/datasets/landings?key=id", data=METEORITES, headers=csv) as answer:
        assert answer.status == 201, await answer.text()
