"""Telling a command that is slow from one that nobody works on any more.

A command of ours may take long (a large COPY, the wait for another writer's lock), so no command has a time
limit that would tell the two apart. Instead, once somebody has waited for a while, the server is asked on
another connection who is idle. If it does not answer, all who wait give up together; if it does and
somebody's session stays idle there, his command has never arrived, or its answer never will, and he gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from service.domain.errors import StoreError

T = TypeVar("T")

Idle = Mapping[int, datetime | None]
"""Sessions (process ids) that are not at work, and since when; None where they have ended."""

Probe = Callable[[Sequence[int]], Awaitable[Idle]]
"""Returns those of these sessions that are idle."""


class Session(Protocol):
    """What a command was sent on."""

    @property
    def backend(self) -> int | None:
        """Its process id on the server, or None where that cannot be known."""
        ...

    @property
    def lost(self) -> bool:
        """Whether it is closed; the driver lets a COPY that waits for room in the socket wait on."""
        ...


class _Wait:
    def __init__(self, limit: asyncio.Timeout, since: float, until: float, session: Session | None) -> None:
        self.limit = limit
        self.since = since
        self.until = until
        self.session = session
        self.idle: Idle = {}

    @property
    def backend(self) -> int | None:
        return None if self.session is None else self.session.backend


class Vigil:
    """Watches all that wait for a server.

    One that does not answer is given up within `timeout_s`: a part to wait, a part to ask, and the rest for
    the caller's answer to get out.
    """

    def __init__(self, probe: Probe, *, timeout_s: float) -> None:
        self._probe = probe
        self._patience_s = timeout_s * 0.3
        self._probe_s = timeout_s * 0.4
        self._tick_s = timeout_s * 0.1
        self._waits: set[_Wait] = set()
        self._watch: asyncio.Task[None] | None = None

    async def attend(self, work: Awaitable[T], limit_s: float, session: Session | None = None) -> T:
        """Await the work. Raises `TimeoutError` where there is no hope, and after `limit_s` anyway."""
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout(None) as limit:
            wait = _Wait(limit, now, now + limit_s, session)
            self._waits.add(wait)
            if self._watch is None:
                self._watch = asyncio.create_task(self._keep_watch())
            try:
                return await work
            finally:
                self._waits.remove(wait)

    async def close(self) -> None:
        """End it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _keep_watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waits:
                await asyncio.sleep(self._tick_s)
                asked = loop.time()
                waiting = [wait for wait in self._waits if wait.since <= asked - self._patience_s]
                if waiting:
                    backends = [wait.backend for wait in waiting if wait.backend is not None]
                    self._give_up(waiting, await self._ask(backends), asked)
        finally:
            self._watch = None

    async def _ask(self, backends: Sequence[int]) -> Idle | None:
        """Return who is idle, or None where the server does not answer."""
        try:
            async with asyncio.timeout(self._probe_s):
                return await self._probe(backends)
        except (StoreError, TimeoutError):
            return None

    def _give_up(self, waiting: Sequence[_Wait], idle: Idle | None, asked: float) -> None:
        now = asyncio.get_running_loop().time()
        if idle is None:
            hopeless = [wait for wait in self._waits if wait.since <= asked]
        else:
            hopeless = [wait for wait in waiting if wait.until <= now or _unheard(wait, idle)]
        for wait in hopeless:
            if wait in self._waits:
                wait.limit.reschedule(now)


def _unheard(wait: _Wait, idle: Idle) -> bool:
    """Tell whether nobody works on a command any more.

    A session that is idle may have answered just now, or be between two steps of a command; one that has been
    idle since the same moment when it was looked at before is neither.
    """
    if wait.session is not None and wait.session.lost:
        return True
    before, wait.idle = wait.idle, {pid: since for pid, since in idle.items() if pid == wait.backend}
    return bool(wait.idle) and wait.idle == before
