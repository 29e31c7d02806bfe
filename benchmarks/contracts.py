"""Rows about contracts: what a client pays that lags twenty changes behind."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean

from benchmarks.chained import FIRST
from benchmarks.client import Sample, measure
from benchmarks.processes import aerolite
from benchmarks.serving import CLIENTS, cpu, fetch, ratio
from benchmarks.table import Row

CHANGES = 20
ROUNDS = 15
"""Short and many, so that what else the machine does falls on both sides alike."""


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
        await under(FIRST), await under(newest)  # the warm-up
        far, near = [], []
        for _ in range(ROUNDS):
            far.append(await under(FIRST))
            near += [await under(newest), await under(newest)]
            far.append(await under(FIRST))
    # The kernel counts CPU in steps of 10 ms, some percent of a round: only their mean is exact.
    one, other = mean(far), mean(near)
    what = f"{name} page of 100 through {CHANGES} chained changes, CPU, beside none"
    return Row(what, cpu(one), cpu(other), ratio(one, other), bar)


def mean(samples: list[Sample]) -> Sample:
    """Return the means of samples, figure by figure."""
    return Sample(
        fmean(sample.cpu_us for sample in samples),
        fmean(sample.per_second for sample in samples),
        fmean(sample.p99_ms for sample in samples),
    )
