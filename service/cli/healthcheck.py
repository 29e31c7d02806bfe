"""`aerolite healthcheck`: whether the server on this machine lives."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

import typer

from service.cli.session import Session, fail, reason

_TIMEOUT_S = 3.0
_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def healthcheck(context: typer.Context) -> None:
    """Ask the server on this machine if it lives.

    HOST and PORT tell where it listens. Exits with 0 if it answers 200 to /livez, else with 1.
    """
    session: Session = context.obj
    settings = session.settings()
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
