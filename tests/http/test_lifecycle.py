"""The end of the application: requests first, then what they stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Never

from aiohttp import web
from dependency_injector import providers

from containers import Container
from service.adapters.clock import SystemClock
from service.adapters.memory import MemoryState, MemoryStorage
from service.adapters.memory.datasets import MemoryDatasets


class Hanging(MemoryDatasets):
    """Datasets whose list never comes; all else is as in memory."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(MemoryState(), SystemClock())
        self._told = told
        self.asked = asyncio.Event()

    async def datasets(self) -> Never:
        """Wait until it is cancelled, and then a little, as for a thread."""
        self.asked.set()
        try:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")
        finally:
            for _ in range(5000):
                await asyncio.sleep(0)
            self._told.append("the request has ended")


class Noting(MemoryStorage):
    """Tells when it is left."""

    def __init__(self) -> None:
        super().__init__(clock=SystemClock())
        self.told: list[str] = []
        self.datasets = self.hanging = Hanging(self.told)

    async def __aexit__(self, *exc: object) -> None:
        """Tell."""
        self.told.append("the storage is left")
        await super().__aexit__(*exc)


async def test_a_request_ends_before_the_storage_that_it_stands_on(
    make_container: Callable[..., Container],
) -> None:
    """Aiohttp cancels what takes too long, and does not wait until it has ended."""
    container, storage = make_container(), Noting()
    container.storage.override(providers.Object(storage))
    runner = web.AppRunner(container.application(), shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /datasets HTTP/1.1\r\nHost: x\r\nAPI-Version: 2026-11-20\r\n\r\n")
        await storage.hanging.asked.wait()
    finally:
        await runner.cleanup()
    writer.close()
    assert storage.told == ["the request has ended", "the storage is left"]
