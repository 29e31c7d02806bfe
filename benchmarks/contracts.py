"""Rows about contracts: what a client pays that lags twenty changes behind, or sees other columns."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import fmean

from benchmarks.chained import FIRST
from benchmarks.client import Sample, measure
from benchmarks.processes import aerolite
from benchmarks.serving import CLIENTS, cpu, fetch, ratio
from benchmarks.table import Row
from service.domain.sample import sample

CHANGES = 20
ROUNDS = 15
"""Short and many, so that what else the machine does falls on both sides alike."""

RENAMED = 7
HIDDEN = 3


async def chain_of_changes() -> list[Row]:
    """Measure a page of 100 through twenty chained changes beside the same page through none."""
    return [
        await page("hot", 1_600, 1.05),
        await page("cold", 320, 1.3, CACHE_BYTES="0"),
    ]


async def page(name: str, requests: int, bar: float, **settings: str) -> Row:
    """Measure one kind of page, of a service with these settings."""
    module = ("benchmarks.chained", str(CHANGES))
    with (
        tempfile.TemporaryDirectory() as directory,
        aerolite(Path(directory), module=module, **settings) as service,
    ):
        fetch(f"{service.url}/data", "POST")

        async def under(day: date) -> Sample:
            return await measure(
                f"{service.url}/data?limit=100", service.process,
                headers={"API-Version": day.isoformat()}, clients=CLIENTS, requests=requests,
            )  # fmt: skip

        newest = FIRST + timedelta(days=CHANGES)
        far, near = await in_turn(lambda: under(FIRST), lambda: under(newest))
    what = f"{name} page of 100 through {CHANGES} chained changes, CPU, beside none"
    return Row(what, cpu(far), cpu(near), ratio(far, near), bar)


async def changed_columns() -> list[Row]:
    """Measure a cold page of a dataset with ten renames and hides beside that of one with none."""
    names = [f"{name}{suffix}" for suffix in ("", " again") for name in next(iter(sample()))]
    rows = [dict(zip(names, [*record.values()] * 2, strict=True)) for record in sample()]
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    return [
        await view("text/csv", text.getvalue(), names),
        await view("application/json", json.dumps(rows), names),
    ]


async def view(media_type: str, body: str, names: list[str]) -> Row:
    """Measure the pages of such a file, with and without changes."""
    operations: list[dict[str, str]] = [
        {"op": "rename", "from": name, "to": f"{name}, renamed"} for name in names[:RENAMED]
    ]
    operations += [{"op": "hide", "column": name} for name in names[-HIDDEN:]]
    today = datetime.now(UTC).date().isoformat()
    change = {"date": today, "description": "Names.", "operations": operations}
    with (
        tempfile.TemporaryDirectory() as directory,
        aerolite(Path(directory), CACHE_BYTES="0") as service,
    ):
        for name in ("changed", "plain"):
            fetch(f"{service.url}/datasets/{name}", "PUT", {"Content-Type": media_type}, body.encode())
        body = json.dumps(change)
        fetch(
            f"{service.url}/datasets/changed/changes",
            "POST",
            {"Content-Type": "application/json"},
            body.encode(),
        )

        async def page_of(name: str) -> Sample:
            return await measure(
                f"{service.url}/datasets/{name}/records?limit=100", service.process,
                headers={"API-Version": today}, clients=CLIENTS, requests=320,
            )  # fmt: skip

        one, other = await in_turn(lambda: page_of("changed"), lambda: page_of("plain"))
    what = f"cold page of 100 of {media_type} with {RENAMED} renames and {HIDDEN} hides, CPU, beside none"
    return Row(what, cpu(one), cpu(other), ratio(one, other), 1.2)


Measuring = Callable[[], Awaitable[Sample]]


async def in_turn(one: Measuring, other: Measuring) -> tuple[Sample, Sample]:
    """Measure two things in turn, so that what else the machine does falls on both; return their means."""
    await one(), await other()  # the warm-up
    ones, others = [], []
    for _ in range(ROUNDS):
        ones.append(await one())
        others += [await other(), await other()]
        ones.append(await one())
    # The kernel counts CPU in steps of 10 ms, some percent of a round: only their mean is exact.
    return mean(ones), mean(others)


def mean(samples: list[Sample]) -> Sample:
    """Return the means of samples, figure by figure."""
    return Sample(
        fmean(sample.cpu_us for sample in samples),
        fmean(sample.per_second for sample in samples),
        fmean(sample.p99_ms for sample in samples),
    )
