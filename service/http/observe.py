"""What can be seen of the service from outside: request ids, and metrics with bounded label sets."""

from __future__ import annotations

import itertools
import re
import secrets
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from aiohttp import web
from multidict import istr
from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_HEADER = istr("X-Request-Id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_BOUNDS = (*map(str, _BUCKETS_S), "+Inf")


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


class Answers(Collector):
    """Counts answers by operation, contract and status, and the time they took by operation.

    Counted on the event loop alone, so without the locks of prometheus_client's own counters, which cost
    more than a page's share of everything else that is counted.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._taken: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_BUCKETS_S) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, operation: str, contract: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._counts[operation, contract, status] += 1
        self._taken[operation][bisect_left(_BUCKETS_S, seconds)] += 1
        self._seconds[operation] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield both for a scrape."""
        counts = CounterMetricFamily(
            "aerolite_requests",
            "Requests by operation, contract and status.",
            labels=["operation", "contract", "status"],
        )
        for (operation, contract, status), count in self._counts.items():
            counts.add_metric([operation, contract, str(status)], count)
        yield counts
        taken = HistogramMetricFamily(
            "aerolite_request_seconds", "Time to answer, by operation.", labels=["operation"]
        )
        for operation, numbers in self._taken.items():
            buckets = list(zip(_BOUNDS, accumulate(numbers), strict=True))
            taken.add_metric([operation], buckets, self._seconds[operation])
        yield taken


class Metrics:
    """The Prometheus metrics of a process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Answers()
        self.registry.register(self._answers)
        self.answered = self._answers.count
        self._cache = {
            name: Gauge(f"aerolite_cache_{name}", meaning, registry=self.registry)
            for name, meaning in (
                ("hits", "Answers from the cache."),
                ("misses", "Answers that were made and could be kept."),
                ("bytes", "Bytes of the answers that are kept."),
            )
        }
        self.uploads = Gauge("aerolite_uploads", "Uploads under way.", registry=self.registry)

    def observe_cache(self, hits: int, misses: int, size_bytes: int) -> None:
        """Note the cache's own counts."""
        self._cache["hits"].set(hits)
        self._cache["misses"].set(misses)
        self._cache["bytes"].set(size_bytes)
