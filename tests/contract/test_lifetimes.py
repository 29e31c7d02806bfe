"""A storage that was left: nothing of it stays open, and nothing is opened again."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack

from service.domain.errors import StoreError
from service.domain.records import Batch
from tests.descriptors import opened
from tests.waiting import until

from .backends.base import Backend
from .methods import METHODS, prepare
from .test_failures import failures

LARGE = Batch([b'{"s": "%b"}' % (b"x" * 5_000)] * 1000)


def still_opened() -> set[str]:
    """Return what is open once all is closed that others have left to the collector."""
    gc.collect()
    return opened()


async def test_a_storage_that_was_left_opens_nothing(backend: Backend, backend_name: str) -> None:
    """Who asks it all the same is told that it is not there, and no file or socket comes of it."""
    async with backend.open() as storage:
        await prepare(storage)
    before = still_opened()
    outcomes = await failures(storage, METHODS)
    await until(lambda: still_opened() <= before)  # a socket is closed in the next turn of the loop
    if backend_name != "memory":  # which has nothing to open
        assert all(isinstance(outcome, StoreError) for outcome in outcomes.values()), outcomes


async def test_a_load_that_outlives_its_storage_does_not_open_it_again(backend: Backend) -> None:
    """It cannot remove what it has staged any more, and what it had open is closed."""
    async with backend.open() as storage:
        await prepare(storage)
    before = still_opened()
    # For so long PostgreSQL waits for who still has a connection.
    async with AsyncExitStack() as load, backend.open(timeout_s=4.0) as storage:
        writer = await load.enter_async_context(storage.datasets.replace("d"))
        for _ in range(3):
            await writer.add(LARGE)
    await until(lambda: still_opened() <= before)  # a socket is closed in the next turn of the loop
