"""Where a process stands between its start and its end; probes and answers look here."""

from __future__ import annotations

import asyncio
from typing import Self

ENDING_S = 5.0
"""How long requests that are cancelled may take to end."""


class Lifecycle:
    """Starting until the storage has answered once, then ready, then draining until the end.

    `async with` ends what is in `requests`, those under way, before the parts that they stand on are left:
    aiohttp waits neither for those that it cancels nor for those whose clients are gone.
    """

    def __init__(self) -> None:
        self.requests: set[asyncio.Task[None]] = set()
        self.ready = False
        self.draining = False
        self.cause = "The storage has not answered yet."

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel requests, and wait until they have ended."""
        for task in self.requests:
            if not task.cancelling():  # again, it would break off what it does in the end
                task.cancel()
        if self.requests:
            await asyncio.wait(self.requests, timeout=ENDING_S)

    def became_ready(self) -> None:
        """Note the first answer of the storage."""
        self.ready = True

    def waits_for(self, cause: str) -> None:
        """Note why it is not ready."""
        self.cause = cause

    def drain(self) -> None:
        """Begin to end: answers close their connections, `/readyz` says 503."""
        self.draining = True
