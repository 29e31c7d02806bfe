"""One log line per answer, written a few at a time: a line costs no system call of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Self

import msgspec
from aiohttp import web
from multidict import istr

from service.http.observe import Metrics

FLUSH_S = 0.1
"""How long a line waits at most for others; so much of the log a killed process may lose."""

_TRACEPARENT = istr("traceparent")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


Record = tuple[float, str, str, str | None, str, str, int, str, float]
"""Time, method, target, `traceparent`, operation, contract, status, request id, milliseconds."""

Format = Callable[[Record], str]


class Lines:
    """Collects records and writes them together, a line each; `async with` writes the rest at the end.

    They are formatted when they are written: many at once cost half of what they cost one by one between
    requests.
    """

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._records: list[tuple[Format, Record]] = []

    def add(self, line: Format, record: Record) -> None:
        """Take a record, which is written within `FLUSH_S` as what `line` makes of it."""
        if not self._records:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        self._records.append((line, record))

    def flush(self) -> None:
        """Write what was collected."""
        if self._records:
            records, self._records = self._records, []
            lines = [line(record) for line, record in records]
            (self._write or sys.stderr.write)("\n".join(lines) + "\n")

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is left."""
        self.flush()


class AccessLog:
    """Counts and logs answers, as JSON or for a console, where the level `info` is logged."""

    def __init__(self, metrics: Metrics, lines: Lines, *, console: bool) -> None:
        self._metrics = metrics
        self._lines = lines
        self._format = _console if console else _json
        self._logger = logging.getLogger("aerolite.access")

    def wrote(
        self,
        request: web.Request,
        operation: str,
        contract: str,
        status: int,
        request_id: str,
        started: float,
    ) -> None:
        """Count and log an answer that took from `started` (perf_counter) until now."""
        seconds = perf_counter() - started
        self._metrics.answered(operation, contract, status, seconds)
        if self._logger.isEnabledFor(logging.INFO):
            trace = request.headers.get(_TRACEPARENT)
            record = (
                *(time.time(), request.method, request.raw_path, trace),
                *(operation, contract, status, request_id, seconds * 1000),
            )
            self._lines.add(self._format, record)


def _json(record: Record) -> str:
    now, method, target, trace, operation, contract, status, request_id, milliseconds = record
    path = msgspec.json.encode(target).decode()
    return (
        f'{{"time":"{_moment(now)}","level":"info","logger":"aerolite.access","message":"request",'
        f'"id":"{request_id}","method":"{method}","path":{path},"status":{status},'
        f'"ms":{milliseconds:.2f},"contract":"{contract}","operation":"{operation}"{_trace(trace)}}}'
    )


def _console(record: Record) -> str:
    now, method, target, _, _, contract, status, _, milliseconds = record
    path = target.encode("unicode_escape").decode()
    return f"{_moment(now)[11:19]} info    {method} {path} {status} {milliseconds:.2f} ms {contract}"


def _moment(now: float) -> str:
    return f"{_second(int(now))}.{int(now % 1 * 1000):03d}+00:00"


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _trace(header: str | None) -> str:
    found = None if header is None else _TRACE.fullmatch(header)
    return "" if found is None else f',"trace":"{found.group(1)}"'
