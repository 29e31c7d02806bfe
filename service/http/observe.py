"""What can be seen of the service from outside: request ids, and metrics with bounded label sets."""

from __future__ import annotations

import itertools
import re
import secrets
from functools import lru_cache

from aiohttp import web
from multidict import istr
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_HEADER = istr("X-Request-Id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60)


class RequestIds:
    """Gives each request an id: the client's own if it is a sane one, else a new one."""

    def __init__(self) -> None:
        # Random once per process, counted within: unique without asking the kernel for each request.
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    def of(self, request: web.Request) -> str:
        """Return the request's id."""
        sent = request.headers.get(_HEADER)
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            return sent
        return f"{self._prefix}-{next(self._numbers):x}"


class Metrics:
    """The Prometheus metrics of a process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "aerolite_requests", "Requests by operation, contract and status.",
            ["operation", "contract", "status"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "aerolite_request_seconds", "Time to answer, by operation.",
            ["operation"], buckets=_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._cache = {
            name: Gauge(f"aerolite_cache_{name}", meaning, registry=self.registry)
            for name, meaning in (
                ("hits", "Answers from the cache."),
                ("misses", "Answers that were made and could be kept."),
                ("bytes", "Bytes of the answers that are kept."),
            )
        }
        self.uploads = Gauge("aerolite_uploads", "Uploads under way.", registry=self.registry)
        # Looking a child up by its labels costs more than counting with it.
        self._counter = lru_cache(maxsize=4096)(self._requests.labels)
        self._histogram = lru_cache(maxsize=1024)(self._seconds.labels)

    def observe_cache(self, hits: int, misses: int, size_bytes: int) -> None:
        """Note the cache's own counts."""
        self._cache["hits"].set(hits)
        self._cache["misses"].set(misses)
        self._cache["bytes"].set(size_bytes)

    def answered(self, operation: str, contract: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._counter(operation, contract, status).inc()
        self._histogram(operation).observe(seconds)
