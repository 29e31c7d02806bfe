"""Peers from the package index, each in a throwaway environment of its own, serving the same file."""

from __future__ import annotations

import csv
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.processes import Running

_ENVIRONMENTS = Path(tempfile.gettempdir()) / "aerolite-bench-peers"
_START_TIMEOUT_S = 600


def program(package: str) -> Path:
    """Return the command of a package, installed if it is not there yet."""
    home = _ENVIRONMENTS / package
    command = home / "bin" / package
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", package], check=True)
    return command


@contextmanager
def roapi(file: Path) -> Iterator[Running]:
    """Serve a CSV as the table `landings`."""
    port, other, third = _free_port(), _free_port(), _free_port()
    words = ["-a", f"127.0.0.1:{port}", "-p", f"127.0.0.1:{other}", "--addr-flight-sql", f"127.0.0.1:{third}"]
    with _running([str(program("roapi")), *words, "-t", f"landings={file}"], port) as running:
        yield running


@contextmanager
def datasette(file: Path, directory: Path) -> Iterator[Running]:
    """Serve a CSV as the table `landings` of an SQLite database."""
    path, port = directory / "landings.db", _free_port()
    if not path.exists():
        _fill(path, file)
    command = [str(program("datasette")), "serve", str(path), "-p", str(port)]
    limits = ["--setting", "sql_time_limit_ms", "60000", "--setting", "num_sql_threads", "4"]
    with _running([*command, *limits], port) as running:
        yield running


def _fill(path: Path, file: Path) -> None:
    with sqlite3.connect(path) as database, file.open(newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        database.execute(
            "CREATE TABLE landings (name TEXT, id INTEGER, recclass TEXT, mass REAL,"
            " reclat REAL, reclong REAL, GeoLocation TEXT)"
        )
        filled = ([value or None for value in row] for row in rows)
        database.executemany("INSERT INTO landings VALUES (?, ?, ?, ?, ?, ?, ?)", filled)


@contextmanager
def _running(command: list[str], port: int) -> Iterator[Running]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.05)
        yield Running(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
