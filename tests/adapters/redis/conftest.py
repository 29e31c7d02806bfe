"""An empty durable server or cluster for each test, of those that run for the session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from service.adapters.redis import RedisStorage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.redis import RedisCluster, RedisServer, durable_cluster, durable_redis
from tests.waiting import PATIENCE_S


@pytest.fixture
def server(servers: Servers) -> Iterator[RedisServer]:
    """Give an empty durable server."""
    running = servers.get(durable_redis)
    running.execute("FLUSHALL")
    yield running
    running.execute("FLUSHALL")


@pytest.fixture
def cluster(servers: Servers) -> Iterator[RedisCluster]:
    """Give an empty durable cluster."""
    running = servers.get(durable_cluster)
    for node in running.nodes:
        node.execute("FLUSHALL")
    yield running
    for node in running.nodes:
        node.execute("FLUSHALL")


@pytest.fixture
async def storage(server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisStorage]:
    """Give a replica on the server."""
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as opened:
        yield opened
