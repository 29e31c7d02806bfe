"""Start `aerolite serve` as a process and find out where it listens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.waiting import patience


@dataclass
class Serving:
    """A running server: its URL, its process, and the log lines it has written so far."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)

    def terminate(self) -> None:
        """Send SIGTERM, as an orchestrator does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    async def wait(self) -> int:
        """Return the exit code."""
        return await self.process.wait()


@asynccontextmanager
async def serving(directory: Path, *, ready: bool = True, **settings: str) -> AsyncIterator[Serving]:
    """Run a server with these settings, on a free port; wait until it is ready, and kill it at the end."""
    environment = {
        **os.environ,
        "PORT": "0",
        "DRAIN_SECONDS": "0",
        "STORAGE_URL": f"sqlite:///{directory}/aerolite.db",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "serve", env=environment, stderr=asyncio.subprocess.PIPE
    )
    server = Serving(process)
    reader = asyncio.create_task(_read_log(server))
    try:
        async with patience():
            await _until_listening(server)
            if ready:
                await _until_ready(server)
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader


async def _read_log(server: Serving) -> None:
    assert server.process.stderr is not None
    async for line in server.process.stderr:
        try:
            server.lines.append(json.loads(line))
        except ValueError:
            server.lines.append({"message": line.decode(errors="replace")})


async def _until_listening(server: Serving) -> None:
    while not server.url:
        if server.process.returncode is not None:
            raise AssertionError(f"the server ended: {server.lines}")
        server.url = next((line["url"] for line in server.lines if line.get("message") == "serving"), "")
        await asyncio.sleep(0.01)


async def _until_ready(server: Serving) -> None:
    async with aiohttp.ClientSession() as session:
        while server.process.returncode is None:
            # A busy machine may not read the question within a header timeout that a test has made short.
            with suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                async with session.get(f"{server.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.01)
    raise AssertionError(f"the server ended: {server.lines}")
