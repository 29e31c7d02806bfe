"""`aerolite healthcheck`: whether the server on this machine lives."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated

import typer

from service.cli.session import Session, fail, reason
from service.worker.heartbeat import MAX_AGE_S, age_s, heartbeat_file

_TIMEOUT_S = 3.0
_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def healthcheck(
    context: typer.Context,
    *,
    worker: Annotated[
        bool, typer.Option("--worker", help="Look at the heartbeat of a worker instead.")
    ] = False,
) -> None:
    """Ask the server on this machine if it lives.

    HOST and PORT tell where it listens. Exits with 0 if it answers 200 to /livez, else with 1. A worker
    listens nowhere: it lives if it has touched its heartbeat file, in SPOOL_DIR, within 30 s.
    """
    session: Session = context.obj
    settings = session.settings()
    if worker:
        _check_worker(heartbeat_file(settings.spool_dir))
        return
    if settings.port == 0:
        fail("PORT is 0, so nobody knows where the server listens.")
    host = _REACHED_BY.get(settings.host, settings.host)
    connection = HTTPConnection(host, settings.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except OSError as error:
        fail(f"No answer from {host} port {settings.port}: {reason(error)}.")
    except HTTPException:
        fail(f"What listens on {host} port {settings.port} does not speak HTTP.")
    finally:
        connection.close()
    if status != 200:
        fail(f"{host} port {settings.port} answers {status} to /livez.")


def _check_worker(heartbeat: Path) -> None:
    age = age_s(heartbeat)
    if age is None:
        fail(f"No worker has left a heartbeat in {heartbeat}.")
    if age > MAX_AGE_S:
        fail(f"The last heartbeat in {heartbeat} is {age:.0f} s old.")
