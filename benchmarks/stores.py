"""Stores to measure on: SQLite in a directory; Redis and PostgreSQL as servers, as durable as shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.postgres import run_postgres
from tests.servers.redis import DURABLE, redis_server

NAMES = ("SQLite", "Redis", "PostgreSQL")

# So that 100,000 single deletes do not wait for a disk, where it is reading that is measured.
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Store:
    """A store's address, and its server where it has one."""

    name: str
    url: str
    server: psutil.Process | None = None

    @property
    def port(self) -> int:
        """The port that its server listens on."""
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def cpu_s(self) -> float:
        """Return the CPU that its server has taken so far, in all its processes that still run."""
        if self.server is None:
            return 0.0
        times = [process.cpu_times() for process in (self.server, *self.server.children())]
        return sum(each.user + each.system for each in times)


@contextmanager
def store(name: str, directory: Path, *, durable: bool = True) -> Iterator[Store]:
    """Run the store of that name."""
    if name == "SQLite":
        yield Store(name, f"sqlite:///{directory}/aerolite.db")
    elif name == "Redis":
        with redis_server(DURABLE if durable else {}) as redis:
            yield Store(name, redis.url, psutil.Process(redis.pid))
    else:
        with run_postgres({} if durable else _FORGETFUL) as postgres:
            yield Store(name, postgres.url, psutil.Process(postgres.pid))


@contextmanager
def stores(directory: Path) -> Iterator[Mapping[str, Store]]:
    """Run all stores side by side, so that what else the machine does falls on all alike."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(store(name, directory)) for name in NAMES}
