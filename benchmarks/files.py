"""Files to measure with: the project's own sample, of any length."""

from __future__ import annotations

import csv
from pathlib import Path

from service.domain.sample import COLUMNS, sample


def sample_csv(directory: Path, rows: int) -> Path:
    """Return a CSV of the sample, made if it is not there yet."""
    path = directory / f"sample-{rows}.csv"
    if not path.exists():
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(sample(rows))
    return path
