"""The memory backend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from service.adapters.memory.datasets import MemoryDatasets
from service.adapters.memory.documents import MemoryDocuments
from service.adapters.memory.state import Expiring, MemoryState
from service.ports.clock import Clock


class MemoryStorage:
    """Storage in this process's memory: the port at its plainest, for unit tests.

    Two of them on one `state` are two replicas on one store.
    """

    def __init__(self, *, clock: Clock, state: MemoryState | None = None) -> None:
        self._state = state or MemoryState()
        self.datasets = MemoryDatasets(self._state, clock)
        self.documents = MemoryDocuments(self._state, clock)

    async def __aenter__(self) -> Self:
        """Do nothing: there is nothing to open."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Do nothing: there is nothing to close."""

    async def ping(self) -> None:
        """Return, or raise the outage."""
        await self._state.reach()

    async def sweep(self, now: datetime) -> int:
        """Remove what has expired."""
        await self._state.reach()
        return _drop_expired(self._state.documents, now) + _drop_expired(self._state.remembered, now)

    def warnings(self) -> Sequence[str]:
        """Say that this store forgets."""
        return ("The storage is this process's memory: it is gone when the process ends.",)


def _drop_expired(kept: dict[tuple[str, str], Expiring], now: datetime) -> int:
    expired = [key for key, value in kept.items() if not value.live(now)]
    for key in expired:
        del kept[key]
    return len(expired)
