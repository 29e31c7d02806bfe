"""The doorbell of a process that runs its jobs itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self


class InProcessQueue:
    """Rings within this process; they are forgotten when it ends, which the next start makes good."""

    def __init__(self) -> None:
        self._rings: dict[str, None] = {}
        self._rung = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Do nothing: there is nothing to open."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Do nothing: there is nothing to close."""

    async def ring(self, *jobs: str) -> None:
        """Ring for jobs."""
        for job in jobs:
            self._rings.setdefault(job)
        self._rung.set()

    async def hear(self, limit: int, timeout_s: float) -> Sequence[str]:
        """Return the jobs that were rung for first."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._rings:
                    self._rung.clear()
                    await self._rung.wait()
        except TimeoutError:
            return ()
        heard = list(self._rings)[:limit]
        for job in heard:
            del self._rings[job]
        return heard
