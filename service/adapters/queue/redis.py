"""The doorbell on Redis: one sorted set of jobs by the time of their ring.

A set, so that a job that is rung for twice waits once; sorted, so that the first is heard first; and BZPOPMIN
hands each member to one of all listeners.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Self

from service.adapters.redis.autopipeline import AutoPipeline
from service.adapters.redis.connections import Wire
from service.adapters.redis.scripts import Command

TIMEOUT_S = 1.6
"""Who rings waits no longer than two seconds, his own answer included."""


class RedisQueue:
    """Rings in the Redis at `url`, `redis://` or `rediss://`; `key` is the set."""

    def __init__(self, url: str, *, key: str = "aerolite:jobs:rings", timeout_s: float = TIMEOUT_S) -> None:
        self._key = key
        self._wire = Wire(url, timeout_s, "QUEUE_URL")
        self._pipeline = AutoPipeline(self._wire)

    async def __aenter__(self) -> Self:
        """Make ready to connect. Raises `StoreError` where the URL is none of Redis."""
        self._wire.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        await self._pipeline.aclose()
        await self._wire.aclose()

    async def ring(self, *jobs: str) -> None:
        """Ring for jobs."""
        now = str(time())
        await self._pipeline.ask(
            self._key, ("ZADD", self._key, "NX", *(word for job in jobs for word in (now, job)))
        )

    async def hear(self, limit: int, timeout_s: float) -> Sequence[str]:
        """Return the jobs that were rung for first."""
        # Redis runs the second as soon as the first has not to wait any more.
        commands: list[Command] = [("BZPOPMIN", self._key, str(timeout_s))]
        if limit > 1:
            commands.append(("ZPOPMIN", self._key, limit - 1))
        first, *others = await self._wire.run(commands, wait_s=timeout_s)
        heard = [first[1]] if first else []
        heard += (member for some in others for member in some[::2])
        return [member.decode() for member in heard]
