"""A server for the session, a database for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from service.adapters.postgres import PostgresStorage
from tests.clocks import FakeClock
from tests.servers.postgres import PostgresServer, run_postgres
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def session_server() -> Iterator[PostgresServer]:
    """Give the server of the session."""
    with run_postgres() as running:
        yield running


@pytest.fixture
def server(session_server: PostgresServer) -> PostgresServer:
    """Give the server, running, however the test before has left it."""
    return session_server if session_server.running else session_server.start()


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    """Give the address of an empty database."""
    async with server.database() as address:
        yield address


@pytest.fixture
async def storage(url: str) -> AsyncIterator[PostgresStorage]:
    """Give a replica on it."""
    async with PostgresStorage(url, clock=FakeClock(), timeout_s=PATIENCE_S) as opened:
        await opened.ping()
        yield opened
