"""The worker as a process of its own: it runs until it is told to end, then drains."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

Part = AbstractAsyncContextManager[object]

log = logging.getLogger("aerolite.worker")


class WorkerProcess:
    """Enters `parts`, then `worker`, and on a signal leaves them in reverse."""

    def __init__(self, parts: Sequence[Part], worker: Part) -> None:
        self._parts = (*parts, worker)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises `StoreError` where a URL is wrong."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with AsyncExitStack() as stack:
            for part in self._parts:
                await stack.enter_async_context(part)
            log.info("working")
            await self._stop.wait()
            log.info("draining")
        log.info("stopped")

    def stop(self) -> None:
        """Ask the worker to drain and end."""
        self._stop.set()
