"""The Redis backend on a cluster of three durable servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.redis import durable_cluster

from .base import Backend
from .redis import RedisBackend, connect, emptied

__all__ = ["connect", "make"]


@asynccontextmanager
async def make(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Backend]:
    """Give an empty store."""
    async with emptied(RedisBackend(servers.get(durable_cluster), clock)) as backend:
        yield backend
