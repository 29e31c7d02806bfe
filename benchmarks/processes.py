"""Processes to be measured: the service, and the ceiling beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Running:
    """A server's address and its process."""

    url: str
    process: psutil.Process


@contextmanager
def aerolite(
    directory: Path, *, module: Sequence[str] = ("service", "serve"), **settings: str
) -> Iterator[Running]:
    """Run the service (or what a module makes of it) at its default log level, its log written to a file."""
    with (directory / "log").open("ab") as log:
        start = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={
                **os.environ,
                "PORT": "0",
                "DRAIN_SECONDS": "0",
                "STORAGE_URL": f"sqlite:///{directory}/aerolite.db",
                **settings,
            },
            stderr=log,
        )
        try:
            url = _listening(directory / "log", start)
            _until_ready(url)
            yield Running(url, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait()


@contextmanager
def bare(body: bytes) -> Iterator[Running]:
    """Run the bare handler on these bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", file.name], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield Running(f"http://127.0.0.1:{port}/", psutil.Process(process.pid))
        finally:
            process.kill()
            process.wait()


def _listening(log: Path, start: int) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for line in log.read_bytes()[start:].splitlines():
            if line.startswith(b"{") and (found := json.loads(line)).get("message") == "serving":
                return str(found["url"])
        time.sleep(0.01)
    raise RuntimeError(log.read_text())


def _until_ready(url: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz"):
                return
        except OSError:
            time.sleep(0.005)
