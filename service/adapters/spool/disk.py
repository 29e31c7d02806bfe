"""A spool in a directory: the event loop gathers, threads inflate, hash and write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.adapters.scratch import sweep
from service.adapters.spool.sink import PREFIX, Sink
from service.domain.errors import TooLarge
from service.ports.spool import Upload

HOP_BYTES = 256 << 10
"""A hop to a thread costs about what writing this much does."""


class DiskSpool:
    """Keeps uploads as files in `directory` (None: the system's for temporary files) while they are used.

    The first upload sweeps what processes have left there that were killed.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._swept = False

    @asynccontextmanager
    async def receive(
        self, chunks: AsyncIterator[bytes], *, content_encoding: str | None, max_bytes: int
    ) -> AsyncIterator[Upload]:
        """Hold the inflated body on disk. Raises what `Spool.receive` does."""
        if not self._swept:
            self._swept = True
            await asyncio.to_thread(sweep, PREFIX, self._directory)
        sink = Sink(self._directory, content_encoding, max_bytes)
        received_bytes = 0
        try:
            pending: list[bytes] = []
            pending_bytes = 0
            async for chunk in chunks:
                received_bytes += len(chunk)
                if received_bytes > max_bytes:
                    raise TooLarge(f"A body has {max_bytes} bytes at most.")
                pending.append(chunk)
                pending_bytes += len(chunk)
                if pending_bytes >= HOP_BYTES:
                    await asyncio.to_thread(sink.write, pending)
                    pending, pending_bytes = [], 0
            yield await asyncio.to_thread(sink.finish, pending)
        finally:
            # Handed to its thread at once, so the file goes even if whoever waits here is cancelled again.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, sink.discard))
