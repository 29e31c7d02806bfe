"""The Redis backend: its parts, and what it needs of its servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from service.adapters.redis.autopipeline import AutoPipeline
from service.adapters.redis.connections import Wire
from service.adapters.redis.datasets import RedisDatasets
from service.adapters.redis.documents import RedisDocuments
from service.adapters.redis.failures import clustered
from service.adapters.redis.heads import Heads
from service.adapters.redis.reading import Reader
from service.adapters.redis.scripts import Command
from service.adapters.redis.sweeping import Sweeper
from service.adapters.redis.writing import Committer
from service.domain.errors import StoreError
from service.ports.clock import Clock

OLDEST = (6, 2)
"""The first version that has COPY, with which a large append replaces records."""

_QUESTIONS: Sequence[Command] = (
    ("INFO", "server"),
    ("CONFIG", "GET", "appendonly"),
    ("CONFIG", "GET", "appendfsync"),
    ("CONFIG", "GET", "maxmemory-policy"),
)


class RedisStorage:
    """Datasets and documents in Redis.

    `url` is `redis://[[user]:password@]host[:port][/database]`, `rediss://` with TLS (`?ssl_ca_certs=` names
    a file of certificates to trust), or `redis+cluster://` with one or more hosts. `timeout_s`: a server that
    says nothing for so long counts as gone; `wait_s` is how long a writer waits for others; `prefix` begins
    keys.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        timeout_s: float = 2.0,
        wait_s: float = 8.0,
        prefix: str = "aerolite",
    ) -> None:
        self._wire = Wire(url, timeout_s * 0.8)  # the rest is for the caller's answer to get out
        self._pipeline = AutoPipeline(self._wire)
        self._heads = Heads(self._wire, prefix)
        committer = Committer(self._wire, self._heads, clock, prefix, wait_s)
        reader = Reader(self._wire, self._heads)
        self._sweeper = Sweeper(committer, f"{prefix}:garbage")
        self._warnings: list[str] = []
        self.datasets = RedisDatasets(self._heads, reader, committer, f"{prefix}:names")
        self.documents = RedisDocuments(self._wire, self._pipeline, clock, prefix)

    async def __aenter__(self) -> Self:
        """Make ready to connect; the first question does. Raises `StoreError` where the URL is none."""
        self._wire.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        await self._heads.aclose()
        await self._pipeline.aclose()
        await self._wire.aclose()

    async def ping(self) -> None:
        """Return if every primary answers; note what is missing for durability."""
        warnings: list[str] = []
        for server, (info, *settings) in await self._wire.everywhere(_QUESTIONS):
            if isinstance(info, Exception):
                continue  # it answers, and keeps to itself what it is
            self._check(server, info.decode())
            # Who hosts Redis for others often forbids CONFIG: then there is nothing to say.
            known = {reply[0]: reply[1] for reply in settings if isinstance(reply, list) and reply}
            warnings += (f"Redis at {server} {words}" for words in _missing(known))
        self._warnings = warnings

    def _check(self, server: str, info: str) -> None:
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        if self._wire.single and fields.get("redis_mode") == "cluster":
            raise StoreError(clustered(server))
        version = fields.get("redis_version", "")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            raise StoreError(f"Redis at {server} is of version {version}; Aerolite needs 6.2 or newer.")

    async def sweep(self, now: datetime) -> int:
        """Remove what nobody can reach any more, in small steps."""
        return await self._sweeper.sweep(now) + await self.documents.sweep(now)

    def warnings(self) -> Sequence[str]:
        """Return what the last ping found."""
        return tuple(self._warnings)


def _missing(settings: dict[bytes, bytes]) -> list[str]:
    missing = []
    if settings.get(b"appendonly", b"yes") != b"yes":
        missing.append("keeps no append-only file (appendonly no): what it acknowledged can be lost.")
    elif settings.get(b"appendfsync", b"always") != b"always":
        missing.append("does not write to disk before it acknowledges: set appendfsync to always.")
    if settings.get(b"maxmemory-policy", b"noeviction") != b"noeviction":
        missing.append("throws data away when its memory is full: set maxmemory-policy to noeviction.")
    return missing
