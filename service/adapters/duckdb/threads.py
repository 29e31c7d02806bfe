"""Work on connections in threads, interrupted when its time is over or nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import duckdb

T = TypeVar("T")
Work = Callable[[duckdb.DuckDBPyConnection], T]

_INTERRUPT_AGAIN_S = 0.05


class Threads:
    """At most `size` threads, and what is under way in them."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="engine")
        self._running: set[_Running] = set()

    async def run(
        self,
        cursor: duckdb.DuckDBPyConnection,
        work: Work[T],
        timeout_s: float | None = None,
        give_back: Callable[[], None] | None = None,
    ) -> T:
        """Do work on a connection, which is given back when the work is over, however that comes.

        Raises what the work raises: `duckdb.InterruptException` where its time was over (None: never is).
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def in_thread() -> None:
            try:
                result = work(cursor)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who waits
                loop.call_soon_threadsafe(over, partial(answer.set_exception, error))
            else:
                loop.call_soon_threadsafe(over, partial(answer.set_result, result))

        def over(tell: Callable[[], None]) -> None:
            running.over()
            self._running.remove(running)
            if give_back is not None:
                give_back()
            if not answer.done():
                tell()

        # One hop there and one back: the loop's own way takes three, and a tenth of a short question.
        self._pool.submit(in_thread)
        running = _Running(cursor, timeout_s)
        self._running.add(running)
        try:
            return await answer
        except asyncio.CancelledError:
            running.interrupt()
            raise

    async def settled(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Wait until nothing runs on a connection any more."""
        for running in [each for each in self._running if each.cursor is cursor]:
            await running.ended.wait()

    async def settle(self) -> None:
        """Interrupt what is under way and wait for its end."""
        for running in list(self._running):
            running.interrupt()
        for running in list(self._running):
            await running.ended.wait()

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function that nothing interrupts."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False)


class _Running:
    """Work under way; interrupted when its time is over (None: not by itself)."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, after_s: float | None) -> None:
        self.cursor = cursor
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer = None if after_s is None else self._loop.call_later(after_s, self.interrupt)

    def interrupt(self) -> None:
        """Interrupt now, and again until it is over: the work may be about to begin a statement."""
        self._stop()
        if not self.ended.is_set():
            self.cursor.interrupt()
            self._timer = self._loop.call_later(_INTERRUPT_AGAIN_S, self.interrupt)

    def over(self) -> None:
        """Let go: the work is done."""
        self.ended.set()
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
