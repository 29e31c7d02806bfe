"""Fixtures of the contract suite: a backend, and two replicas on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers

from .backends import BACKENDS
from .backends.base import Backend, ProcessBackend, ServerBackend


@pytest.fixture(params=list(BACKENDS))
def backend_name(request: pytest.FixtureRequest) -> str:
    """Name the backend that the test runs over: each of them."""
    return str(request.param)


@pytest.fixture
async def backend(
    backend_name: str, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[Backend]:
    """Give an empty store."""
    async with BACKENDS[backend_name].make(clock, tmp_path, servers) as made:
        yield made


@pytest.fixture
async def storage(backend: Backend) -> AsyncIterator[Storage]:
    """Give a replica on the store."""
    async with backend.open() as opened:
        await opened.ping()
        yield opened


@pytest.fixture
async def other(backend: Backend, storage: Storage) -> AsyncIterator[Storage]:
    """Give another replica on the same store."""
    async with backend.open() as opened:
        yield opened


@pytest.fixture(params=[name for name, entry in BACKENDS.items() if entry.connect is not None])
def shared_name(request: pytest.FixtureRequest) -> str:
    """Name a backend that several processes can open: each of them."""
    return str(request.param)


@pytest.fixture
async def shared(
    shared_name: str, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[ProcessBackend]:
    """Give an empty store that other processes can open, too."""
    async with BACKENDS[shared_name].make(clock, tmp_path, servers) as made:
        assert isinstance(made, ProcessBackend)
        yield made


@pytest.fixture(params=[name for name, entry in BACKENDS.items() if entry.server])
async def served(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[ServerBackend]:
    """Give an empty store on a server that can be killed: each of them."""
    async with BACKENDS[request.param].make(clock, tmp_path, servers) as made:
        assert isinstance(made, ServerBackend)
        yield made
