"""Workers as processes, to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from tests.waiting import patience


class Crew:
    """So many `aerolite worker`; leaving kills those that still run."""

    def __init__(self, size: int, *, concurrency: int = 4, **settings: str) -> None:
        self._size = size
        self._concurrency = concurrency
        self._environment = {**os.environ, **settings}
        self._workers: list[Process] = []
        self._logs: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end)
            self._workers = list(await asyncio.gather(*(self._start() for _ in range(self._size))))
            stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    async def kill(self, number: int) -> None:
        """`kill -9` a worker, and start another in its place."""
        self._workers[number].kill()
        await self._workers[number].wait()
        self._workers[number] = await self._start()

    def kill_at_once(self, number: int) -> None:
        """`kill -9` a worker."""
        self._workers[number].kill()

    async def drain(self, number: int) -> int:
        """Send SIGTERM, and return the exit code."""
        self._workers[number].terminate()
        return await self._workers[number].wait()

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service", "worker", "--concurrency", str(self._concurrency)),
            env=self._environment,
            stderr=PIPE,
        )
        assert process.stderr is not None
        async with patience():
            while b'"working"' not in (line := await process.stderr.readline()):
                assert line, "the worker ended"
        reader = asyncio.create_task(_read(process.stderr))
        self._logs.add(reader)
        return process

    async def _end(self) -> None:
        for worker in self._workers:
            if worker.returncode is None:
                with suppress(ProcessLookupError):
                    worker.kill()
            await worker.wait()
        if self._logs:
            await asyncio.wait(self._logs)


async def _read(log: asyncio.StreamReader) -> None:
    """Take the log away, so that the worker never waits for somebody to read it."""
    while await log.read(1 << 16):
        pass
