"""The doorbell on Redis: one sorted set of jobs by the time of their ring.

A set, so that a job that is rung for twice waits once; sorted, so that the first is heard first; and BZPOPMIN
hands each member to one of all listeners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.adapters.redis.failures import Exchange, translated
from service.domain.errors import StoreError

TIMEOUT_S = 1.6
"""Who rings waits no longer than two seconds, his own answer included."""


class RedisQueue:
    """Rings in the Redis at `url`, `redis://` or `rediss://`; `key` is the set."""

    def __init__(self, url: str, *, key: str = "aerolite:jobs:rings", timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._key = key
        self._timeout_s = timeout_s
        self._redis: Redis
        self._address = ""

    async def __aenter__(self) -> Self:
        """Make ready to connect. Raises `StoreError` where the URL is none of Redis."""
        try:
            # The time limit of each answer is set below: one that waits for a ring takes longer.
            self._redis = Redis.from_url(
                self._url,
                socket_timeout=None,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError) as error:
            raise StoreError(
                "QUEUE_URL is no URL of Redis: it is redis://[[user]:password@]host[:port][/database]."
            ) from error
        options = self._redis.connection_pool.connection_kwargs
        self._address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)} (QUEUE_URL)"
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def ring(self, *jobs: str) -> None:
        """Ring for jobs."""
        now = time()
        await self._ask(0.0, "ZADD", self._key, "NX", *(word for job in jobs for word in (now, job)))

    async def hear(self, limit: int, timeout_s: float) -> Sequence[str]:
        """Return the jobs that were rung for first."""
        waiting = await self._ask(0.0, "ZPOPMIN", self._key, limit)
        if waiting:
            return [_text(member) for member in _members(waiting)]
        found = await self._ask(timeout_s, "BZPOPMIN", self._key, timeout_s)
        return [_text(found[1])] if found else ()

    async def _ask(self, wait_s: float, *command: Any) -> Any:
        with translated(self._address, Exchange()):
            async with asyncio.timeout(wait_s + self._timeout_s):
                return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]  # the driver's


def _members(popped: Any) -> list[bytes]:
    """Return the members of an answer of ZPOPMIN, which the driver may have paired with their scores."""
    return [each[0] for each in popped] if isinstance(popped[0], list | tuple) else popped[::2]


def _text(member: bytes) -> str:
    return member.decode()
