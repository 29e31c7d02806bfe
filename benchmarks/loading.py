"""Rows about loading: a file over HTTP beside SQLite's own `executemany` of the finished records."""

from __future__ import annotations

import sqlite3
import statistics
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.files import sample_csv
from benchmarks.processes import aerolite
from benchmarks.serving import ROUNDS, upload, wall_seconds
from benchmarks.table import Row
from service.domain.sample import sample

ROWS = 45_716


def load(directory: Path) -> list[Row]:
    """Measure a load of 45,716 CSV records, alternating with its ceiling."""
    file = sample_csv(directory, ROWS)
    records = [msgspec.json.encode(record) for record in sample(ROWS)]
    ours, theirs = [], []
    with aerolite(directory) as service:
        for number in range(ROUNDS + 1):
            ours.append(wall_seconds(partial(upload, service, f"load{number}", file)))
            theirs.append(executemany(directory / f"ceiling{number}.db", records))
    mine, best = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return [
        Row(f"load of {ROWS:,} CSV records over HTTP, wall, beside executemany", f"{mine * 1000:.0f} ms",
            f"{best * 1000:.0f} ms", mine / best, 2.5)
    ]  # fmt: skip


def executemany(path: Path, records: list[bytes]) -> float:
    """Return how long SQLite takes to store finished records as durably as the service does."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (position INTEGER PRIMARY KEY, record BLOB)")

    def insert() -> None:
        connection.executemany("INSERT INTO records VALUES (?, ?)", enumerate(records))
        connection.commit()

    try:
        return wall_seconds(insert)
    finally:
        connection.close()
