"""`aerolite worker`: run jobs until told to stop."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from prometheus_client import start_http_server

from service import logs
from service.cli.session import Session, fail, reason, run
from service.cli.version import version_of
from service.settings import Settings

log = logging.getLogger("aerolite.worker")

_DRAIN_S = 20.0
"""How long jobs may go on after SIGTERM; the grace in manifests and compose is 35 s."""


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="How many jobs to run at the same time.")
    ] = 10,
    metrics_host: Annotated[str, typer.Option(help="Address to serve Prometheus metrics on.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for Prometheus metrics; without it, none.")
    ] = None,
) -> None:
    """Run jobs until told to stop.

    Any number of workers share the queue of QUEUE_URL, and wait for stores that are absent. On SIGTERM a
    worker takes no more jobs, lets those that run go on for 20 s, and puts back the rest for others.
    """
    session: Session = context.obj
    settings = session.settings()
    _check(settings)
    logs.configure(settings)
    log.info("starting %s", version_of("aerolite"), extra={"fields": {"concurrency": concurrency}})
    container = session.build(settings)
    if metrics_port is not None:
        try:
            start_http_server(metrics_port, metrics_host, registry=container.metrics().registry)
        except OSError as error:
            fail(f"Cannot listen on {metrics_host} port {metrics_port}: {reason(error)}.")
    jobs = container.worker(concurrency=concurrency, drain_s=_DRAIN_S)
    run(container.worker_process(jobs).run())


def _check(settings: Settings) -> None:
    """Refuse what other processes cannot share."""
    if settings.queue.scheme in {"sqlite", "memory"}:
        fail(f"With the queue {settings.queue} it is `aerolite serve` that runs the jobs.")
    if settings.storage_url.scheme == "memory":
        fail("STORAGE_URL is memory://, which no other process can see.")
