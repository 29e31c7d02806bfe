"""Loading in this process, straight into the storage."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from service.cli.loading import WRITTEN_ON, LoadJob, Watcher
from service.ports.storage import Storage
from service.usecases.loading import Loading, LoadOptions, Source


class LocalLoader:
    """Loads by the use case itself; `async with` holds the storage."""

    def __init__(self, storage: Storage, loading: Loading) -> None:
        self._storage = storage
        self._loading = loading

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            storage = await stack.enter_async_context(self._storage)
            await storage.ping()
            self._leave = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave.aclose()

    async def load(self, job: LoadJob, watcher: Watcher) -> dict[str, Any]:
        """Load a file and return its receipt; raises `AeroliteError`."""
        source = Source(job.file.chunks(watcher.read), job.file.content_encoding)
        options = LoadOptions(
            format=job.file.format,
            delimiter=job.delimiter,
            key=job.key,
            types=job.types,
            skip_errors=job.skip_errors,
            day=WRITTEN_ON,
        )
        receipt = await self._loading.replace(job.file.name, source, options, progress=watcher.stored)
        return receipt.as_document()
