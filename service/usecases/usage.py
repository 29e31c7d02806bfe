"""Who still uses which contract, counted on the side: no request waits for it, and none is lost by an outage.

Requests are counted in memory and added to the store every few seconds, to one document of counters for each
day, contract and source, whose members are the keys; so a flush costs a handful of writes however many
requests and keys there were, and replicas add to the same documents.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Self

from service.domain.errors import AeroliteError
from service.ports.clock import Clock
from service.ports.storage import Documents

log = logging.getLogger("aerolite.usage")

KIND = "usage"
FLUSH_S = 5.0
KEPT = timedelta(days=400)
"""Longer than a year, so that a yearly client is seen before its contract ends."""

NO_KEY = "-"
OTHERS = "others"
MAX_PENDING = 20_000
"""Counters in memory; beyond, keys are counted together, so that an outage cannot fill it."""

_PAGE = 1000

Group = tuple[str, str, str]
"""Day, contract, source."""


@dataclass(slots=True)
class Used:
    """How often something was asked for, and on which days first and last."""

    requests: int = 0
    first: date = date.max
    last: date = date.min

    def add(self, requests: int, day: date) -> None:
        """Count."""
        self.requests += requests
        self.first, self.last = min(self.first, day), max(self.last, day)


@dataclass(slots=True)
class Report:
    """All counts by (contract, source, key id or `NO_KEY`), and since when there are any."""

    since: date | None = None
    used: dict[tuple[str, str, str], Used] = field(default_factory=dict)


class Usage:
    """Counts requests by contract, source and key; `async with` flushes them on the side."""

    def __init__(self, documents: Documents, clock: Clock, flush_s: float = FLUSH_S) -> None:
        self._documents = documents
        self._clock = clock
        self._flush_s = flush_s
        self._pending: dict[tuple[str, str, str | None], int] = {}
        self._waiting: dict[Group, dict[str, int]] = {}
        self._swept: date | None = None
        self._complained = False
        self._task: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """How many counters wait in memory."""
        return len(self._pending) + sum(map(len, self._waiting.values()))

    def count(self, contract: str, source: str, key_id: str | None) -> None:
        """Count a request; this is all that a request pays."""
        counter = (contract, source, key_id)
        pending = self._pending
        if counter in pending:
            pending[counter] += 1
        elif len(pending) < MAX_PENDING:
            pending[counter] = 1
        else:
            others = (contract, source, OTHERS)
            pending[others] = pending.get(others, 0) + 1

    async def __aenter__(self) -> Self:
        """Begin to flush."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Flush what is left, if the store answers."""
        assert self._task is not None  # noqa: S101 - entered before
        self._task.cancel()
        await asyncio.wait({self._task})
        await self.flush()

    async def flush(self) -> None:
        """Add what was counted to the store; what it does not take is kept for the next time."""
        self._collect()
        for group in list(self._waiting):
            amounts = self._waiting.pop(group, {})
            try:
                await self._documents.add(KIND, "/".join(group), amounts)
            except AeroliteError as error:
                # Also where the outcome is unknown: rather counted twice than a client overlooked.
                self._wait(group, amounts)
                self._complain(error)
                return
            except BaseException:
                self._wait(group, amounts)
                raise
        self._complained = False

    async def report(self) -> Report:
        """Return all that was counted, here and on every replica, up to their last flush."""
        await self.flush()
        report = Report()
        after = ""
        while listed := await self._documents.list(KIND, after=after, limit=_PAGE):
            for document in listed:
                day, contract, source = document.id.split("/")
                self._read(report, date.fromisoformat(day), contract, source, document.body)
            after = listed[-1].id
        return report

    async def sweep(self) -> None:
        """Remove what is older than `KEPT`."""
        limit = (self._clock.now().date() - KEPT).isoformat()
        for document in await self._documents.list(KIND, limit=_PAGE):
            if document.id >= limit:
                return
            await self._documents.remove(KIND, document.id)

    def _collect(self) -> None:
        """Move what was counted to the counters of today."""
        counted, self._pending = self._pending, {}
        today = self._clock.now().date().isoformat()
        groups: dict[Group, dict[str, int]] = defaultdict(dict)
        for (contract, source, key_id), requests in counted.items():
            groups[today, contract, source][key_id or NO_KEY] = requests
        for group, amounts in groups.items():
            self._wait(group, amounts)

    def _wait(self, group: Group, amounts: dict[str, int]) -> None:
        """Keep amounts for the next flush, under their own keys while there is room."""
        waiting = self._waiting.setdefault(group, {})
        room = MAX_PENDING - sum(map(len, self._waiting.values()))
        for key, requests in amounts.items():
            name = key
            if key not in waiting:
                name = key if room > 0 else OTHERS
                room -= 1
            waiting[name] = waiting.get(name, 0) + requests

    def _complain(self, error: AeroliteError) -> None:
        """Say why usage is kept in memory, once for each outage."""
        if not self._complained:
            self._complained = True
            log.warning("usage is kept for later", extra={"fields": {"cause": error.detail}})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            await self.flush()
            await self._sweep_daily()

    async def _sweep_daily(self) -> None:
        today = self._clock.now().date()
        if self._swept == today:
            return
        try:
            await self.sweep()
        except AeroliteError as error:
            log.warning("old usage stays", extra={"fields": {"cause": error.detail}})
        else:
            self._swept = today

    @staticmethod
    def _read(report: Report, day: date, contract: str, source: str, counters: dict[str, int]) -> None:
        report.since = day if report.since is None else min(report.since, day)
        for key, requests in counters.items():
            report.used.setdefault((contract, source, key), Used()).add(requests, day)
