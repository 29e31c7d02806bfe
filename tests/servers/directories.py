"""Directories of servers: removed at their end or, where a test run was killed, by the next, servers and all."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from service.adapters.scratch import make_directory, sweep


@contextmanager
def temporary(kind: str) -> Iterator[Path]:
    """Make a directory for as long as the block lasts."""
    descriptor, path = _made(kind)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def lasting(kind: str) -> Path:
    """Make a directory for as long as this process lives."""
    _, path = _made(kind)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _made(kind: str) -> tuple[int, Path]:
    prefix = f"aerolite-{kind}-"
    left = sweep(prefix)
    for process in psutil.process_iter() if left else ():
        with suppress(psutil.Error):  # gone meanwhile, or another user's
            if any(process.cwd().startswith(f"{path}") for path in left):
                process.kill()  # a server that has outlived its test run
    return make_directory(prefix)
