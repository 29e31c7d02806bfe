"""Rows about the first question after an upload: columns of what the load has parsed, or read back."""

from __future__ import annotations

from pathlib import Path

from benchmarks.files import sample_csv
from benchmarks.processes import Running, aerolite
from benchmarks.serving import fetch, upload
from benchmarks.stores import NAMES, stores
from benchmarks.table import Row

ROWS = 200_000
ROUNDS = 3


def first_question(directory: Path) -> list[Row]:
    """Measure it in the process that took the upload, in turn with another process on the same store."""
    file = sample_csv(directory, ROWS)
    rows = []
    with stores(directory) as running:
        for name in NAMES:
            url = running[name].url
            with (
                aerolite(directory, STORAGE_URL=url) as loader,
                aerolite(directory, STORAGE_URL=url) as other,
            ):
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    upload(loader, "landings", file)
                    ours.append(_asked(loader))
                    theirs.append(_asked(other))
            mine, beside = min(ours), min(theirs)
            rows.append(
                Row(
                    f"first question after an upload of {ROWS:,} records into {name}, CPU, "
                    "beside that of another process",
                    f"{mine * 1000:,.0f} ms", f"{beside * 1000:,.0f} ms", mine / beside, 1,
                )
            )  # fmt: skip
    return rows


def _asked(service: Running) -> float:
    """Return the CPU seconds of a process for a question that needs columns."""
    before = sum(service.process.cpu_times()[:2])
    fetch(f"{service.url}/datasets/landings/records?recclass=L6&limit=1")
    return sum(service.process.cpu_times()[:2]) - before
