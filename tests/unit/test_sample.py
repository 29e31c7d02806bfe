"""The sample is the same everywhere and looks like the catalogue of meteorite landings."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tracemalloc
from collections import deque
from itertools import islice

from service.domain.sample import COLUMNS, sample

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def test_three_hundred_landings_are_the_default() -> None:
    """Without arguments there are 300 landings whose ids rise by one from 10001."""
    assert [row["id"] for row in sample()] == [str(number) for number in range(10_001, 10_301)]


def test_the_sample_never_changes() -> None:
    """The bytes of the built-in sample are what they were when it was first released."""
    text = "\n".join(json.dumps(row) for row in sample())
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "dc338c5178f1894adb8ab650efd586b4edc40bf2dea35f39edbfd3b95dc36e89"


def test_another_process_draws_the_same() -> None:
    """A process with another hash seed yields the same landings."""
    code = "from service.domain.sample import sample; print(list(sample(50, 7)))"
    command = [sys.executable, "-c", code]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "17"}
    ).stdout
    assert output.strip() == str(list(sample(50, 7)))


def test_a_seed_gives_landings_of_its_own() -> None:
    """Another seed gives other landings under the same ids."""
    assert list(sample(20, 1)) != list(sample(20, 2))


def test_a_longer_sample_begins_with_the_shorter() -> None:
    """The first rows do not depend on how many are asked for."""
    assert list(islice(sample(1000), 10)) == list(sample(10))


def test_nothing_may_be_asked_for() -> None:
    """A sample of no rows is empty."""
    assert list(sample(0)) == []


def test_each_cell_looks_like_the_catalogues() -> None:
    """Every row has all columns in order, as text; numbers are JSON numbers and the location joins them."""
    for row in sample(5000, 3):
        assert tuple(row) == COLUMNS
        assert row["name"]
        assert row["recclass"]
        if row["mass (g)"]:
            assert NUMBER.fullmatch(row["mass (g)"])
            assert float(row["mass (g)"]) >= 1
        if row["reclat"]:
            assert NUMBER.fullmatch(row["reclat"])
            assert NUMBER.fullmatch(row["reclong"])
            assert -90 <= float(row["reclat"]) <= 90
            assert -180 <= float(row["reclong"]) <= 180
            assert row["GeoLocation"] == f"({row['reclat']}, {row['reclong']})"
        else:
            assert row["reclong"] == row["GeoLocation"] == ""


def test_some_cells_are_fractions_and_few_are_empty() -> None:
    """The default sample has masses with a fraction, and some but few empty cells."""
    rows = list(sample())
    assert 10 < sum("." in row["mass (g)"] for row in rows) < 60
    assert 1 <= sum(not row["mass (g)"] for row in rows) <= 9
    assert 1 <= sum(not row["reclat"] for row in rows) <= 15


def test_memory_does_not_grow_with_the_rows() -> None:
    """Fifty thousand rows are drawn one at a time within 64 KiB."""
    tracemalloc.start()
    try:
        deque(sample(50_000), maxlen=0)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 * 1024
