"""Fixtures of the job tests: a stage on SQLite, Redis and PostgreSQL, each with its own doorbell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.adapters.queue.in_process import InProcessQueue
from service.adapters.queue.postgres import PostgresQueue
from service.adapters.queue.redis import RedisQueue
from service.ports.queue import Queue
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.contract.backends.base import ProcessBackend
from tests.servers import Servers
from tests.waiting import PATIENCE_S

from .stage import Stage


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Keep the servers of this session."""
    with Servers() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """Give the clock of every worker."""
    return FakeClock()


@pytest.fixture(params=["sqlite", "redis", "postgres"])
async def backend(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[ProcessBackend]:
    """Give an empty store."""
    async with BACKENDS[request.param].make(clock, tmp_path, servers) as made:
        assert isinstance(made, ProcessBackend)
        yield made


def queue_at(address: str, timeout_s: float = PATIENCE_S) -> Queue:
    """Return the doorbell that goes with a store at an address; what says nothing for so long is gone."""
    if address.startswith("redis"):
        return RedisQueue(address, timeout_s=timeout_s)
    if address.startswith("postgresql"):
        return PostgresQueue(address, timeout_s=timeout_s)
    return InProcessQueue()


@pytest.fixture
async def stage(backend: ProcessBackend, clock: FakeClock) -> AsyncIterator[Stage]:
    """Give a stage."""
    async with backend.open() as storage, queue_at(backend.address) as queue:
        await storage.ping()
        yield Stage(storage, queue, clock)
