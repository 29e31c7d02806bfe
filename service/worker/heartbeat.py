"""A worker's heartbeat: a file that a probe looks at, because a worker listens to nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Self

log = logging.getLogger("aerolite.worker")

INTERVAL_S = 5.0
MAX_AGE_S = 30.0


def heartbeat_file(directory: Path | None) -> Path:
    """Return where the workers of this user on this machine leave their heartbeat."""
    return (directory or Path(tempfile.gettempdir())) / f"aerolite-worker-{os.getuid()}.heartbeat"


def age_s(path: Path) -> float | None:
    """Return how long ago a worker's event loop last turned, or None where none ever did."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


class Heartbeat:
    """Touches the file while the event loop turns, storage or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to beat."""
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop."""
        assert self._task is not None  # noqa: S101 - entered before
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _beat(self) -> None:
        while True:
            try:
                await asyncio.to_thread(_touch, self._path)
            except OSError as error:
                log.warning("no heartbeat", extra={"fields": {"cause": str(error)}})
            await asyncio.sleep(INTERVAL_S)


def _touch(path: Path) -> None:
    # In a directory for everybody the name may be a link that somebody else has laid out.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)
