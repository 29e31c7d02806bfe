"""Metrics of jobs; their labels are types and outcomes, of which there are few."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S = (0.01, 0.1, 1, 10, 60, 600, 3600)


class JobMetrics:
    """What a worker has run, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._attempts = Counter(
            "aerolite_job_attempts", "Attempts at jobs by type and outcome.",
            ["type", "outcome"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "aerolite_job_seconds", "Time that attempts took, by type.",
            ["type"], buckets=_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._running = Gauge("aerolite_jobs_running", "Attempts under way.", registry=registry)
        self._rung_again = Counter(
            "aerolite_job_rings_repeated", "Jobs that nobody had taken, rung for again.", registry=registry
        )

    def began(self, type: str) -> None:
        """Note the beginning of an attempt."""
        del type
        self._running.inc()

    def ended(self, type: str, outcome: str, seconds: float) -> None:
        """Note its end."""
        self._running.dec()
        self._attempts.labels(type, outcome).inc()
        self._seconds.labels(type).observe(seconds)

    def rung_again(self, count: int) -> None:
        """Note that a reconciler rang."""
        self._rung_again.inc(count)
