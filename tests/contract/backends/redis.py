"""The Redis backend on one durable server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis

from service.adapters.redis import RedisStorage
from service.ports.clock import Clock
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.redis import RedisCluster, RedisServer, durable_redis
from tests.waiting import PATIENCE_S

from .base import Backend, ServerBackend

_SIZES: dict[bytes, Callable[[redis.Redis, bytes], int]] = {
    b"string": lambda client, key: 1,
    b"list": lambda client, key: client.llen(key),
    b"hash": lambda client, key: client.hlen(key),
    b"set": lambda client, key: client.scard(key),
    b"zset": lambda client, key: client.zcard(key),
}


class RedisBackend(ServerBackend):
    """One server or a cluster, emptied for each test."""

    snapshots_hold = False

    def __init__(self, running: RedisServer | RedisCluster, clock: FakeClock) -> None:
        self._running = running
        self._nodes = running.nodes if isinstance(running, RedisCluster) else [running]
        self._clock = clock
        self._runs = True
        self.address = running.url

    def open(self, *, timeout_s: float = PATIENCE_S) -> Storage:
        """Return another replica."""
        return connect(self.address, self._clock, timeout_s=timeout_s)

    async def stop(self) -> None:
        """Shut the servers down."""
        await asyncio.to_thread(self._running.stop)
        self._runs = False

    async def start(self) -> None:
        """Start them on what they wrote to disk."""
        await asyncio.to_thread(self._running.start)
        self._runs = True

    async def kill(self) -> None:
        """Kill the servers."""
        await asyncio.to_thread(self._running.kill)
        self._runs = False

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Stop the processes; their sockets stay open."""
        with self._running.paused():
            yield

    @asynccontextmanager
    async def full(self) -> AsyncIterator[Storage]:
        """Bound the memory."""
        for node in self._nodes:
            used_bytes = node.execute("INFO", "memory")["used_memory"]
            node.execute("CONFIG", "SET", "maxmemory", used_bytes + (2 << 20))
        try:
            yield self.open()
        finally:
            for node in self._nodes:
                node.execute("CONFIG", "SET", "maxmemory", 0)

    async def pieces(self) -> int:
        """Count the items of every key that has not expired."""
        return sum(self._pieces_of(node) for node in self._nodes)

    def _pieces_of(self, node: RedisServer) -> int:
        passed = self._clock.now() - datetime.now(UTC)
        total = 0
        with node.client() as client:
            for key in client.scan_iter(count=1000):
                left_ms = client.pttl(key)
                # Redis expires keys by its own clock, which the test has not moved.
                if left_ms < 0 or timedelta(milliseconds=left_ms) > passed:
                    total += _SIZES[client.type(key)](client, key)
        return total

    async def empty(self) -> None:
        """Remove everything; a server that a test took away comes back first."""
        if not self._runs:
            await self.start()
        for node in self._nodes:
            node.execute("FLUSHALL")


def connect(address: str, clock: Clock, *, timeout_s: float = PATIENCE_S) -> Storage:
    """Open the store in this process."""
    return RedisStorage(address, clock=clock, timeout_s=timeout_s, wait_s=timeout_s)


@asynccontextmanager
async def make(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Backend]:
    """Give an empty store on one server."""
    async with emptied(RedisBackend(servers.get(durable_redis), clock)) as backend:
        yield backend


@asynccontextmanager
async def emptied(backend: RedisBackend) -> AsyncIterator[Backend]:
    """Give a backend that begins empty, and whose servers run after."""
    await backend.empty()
    try:
        yield backend
    finally:
        await backend.empty()
