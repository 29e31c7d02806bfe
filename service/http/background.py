"""What goes on beside requests: waiting for the storage, sweeping it."""

from __future__ import annotations

import asyncio
import logging
from typing import Self

from service.domain.errors import AeroliteError
from service.http.lifecycle import Lifecycle
from service.ports.clock import Clock
from service.ports.storage import Storage

log = logging.getLogger("aerolite.storage")

PING_INTERVAL_S = 0.5
SWEEP_INTERVAL_S = 60.0


class Background:
    """`async with` runs the tasks."""

    def __init__(self, storage: Storage, lifecycle: Lifecycle, clock: Clock) -> None:
        self._storage = storage
        self._lifecycle = lifecycle
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop and wait for the end."""
        assert self._task is not None  # noqa: S101 - entered before
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        await self._await_storage()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            await self._sweep()

    async def _await_storage(self) -> None:
        """Ping until the storage answers; say why it does not, once for each cause."""
        cause = None
        while True:
            try:
                await self._storage.ping()
                break
            except AeroliteError as error:
                if error.detail != cause:
                    cause = error.detail
                    self._lifecycle.waits_for(cause)
                    log.warning("waiting for the storage", extra={"fields": {"cause": cause}})
            await asyncio.sleep(PING_INTERVAL_S)
        for warning in self._storage.warnings():
            log.warning(warning)
        self._lifecycle.became_ready()
        log.info("ready")

    async def _sweep(self) -> None:
        try:
            swept = await self._storage.sweep(self._clock.now())
        except AeroliteError as error:
            log.warning("sweep failed", extra={"fields": {"cause": error.detail}})
        else:
            log.debug("swept", extra={"fields": {"pieces": swept}})
