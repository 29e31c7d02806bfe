"""Child processes for work that holds up the event loop, or that must end when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self

from service.domain.errors import StoreError

Ready = Callable[[asyncio.StreamReader], Awaitable[None]]

_BUFFER_BYTES = 1 << 20


class Children:
    """Children of one command, at most `places`, each kept for the next work; `async with` ends them.

    To start one takes longer than most work, and holds up the event loop. `environment` is theirs (None: this
    process's). `ready` waits for what a child says when it has started. `ahead`: where one had to be killed,
    the next is started at once and not only when it is needed.
    """

    def __init__(
        self,
        command: Sequence[str],
        places: int,
        *,
        environment: Mapping[str, str] | None = None,
        ready: Ready | None = None,
        ahead: bool = False,
    ) -> None:
        self._command = command
        self._environment = environment
        self._ready = ready
        self._ahead = ahead
        self._count = places
        self._places = asyncio.Semaphore(places)
        self._closing = False
        self._idle: list[Process] = []
        self._alive: set[Process] = set()
        self._renewing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start none yet."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End all; what is at work fails."""
        self._closing = True
        for child in self._alive:
            _kill(child)
        for _ in range(self._count):
            await self._places.acquire()
        while self._idle:
            await self._end(self._idle.pop())
        for _ in range(self._count):
            self._places.release()  # who waited for one is told

    @property
    def alive(self) -> frozenset[int]:
        """The process ids of those that were started and not ended."""
        return frozenset(child.pid for child in self._alive)

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Process]:
        """Lend a child, whose pipes are the caller's; whatever is raised meanwhile kills it.

        What it would say next is not for whoever comes next. Raises `ChildProcessError` where all are being
        ended.
        """
        await self._places.acquire()
        try:
            child = self._waiting() or await self._start()
        except BaseException:
            self._places.release()
            raise
        try:
            yield child
        except BaseException:
            self._renew(child)
            raise
        self._idle.append(child)
        self._places.release()

    def _waiting(self) -> Process | None:
        while self._idle:
            child = self._idle.pop()
            if child.returncode is None:
                return child
            self._alive.discard(child)
        return None

    def _renew(self, child: Process) -> None:
        """Kill a child; its place is free again when it has gone, or when the next has come."""
        _kill(child)
        task = asyncio.create_task(self._renewed(child))
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _renewed(self, child: Process) -> None:
        try:
            await self._end(child)
            if self._ahead:
                # Where it cannot be started, whoever needs it is told.
                with suppress(OSError, StoreError):  # ChildProcessError is one of the first
                    self._idle.append(await self._start())
        finally:
            self._places.release()

    async def _start(self) -> Process:
        self._check_open()
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=self._environment,
            limit=_BUFFER_BYTES,
        )
        self._alive.add(child)
        try:
            self._check_open()  # while it was started, others may have ended all
            if self._ready is not None:
                await self._ready(_output(child))
        except BaseException:
            await self._end(child)
            raise
        return child

    def _check_open(self) -> None:
        if self._closing:
            raise ChildProcessError("No more children are started.")

    async def _end(self, child: Process) -> None:
        _kill(child)
        await child.communicate()  # to the end of its output, so that nothing stays open
        self._alive.discard(child)


def _kill(child: Process) -> None:
    if child.returncode is None:
        # `Process.kill` asks for the exit status first, which then the event loop's watcher finds gone.
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)


def pipes(child: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    """Return what a child reads and what it writes."""
    assert child.stdin is not None  # noqa: S101 - it was started with pipes
    return child.stdin, _output(child)


def _output(child: Process) -> asyncio.StreamReader:
    assert child.stdout is not None  # noqa: S101 - likewise
    return child.stdout
