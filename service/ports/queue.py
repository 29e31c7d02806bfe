"""The queue is a doorbell: it tells some worker, soon, that a job waits. The job stands in the storage.

So a queue may forget a ring (a worker died with it, a server was emptied) or repeat one, and nothing is lost
or done twice: a worker that hears a ring looks the job up and takes it by compare-and-set, and every worker
rings again, from time to time, for each unfinished job that nobody has a live lease on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self


class Queue(Protocol):
    """Rings for jobs, by their id; `async with` opens it. Entering calls no server.

    All methods raise `StoreUnavailable` where the server does not answer; no driver's exception passes.
    """

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        ...

    async def ring(self, *jobs: str) -> None:
        """Ring for jobs. Of two rings for a job that nobody has heard yet one is kept."""
        ...

    async def hear(self, limit: int, timeout_s: float) -> Sequence[str]:
        """Return at most `limit` jobs that were rung for, those that have waited longest first.

        Each ring is heard by one listener, of all processes. Where there is none it waits until one comes
        or the time is over, and then returns none. A cancelled call may lose what it was about to return.
        """
        ...
