"""The worker: hears rings, runs jobs a few at a time, reconciles, and drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Self

from service.domain.errors import AeroliteError
from service.ports.queue import Queue
from service.usecases.jobs.running import Runner
from service.worker.metrics import JobMetrics
from service.worker.reconciler import Reconciler

log = logging.getLogger("aerolite.worker")

HEAR_S = 5.0
MAX_PAUSE_S = 2.0
MAX_SWEEP_INTERVAL_S = 5.0
DRAIN_S = 20.0
"""How long running jobs may go on when the worker is told to end; the grace in the manifests is 35 s."""


class Worker:
    """Runs jobs, `concurrency` at a time, from entering to leaving.

    A store or queue that does not answer is waited for, at the start and later; leaving waits for what runs,
    at most `drain_s`, and puts back what is not done by then.
    """

    def __init__(
        self,
        queue: Queue,
        runner: Runner,
        reconciler: Reconciler,
        metrics: JobMetrics,
        *,
        concurrency: int,
        lease_s: float,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._reconciler = reconciler
        self._metrics = metrics
        self._concurrency = concurrency
        self._sweep_interval_s = min(MAX_SWEEP_INTERVAL_S, lease_s / 3)
        self._drain_s = drain_s
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._rings: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin."""
        self._loops = [
            asyncio.create_task(self._forever(self._hear, Outage("the queue does not answer"))),
            asyncio.create_task(self._forever(self._reconcile, Outage("jobs cannot be looked through"))),
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Take no more jobs, wait for those that run, put back the rest."""
        await _cancelled(self._loops)
        if self._jobs:
            log.info("draining jobs", extra={"fields": {"jobs": len(self._jobs), "seconds": self._drain_s}})
            await asyncio.wait(self._jobs.values(), timeout=self._drain_s)
        put_back = list(self._jobs)
        await _cancelled([*self._jobs.values()])
        for handle in self._later.values():  # also for jobs that have ended just now
            handle.cancel()
        await _cancelled([*self._rings])
        for id_ in put_back:
            await self._ring(id_)

    async def _forever(self, turn: Callable[[], Awaitable[None]], outage: Outage) -> None:
        """Take turns; whatever a store or queue does, go on."""
        while True:
            try:
                await turn()
            except AeroliteError as error:
                await outage.pause(error.detail)
            except Exception as error:  # a worker that lives and does nothing would be worse
                log.exception("unexpected")
                await outage.pause(repr(error))
            else:
                outage.over()

    async def _hear(self) -> None:
        free = self._concurrency - len(self._jobs)
        if free > 0:
            for id_ in await self._queue.hear(free, HEAR_S):
                self._begin(id_)
        else:
            await asyncio.wait(self._jobs.values(), return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, id: str) -> None:
        if id in self._jobs:
            return
        task = asyncio.create_task(self._run(id))
        self._jobs[id] = task
        task.add_done_callback(lambda _: self._jobs.pop(id))

    async def _run(self, id: str) -> None:
        try:
            again_in_s = await self._runner.run(id)
        except AeroliteError as error:
            # Not taken, or not put back: the reconciler rings for it again.
            log.warning("a job was not taken", extra={"fields": {"job": id, "cause": error.detail}})
        else:
            if again_in_s is not None:
                self._ring_later(id, again_in_s)

    def _ring_later(self, id: str, delay_s: float) -> None:
        def ring() -> None:
            del self._later[id]
            task = asyncio.create_task(self._ring(id))
            self._rings.add(task)
            task.add_done_callback(self._rings.discard)

        if id not in self._later:
            self._later[id] = asyncio.get_running_loop().call_later(delay_s, ring)

    async def _ring(self, id: str) -> None:
        try:
            await self._queue.ring(id)
        except AeroliteError as error:
            log.warning("a ring was lost", extra={"fields": {"job": id, "cause": error.detail}})

    async def _reconcile(self) -> None:
        self._metrics.rung_again(await self._reconciler.sweep())
        await asyncio.sleep(self._sweep_interval_s)


class Outage:
    """Says once why something does not answer, and waits a little longer each time."""

    def __init__(self, message: str) -> None:
        self._message = message
        self.over()

    def over(self) -> None:
        """Note that it answers."""
        self._cause = ""
        self._pause_s = 0.1

    async def pause(self, cause: str) -> None:
        """Wait."""
        if cause != self._cause:
            self._cause = cause
            log.warning(self._message, extra={"fields": {"cause": self._cause}})
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """End tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
