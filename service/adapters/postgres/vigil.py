"""Telling a server that is slow from one that is gone.

A command of ours may take long (a large COPY, the wait for another writer's lock), so no command has a time
limit that would tell the two apart. Instead, whoever has waited for a while has the server asked something
trivial on another connection. If that is not answered either, all who wait give up together.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from service.domain.errors import StoreError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Wait:
    limit: asyncio.Timeout
    since: float
    until: float
    lost: Callable[[], bool]


class Vigil:
    """Watches all that wait for a server; `probe` returns if it answers.

    One that does not answer is given up within `timeout_s`: a part to wait, a part to ask, and the rest for
    the caller's answer to get out.
    """

    def __init__(self, probe: Callable[[], Awaitable[None]], *, timeout_s: float) -> None:
        self._probe = probe
        self._patience_s = timeout_s * 0.3
        self._probe_s = timeout_s * 0.4
        self._tick_s = timeout_s * 0.1
        self._waits: set[_Wait] = set()
        self._watch: asyncio.Task[None] | None = None

    async def attend(self, work: Awaitable[T], limit_s: float, lost: Callable[[], bool] = lambda: False) -> T:
        """Await the work. Raises `TimeoutError` when the server does not answer, or after `limit_s` anyway.

        `lost` tells whether the connection in question is closed: the driver lets a COPY that waits for room
        in the socket wait on.
        """
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout(None) as limit:
            wait = _Wait(limit, now, now + limit_s, lost)
            self._waits.add(wait)
            if self._watch is None:
                self._watch = asyncio.create_task(self._keep_watch())
            try:
                return await work
            finally:
                self._waits.remove(wait)

    async def close(self) -> None:
        """End it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _keep_watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waits:
                await asyncio.sleep(self._tick_s)
                asked = loop.time()
                if any(wait.since <= asked - self._patience_s for wait in self._waits):
                    answers = await self._answers()
                    self._give_up(-math.inf if answers else asked)
        finally:
            self._watch = None

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self._probe_s):
                await self._probe()
        except (StoreError, TimeoutError):
            return False
        return True

    def _give_up(self, since: float) -> None:
        """End the waits that began until then, those at their limit, and those whose connection is lost."""
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if wait.since <= since or wait.until <= now or wait.lost():
                wait.limit.reschedule(now)
