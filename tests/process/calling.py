"""Call `aerolite` as `service.__main__` does, without the price of a process."""

from __future__ import annotations

import asyncio

from typer.testing import CliRunner

from containers import build_container
from service.cli.app import app
from service.cli.session import Session


async def aerolite(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run a command with these environment variables only; return its exit code, stdout and stderr."""
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})
    session = Session(environment, build_container)
    result = await asyncio.to_thread(runner.invoke, app, list(arguments), input=stdin, obj=session)
    return result.exit_code, result.stdout, result.stderr
