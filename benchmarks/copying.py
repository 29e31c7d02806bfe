"""Rows about `aerolite copy`: a million records from SQLite to Redis and back, and the memory it takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.files import sample_csv
from benchmarks.processes import aerolite
from benchmarks.serving import MILLION, upload
from benchmarks.stores import store
from benchmarks.table import Row

FEW = 1_000
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Copied:
    """What a copy said and took; `digests` are those of all datasets."""

    digests: list[str]
    seconds: float
    peak_bytes: int


def copies(directory: Path) -> list[Row]:
    """Measure a copy there and back; fails where a digest differs."""
    few, many = directory / "few.db", directory / "many.db"
    for path, records in ((few, FEW), (many, MILLION)):
        with aerolite(directory, STORAGE_URL=f"sqlite:///{path}") as service:
            upload(service, "landings", sample_csv(directory, records))
    with store("Redis", directory) as redis:
        small = _copy(f"sqlite:///{few}", redis.url)
    with store("Redis", directory) as redis:
        there = _copy(f"sqlite:///{many}", redis.url)
        back = _copy(redis.url, f"sqlite:///{directory}/back.db")
    assert there.digests == back.digests, "a copy that came out different"
    return [
        Row(f"peak memory of a copy of {MILLION:,} records {way} over one of {FEW:,}, MiB beside 64",
            f"{(copied.peak_bytes - small.peak_bytes) >> 20} MiB, {copied.seconds:.0f} s", "64 MiB",
            (copied.peak_bytes - small.peak_bytes) / (64 << 20), 1.0)
        for way, copied in (("from SQLite to Redis", there), ("and back", back))
    ]  # fmt: skip


def _copy(source: str, target: str) -> Copied:
    started, peak_bytes = time.perf_counter(), 0
    command = [sys.executable, "-m", "service", "copy", source, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak_bytes = max(peak_bytes, watched.memory_info().rss)
            time.sleep(_LOOK_EVERY_S)
        assert process.stdout is not None
        digests = re.findall("sha256 ([0-9a-f]{64})", process.stdout.read())
    assert process.returncode == 0
    assert digests
    return Copied(digests, time.perf_counter() - started, peak_bytes)
