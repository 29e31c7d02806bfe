"""The backends that the contract suite runs over: add a line, and the whole suite runs over one more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from service.ports.clock import Clock
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers

from . import memory, postgres, redis, redis_cluster, sqlite
from .base import Backend


@dataclass(frozen=True)
class Entry:
    """How to make a backend.

    `make(clock, tmp_path, servers)` gives an empty store; `connect(address, clock)` opens that store in
    another process (None where it lives in one process); `server`: it is a `ServerBackend`.
    """

    make: Callable[[FakeClock, Path, Servers], AbstractAsyncContextManager[Backend]]
    connect: Callable[[str, Clock], Storage] | None = None
    server: bool = False


BACKENDS: dict[str, Entry] = {
    "memory": Entry(memory.make),
    "sqlite": Entry(sqlite.make, sqlite.connect),
    "postgres": Entry(postgres.make, postgres.connect, server=True),
    "redis": Entry(redis.make, redis.connect, server=True),
    "redis-cluster": Entry(redis_cluster.make, redis_cluster.connect, server=True),
}
