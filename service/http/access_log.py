"""One log line per answer, written a few at a time: a line costs no system call of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable
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


class Lines:
    """Collects lines and writes them together; `async with` writes the rest at the end."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Take a line, which is written within `FLUSH_S`."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            text = "\n".join(self._lines) + "\n"
            self._lines.clear()
            (self._write or sys.stderr.write)(text)

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
        self._second = (0, "")

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
            line = self._format(
                self._moment(), request, operation, contract, status, request_id, seconds * 1000
            )
            self._lines.add(line)

    def _moment(self) -> str:
        now = time.time()
        second = int(now)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int((now - second) * 1000):03d}+00:00"


def _json(
    moment: str,
    request: web.Request,
    operation: str,
    contract: str,
    status: int,
    request_id: str,
    milliseconds: float,
) -> str:
    path = msgspec.json.encode(request.raw_path).decode()
    return (
        f'{{"time":"{moment}","level":"info","logger":"aerolite.access","message":"request",'
        f'"id":"{request_id}","method":"{request.method}","path":{path},"status":{status},'
        f'"ms":{milliseconds:.2f},"contract":"{contract}","operation":"{operation}"{_trace(request)}}}'
    )


def _console(
    moment: str,
    request: web.Request,
    operation: str,
    contract: str,
    status: int,
    request_id: str,
    milliseconds: float,
) -> str:
    path = request.raw_path.encode("unicode_escape").decode()
    return f"{moment[11:19]} info    {request.method} {path} {status} {milliseconds:.2f} ms {contract}"


def _trace(request: web.Request) -> str:
    header = request.headers.get(_TRACEPARENT)
    found = None if header is None else _TRACE.fullmatch(header)
    return "" if found is None else f',"trace":"{found.group(1)}"'
