"""The memory backend, whose state is told to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.adapters.memory import MemoryState, MemoryStorage
from service.domain.errors import StoreUnavailable
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.waiting import PATIENCE_S

from .base import Backend


class MemoryBackend(Backend):
    """A state that lives as long as the test."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._state = MemoryState()

    def open(self, *, timeout_s: float = PATIENCE_S) -> Storage:
        """Return another replica."""
        return MemoryStorage(clock=self._clock, state=self._state)

    async def stop(self) -> None:
        """Make every method raise."""
        self._state.outage = StoreUnavailable("The memory is told to be away.")

    async def start(self) -> None:
        """Make them work again."""
        self._state.outage = None

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Raise at once: nothing in memory can be slow."""
        await self.stop()
        yield
        await self.start()

    @asynccontextmanager
    async def full(self) -> AsyncIterator[Storage]:
        """Bound the bytes."""
        self._state.max_bytes = 1 << 20
        yield self.open()
        self._state.max_bytes = None

    async def pieces(self) -> int:
        """Count records, documents and remembered commits."""
        records = sum(len(name.records.records) for name in self._state.names.values())
        return records + len(self._state.documents) + len(self._state.remembered)


@asynccontextmanager
async def make(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Backend]:
    """Give an empty store."""
    yield MemoryBackend(clock)
