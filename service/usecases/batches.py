"""Work that would block the event loop, pulled through a thread one batch ahead of whoever consumes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an iterator when its consumer leaves it, before what it reads from is taken away.

    A generator that is merely dropped is closed some time later, by the event loop.
    """
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def threaded(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of a blocking iterable, each made in a thread while the one before is used.

    Close it (`contextlib.aclosing`) before what the iterable reads from is taken away: that waits for the
    thread. Raises what the iterable raises.
    """
    iterator = iter(items)
    following = partial(asyncio.get_running_loop().run_in_executor, None, lambda: next(iterator, None))
    pending = following()  # no task, which a loop that ends would cancel while the thread goes on
    try:
        while (item := await asyncio.shield(pending)) is not None:
            pending = following()
            yield item
    finally:
        await asyncio.wait({pending})
        pending.cancelled() or pending.exception()  # noted, so that a failure nobody waits for stays quiet
        if isinstance(iterator, Generator):
            iterator.close()
